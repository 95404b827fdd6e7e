"""Scoring with vLLM: for models beyond one GPU, and for quantised ones."""
