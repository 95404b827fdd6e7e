"""The fixed words of configs, manifests and tables, as types."""

from __future__ import annotations

from typing import Literal

#: The kinds of components: the names of their groups of entry points.
Kind = Literal["datasets", "generators", "verifiers", "token_scorers", "trainers", "reward_models", "selection_rules"]

#: The range of a reward model's scores. A log-ratio passes through a sigmoid before it is a weight of a vote.
ScoreType = Literal["probability", "log-ratio", "unbounded"]

#: What an accuracy at n is: the expectation over all subsets of n responses, or the first n (the paper's).
Protocol = Literal["subsets", "first_n"]

#: How an interval is made from bootstrap draws.
IntervalMethod = Literal["percentile", "bca"]
