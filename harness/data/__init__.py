"""Reads problem sets and files of responses."""
