"""Reward models behind a server: vLLM's, or one that takes a problem and a response and answers a number."""
