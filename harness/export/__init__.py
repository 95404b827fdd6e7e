"""Exports: a results folder → a folder of Parquet files with a card, which another team reads back."""
