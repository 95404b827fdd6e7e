"""Where a reward model chooses worse among more responses, and what it chooses then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.analysis.choosers import PASS_AT_1
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import Interval
from harness.analysis.rows import Fraction


@dataclass(frozen=True, slots=True)
class FallRow:
    """Best-of-n is right more often among ``best_n`` responses than among all ``n``; ``change`` is paired.

    ``unshared`` of its choices among all ``n`` are an answer that no other response has, ``unshared_at_random`` of all
    responses are.
    """

    reward_model: str
    generator: str
    best_n: int
    best: Fraction
    n: int
    last: Fraction
    change: Interval
    unshared: Fraction
    unshared_at_random: Fraction


def falls(evaluation: Evaluation) -> list[FallRow]:
    """A row for each reward model and generator whose change from the best n to the largest has an interval below 0.

    The best n is picked from the data, which makes falls look larger than they are.
    """
    accuracies = evaluation.accuracies
    rows = []
    for chooser, label in evaluation.choosers.items():
        for generator in accuracies.generators:
            at = {n: v for n in accuracies.ns(generator) if (v := accuracies.values(generator, chooser, n)) is not None}
            if len(at) < 2:
                continue
            means = {n: float(np.nanmean(values)) for n, values in at.items()}
            best, last = max(means, key=lambda n: (means[n], -n)), max(at)
            change = accuracies.interval(at[last] - at[best])
            if change.high >= 0:
                continue
            alone, at_random = (
                Fraction(float(np.nanmean(accuracies.unshared[generator, c]))) for c in (chooser, PASS_AT_1)
            )
            row = FallRow(
                label, generator, best, Fraction(means[best]), last, Fraction(means[last]), change, alone, at_random
            )
            rows.append(row)
    return rows
