"""Who chooses among a problem's responses, and how choosers are named.

A chooser is a selection rule together with what the rule needs: for some rules a reward model, and the aggregation that
makes one score of the model's step rewards.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

AVERAGE = "average"  # the name of the mean over generators, where a generator's name stands


class Chooser(NamedTuple):
    """A selection rule with the reward model that it asks and the aggregation of the model's step rewards.

    ``rule`` is "average", "oracle" or "majority", which need no reward model, "best_of_n" or "weighted_best_of_n", or
    the name of a further one (:mod:`harness.analysis.rule_entries`).
    """

    rule: str
    reward_model: str = ""
    aggregation: str = ""

    @property
    def weighted(self) -> Chooser:
        """The chooser that votes with the same scores as weights."""
        return self._replace(rule="weighted_best_of_n")


PASS_AT_1 = Chooser("average")
MAJORITY = Chooser("majority")
ORACLE = Chooser("oracle")
#: The choosers that need no reward model, and their labels in tables and figures.
BASELINES = {PASS_AT_1: "pass@1", MAJORITY: "majority", ORACLE: "pass@n (oracle)"}


def first_aggregations(choosers: Iterable[Chooser]) -> dict[str, Chooser]:
    """Reward model → the first of its choosers. Choosers of a run come with the default aggregation first."""
    first: dict[str, Chooser] = {}
    for chooser in choosers:
        first.setdefault(chooser.reward_model, chooser)
    return first
