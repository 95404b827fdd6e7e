"""A smaller generator with n responses and somebody who chooses, against a larger generator's one response.

The smaller of two generators is the one that takes fewer FLOPs for a response. Both are measured on the same problems,
and differences are paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import inf, isfinite
from typing import Annotated

import numpy as np

from harness.analysis.choosers import PASS_AT_1, Chooser
from harness.analysis.compute import Compute
from harness.analysis.inference import Bootstrap, Interval
from harness.analysis.rows import Columns, Fraction
from harness.core.arrays import Floats

_TAILS = (0.025, 0.975)
_DIGITS = 12  # accuracies that are equal in exact arithmetic are as good as each other


@dataclass(frozen=True, slots=True)
class SmallerRow:
    """A choice among n responses of the ``smaller`` generator against one response of the ``larger`` one.

    Attributes:
        difference: accuracy of the choice minus that of the one response, on the problems that both have.
        ratio: FLOPs of the choice, in multiples of those of the one response.
        as_good_n: the smallest n, of those computed and from one response on, at which this choice is right at least as
            often as the larger generator; None where it is at none. ``as_good_low`` to ``as_good_high`` has 95 % of the
            bootstrap draws; None stands for more than the largest n.
    """

    smaller: str
    larger: str
    reward_model: str
    strategy: str
    aggregation: str
    n: int
    accuracy: Fraction
    larger_accuracy: Fraction
    difference: Annotated[Interval, Columns(n_problems="n_problems")]
    flops: float
    larger_flops: float
    ratio: float
    as_good_n: int | None
    as_good_low: int | None
    as_good_high: int | None


def smaller_generators(compute: Compute, bootstrap: Bootstrap) -> list[SmallerRow]:
    """The rows of every pair of generators whose FLOPs are known and that share problems."""
    alone = {
        row.generator: place
        for place, (chooser, row) in enumerate(zip(compute.choosers, compute.rows, strict=True))
        if chooser == PASS_AT_1 and not row.unknown
    }
    rows: list[SmallerRow] = []
    for smaller, larger in permutations(alone, 2):
        ours, theirs = compute.rows[alone[smaller]].flops, compute.rows[alone[larger]].flops
        # Of two that take the same, the first is the smaller one.
        if (ours, list(alone).index(smaller)) < (theirs, list(alone).index(larger)):
            for places in _choices(compute, smaller):
                rows += _rows(compute, bootstrap, alone[smaller], alone[larger], places)
    return rows


def at_most_responses(rows: Sequence[SmallerRow]) -> list[SmallerRow]:
    """Of each pair of generators and chooser the row with the largest n."""
    last = {(row.smaller, row.larger, row.reward_model, row.strategy): row for row in rows}
    return list(last.values())


def best_of_pairs(rows: Sequence[SmallerRow]) -> list[SmallerRow]:
    """Of each pair of generators the choice among most responses that is right most often; of equals the first."""
    best: dict[tuple[str, str], SmallerRow] = {}
    for row in at_most_responses(rows):
        known = best.setdefault((row.smaller, row.larger), row)
        if row.accuracy > known.accuracy:
            best[row.smaller, row.larger] = row
    return list(best.values())


def _choices(compute: Compute, generator: str) -> Iterator[list[int]]:
    """The places of a generator's choices that are known, a chooser at a time, by ascending n."""
    by_chooser: dict[Chooser, list[int]] = {}
    for place, (chooser, row) in enumerate(zip(compute.choosers, compute.rows, strict=True)):
        if row.generator == generator and chooser != PASS_AT_1 and not row.unknown:
            by_chooser.setdefault(chooser, []).append(place)
    yield from by_chooser.values()


def _rows(compute: Compute, bootstrap: Bootstrap, smaller: int, larger: int, places: list[int]) -> Iterator[SmallerRow]:
    """The rows of one chooser; without any where it has no problem of the larger generator's.

    Args:
        smaller, larger: the places of one response of each generator.
        places: those of the choices.
    """
    theirs = compute.values[larger]
    values = np.array([compute.values[place] for place in (smaller, *places)])
    differences = values - theirs
    if not np.isfinite(differences).any(axis=1).all():
        return
    ns = np.array([compute.rows[place].n for place in (smaller, *places)], dtype=np.float64)
    first = _first_as_good(ns, bootstrap.average(differences)[None])[0]
    low, high = np.quantile(_first_as_good(ns, bootstrap.means(differences)), _TAILS, method="inverted_cdf").tolist()
    as_good = [int(n) if isfinite(n) else None for n in (first, low, high)]
    intervals = bootstrap.intervals(differences[1:])
    alone = compute.rows[larger]
    for place, ours, interval in zip(places, values[1:], intervals, strict=True):
        row, both = compute.rows[place], np.isfinite(ours - theirs)
        means = bootstrap.average(np.where(both, [ours, theirs], np.nan)).tolist()
        yield SmallerRow(
            smaller=row.generator,
            larger=alone.generator,
            reward_model=row.reward_model,
            strategy=row.strategy,
            aggregation=row.aggregation,
            n=row.n,
            accuracy=Fraction(means[0]),
            larger_accuracy=Fraction(means[1]),
            difference=interval,
            flops=row.flops,
            larger_flops=alone.flops,
            ratio=row.flops / alone.flops,
            as_good_n=as_good[0],
            as_good_low=as_good[1],
            as_good_high=as_good[2],
        )


def _first_as_good(ns: Floats, differences: Floats) -> Floats:
    """The first n at which each draw's difference is not below 0; infinite where there is none.

    Args:
        ns: float [choices], ascending.
        differences: float [draws, choices].
    """
    as_good = np.round(differences, _DIGITS) >= 0
    return np.where(as_good.any(axis=1), ns[np.argmax(as_good, axis=1)], inf)
