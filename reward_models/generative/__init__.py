"""Reward models that write their verdict: prompts, published conventions, and how verdicts are read."""
