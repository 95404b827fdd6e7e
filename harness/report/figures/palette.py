"""Which colour and marker a method has: the same in all figures of a run, and for the paper's methods in all runs.

Colours are Okabe and Ito's, which survive the common colour-vision deficiencies; markers and dashes repeat what
colour says, so that the figures read in grey.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.analysis.choosers import Chooser
from harness.analysis.evaluation import Evaluation

_SLOTS = (
    ("#0072B2", "o"),
    ("#D55E00", "s"),
    ("#009E73", "^"),
    ("#AA4A85", "D"),
    ("#B37A00", "v"),
    ("#332288", "X"),
    ("#882255", ">"),
    ("#7A7A1F", "<"),
    ("#2F8FC4", "P"),
    ("#4D4D4D", "h"),
)
# The paper's methods keep their colours whatever else a run compares.
_RESERVED = {"DPO": 0, "CE": 1, "NCA": 2, "KTO": 3, "Math-Shepherd": 4, "AutoPSV": 5}


@dataclass(frozen=True, slots=True)
class Look:
    """A method's colour and marker; ``hollow`` ones are dashed with empty markers."""

    color: str
    marker: str
    hollow: bool = False

    def line(self) -> dict[str, Any]:
        """Matplotlib's options for a line with markers."""
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": (0, (4, 1.6)) if self.hollow else "-",
            "markerfacecolor": "white" if self.hollow else self.color,
            "markeredgecolor": self.color,
            "markeredgewidth": 1.1,
        }


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """The look of each method, in order of appearance; looks repeat after ten."""
    names = list(dict.fromkeys(methods))
    taken = {_RESERVED[name] for name in names if name in _RESERVED}
    # Untrained reward models start after the paper's methods, so that both keep their colours side by side.
    free = [i for i in (*range(6, len(_SLOTS)), *range(6)) if i not in taken] or list(range(len(_SLOTS)))
    others = [name for name in names if name not in _RESERVED]
    slots = {name: _RESERVED[name] for name in names if name in _RESERVED}
    slots |= {name: free[i % len(free)] for i, name in enumerate(others)}
    return {name: Look(*_SLOTS[slot]) for name, slot in slots.items()}


@dataclass(frozen=True)
class Palette:
    """The looks of a run's best-of-n choosers. ``headline`` are the choosers worth a line each in a crowded figure: of
    each method the one whose reward model was trained on most, in its first aggregation. ``methods`` are the same, but
    means over seeds in the place of the first seed."""

    looks: Mapping[Chooser, Look]
    headline: tuple[Chooser, ...]
    methods: tuple[Chooser, ...]

    @classmethod
    def of(cls, evaluation: Evaluation) -> Palette:
        """Choosers of one training method share a colour; dashes tell those that score without the reference."""
        choosers, trainings, first = evaluation.choosers, evaluation.trainings, evaluation.first_choosers
        # One reward model in several aggregations: then the aggregations are told apart.
        by_aggregation = len(choosers) > len(first) == 1

        def group(chooser: Chooser) -> str:
            method = trainings[chooser.reward_model].training_method
            return f"{method} {chooser.aggregation}" if by_aggregation else method

        of_methods = [first[t.reward_model] for t in evaluation.headline if t.reward_model in first]
        headline = tuple(choosers if by_aggregation else of_methods)
        # Colours are dealt to the headline choosers first: they are the ones that meet in one panel.
        by_group = looks(group(chooser) for chooser in (*headline, *choosers))
        looks_of = {c: replace(by_group[group(c)], hollow=not trainings[c.reward_model].reference) for c in choosers}
        return cls(
            looks_of | {evaluation.method(c): look for c, look in looks_of.items()},
            headline,
            tuple(dict.fromkeys(map(evaluation.method, headline))),
        )
