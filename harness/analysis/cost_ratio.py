"""The development cost of a Math-Shepherd reward model, divided by that of a CE reward model.

The ratio depends on the number of steps per response and of completions per step. All costs but those of the labels are
the counted ones. The labels are completions of the rollouts from the end of every step but the last. Their cost for
other numbers is computed from the counted cost: the number of prefixes is proportional to the number of steps minus
one, and the generated tokens are also proportional to the number of completions. This is right where more steps are a
finer division of the same text, because then completions start, on average, at the same place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated

import pandas as pd

from harness.analysis.costs import CONVENTIONS, DEVELOPMENT, by_scale, size_of
from harness.analysis.evaluation import Evaluation
from harness.analysis.rows import Columns

LABELLED, YARDSTICK = "Math-Shepherd", "CE"
_STEPS, _COMPLETIONS = (5, 10, 20), (4, 8, 16)


@dataclass(frozen=True, slots=True)
class CostRatioRow:
    """What a Math-Shepherd costs and what CE costs with as many responses, in FLOPs by item and in total.

    Where the two learn from different shares of the problems, CE's cost is that of the Math-Shepherd's share.
    ``steps`` are per response, ``completions`` per step. ``counted`` tells whether they are the run's own.
    """

    convention: str
    responses: int
    steps: float
    completions: int
    counted: bool
    labelled: Mapping[str, float]
    yardstick: Annotated[Mapping[str, float], Columns(prefix="ce_")]
    ratio: float


def cost_ratio(evaluation: Evaluation) -> list[CostRatioRow]:
    """A row per convention, responses per problem, steps per response and completions per step; none without both."""
    entries = by_scale(evaluation.trainings)
    labelled, yardstick = entries.get(LABELLED, {}), entries.get(YARDSTICK, {})
    return [
        row
        for responses in sorted(set(labelled) & set(yardstick))
        if (labels := _labels(evaluation, labelled[responses])) is not None
        for convention in CONVENTIONS
        for row in _rows(evaluation, convention, responses, labels, yardstick[responses])
    ]


@dataclass(frozen=True, slots=True)
class _Labels:
    """How a Math-Shepherd entry was labelled: steps per response, completions per step, tokens read and generated."""

    entry: str
    steps: float
    completions: int
    read: float
    generated: float


def _labels(evaluation: Evaluation, entry: str) -> _Labels | None:
    """The counted labels of an entry; None where nothing was completed or counted."""
    train = evaluation.results.manifest.reward_models[entry].train or {}
    facts, items = train.get("facts", {}), _items(evaluation)
    if not facts.get("n_responses") or not train.get("completions") or (entry, "labels") not in items.index:
        return None
    steps = facts["n_steps"] / facts["n_responses"]
    if steps <= 1:
        return None
    read, generated = (float(items[kind][entry, "labels"]) for kind in ("prompt_tokens", "completion_tokens"))
    return _Labels(entry, steps, int(train["completions"]), read, generated)


def _rows(
    evaluation: Evaluation, convention: str, responses: int, labels: _Labels, yardstick: str
) -> Iterator[CostRatioRow]:
    items = _items(evaluation)[convention]
    ours = {item: float(items.get((labels.entry, item), 0.0)) for item in DEVELOPMENT}
    size = size_of(evaluation.trainings[labels.entry], evaluation.trainings[yardstick])
    theirs = {item: size * float(items.get((yardstick, item), 0.0)) for item in DEVELOPMENT}
    ce_total = sum(theirs.values())
    # In the plain convention a prefix costs nothing to those who generate from it.
    share = 1.0 if convention == "plain_flops" else labels.generated / (labels.read + labels.generated)
    for steps, completions in product(sorted({labels.steps, *_STEPS}), sorted({labels.completions, *_COMPLETIONS})):
        per_step = 1 - share + share * completions / labels.completions
        parts = ours | {"labels": ours["labels"] * (steps - 1) / (labels.steps - 1) * per_step}
        total = sum(parts.values())
        yield CostRatioRow(
            convention,
            responses,
            steps,
            completions,
            counted=steps == labels.steps and completions == labels.completions,
            labelled=parts | {"total": total},
            yardstick=theirs | {"total": ce_total},
            ratio=total / ce_total,
        )


def _items(evaluation: Evaluation) -> pd.DataFrame:
    return evaluation.costs.set_index(["reward_model", "item"])
