"""Benchmarks beside best-of-N: published files of labelled solutions, and what each says of a reward model."""
