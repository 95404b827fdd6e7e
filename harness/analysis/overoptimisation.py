"""Where choosing among more responses stops helping, while the score of what is chosen goes on rising.

Nothing here goes beyond the responses there are. What best-of-n does at an n above N depends on scores that are rarer
than any of those seen: a fitted curve would state its own form.

A proxy that is optimised too far goes up while what it stands for goes down (Gao, Schulman and Hilton 2023, "Scaling
laws for reward model overoptimization"). How far best-of-n goes from the generator's own distribution is bounded by
KL <= log n - (n - 1) / n, in nats; with equality where no two responses are equal (Beirami et al. 2024, "Theoretical
guarantees on the best-of-n alignment policy").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Annotated, NamedTuple

import numpy as np

from harness.analysis.accuracy import Accuracies
from harness.analysis.choosers import PASS_AT_1, Chooser
from harness.analysis.estimators import expected_best_score
from harness.analysis.inference import Difference, Interval, corrected
from harness.analysis.rows import Columns, Fraction
from harness.core.arrays import Floats

_TAILS = (0.025, 0.975)
_DIGITS = 12  # accuracies that are equal in exact arithmetic share a peak
#: Below this corrected p a fall is called one.
LEVEL = 0.05


def kl_bound(n: int) -> float:
    """The largest KL divergence, in nats, of the best of n from the distribution of one sample."""
    return log(n) - (n - 1) / n


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """What best-of-n chooses at n: its expected score, in the reward model's own units, and its expected accuracy.

    ``score`` is a mean over the problems that have a score of every response, NaN where there is none.
    ``in_deviations`` is how far it is above the score of a response drawn at random, in standard deviations of all.
    """

    generator: str
    reward_model: str
    aggregation: str
    n: int
    kl_bound: float
    score: float
    in_deviations: float
    accuracy: Interval


@dataclass(frozen=True, slots=True)
class PeakRow:
    """Where best-of-n is right most often, and how much less so among all n responses.

    Attributes:
        peak_n: the n with the highest accuracy, the smallest of equals; ``peak_low`` to ``peak_high`` has 95 % of the
            bootstrap draws' peaks.
        change: accuracy among all n minus that at the peak, paired. Each smaller n was compared with n; ``p_holm`` is
            corrected for their number, as the peak is picked from the same data, and 1 where the peak is n.
        unshared: how often the choice among all is an answer that no other response has, and
            ``unshared_at_random`` how often that of a response drawn at random is.
    """

    generator: str
    reward_model: str
    aggregation: str
    peak_n: int
    peak_low: int
    peak_high: int
    peak: Fraction
    n: int
    last: Fraction
    change: Annotated[Difference, Columns(p_permutation="change_p", p_holm="change_p_holm")]
    unshared: Fraction
    unshared_at_random: Fraction

    @property
    def falls(self) -> bool:
        """Whether more responses make the choice worse by more than chance explains."""
        return self.change.p_holm < LEVEL and self.change.mean < 0


def score_curves(accuracies: Accuracies, choosers: Mapping[Chooser, str]) -> list[ScoreRow]:
    """A row for each generator, best-of-n chooser (with its label) and n."""
    rows = []
    for generator, chooser in accuracies.scored(choosers):
        curve = accuracies.curve(generator, chooser)
        scores = _expected_scores(accuracies, generator, chooser, list(curve))
        for (n, accuracy), score in zip(curve.items(), scores.best, strict=True):
            row = ScoreRow(
                generator=generator,
                reward_model=choosers[chooser],
                aggregation=chooser.aggregation,
                n=n,
                kl_bound=kl_bound(n),
                score=float(score),
                in_deviations=float((score - scores.mean) / scores.deviation) if scores.deviation else 0.0,
                accuracy=accuracy,
            )
            rows.append(row)
    return rows


def peaks(accuracies: Accuracies, choosers: Mapping[Chooser, str]) -> list[PeakRow]:
    """A row for each generator and best-of-n chooser (with its label) that was evaluated at two n or more."""
    rows = [
        _peak(accuracies, generator, chooser, choosers[chooser]) for generator, chooser in accuracies.scored(choosers)
    ]
    return [row for row in rows if row is not None]


def _peak(accuracies: Accuracies, generator: str, chooser: Chooser, label: str) -> PeakRow | None:
    at = {n: v for n in accuracies.ns(generator) if (v := accuracies.values(generator, chooser, n)) is not None}
    if len(at) < 2:
        return None
    ns, values = np.array(list(at)), np.array(list(at.values()))
    means = accuracies.bootstrap.average(values)
    best = int(np.argmax(np.round(means, _DIGITS)))
    drawn = np.round(accuracies.bootstrap.means(values), _DIGITS)
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    low, high = np.quantile(ns[np.argmax(drawn, axis=1)], _TAILS, method="inverted_cdf")
    changes = corrected(accuracies.bootstrap.compare(np.tile(values[-1], (len(ns) - 1, 1)), values[:-1]))
    # No change is one that nothing speaks against.
    changes.append(replace(accuracies.difference(values[-1], values[-1]), p_holm=1.0))
    alone, at_random = (Fraction(accuracies.mean(accuracies.unshared[generator, c])) for c in (chooser, PASS_AT_1))
    return PeakRow(
        generator=generator,
        reward_model=label,
        aggregation=chooser.aggregation,
        peak_n=int(ns[best]),
        peak_low=int(low),
        peak_high=int(high),
        peak=Fraction(float(means[best])),
        n=int(ns[-1]),
        last=Fraction(float(means[-1])),
        change=changes[best],
        unshared=alone,
        unshared_at_random=at_random,
    )


def _expected_scores(accuracies: Accuracies, generator: str, chooser: Chooser, ns: Sequence[int]) -> _Scores:
    """The mean score of the best of n at each of ``ns``, float [len(ns)], and the mean and deviation of all scores."""
    rows, parts = accuracies.has_scores(generator, chooser), []
    of_problems = np.full((len(ns) + 1, len(rows)), np.nan)
    for block, values in accuracies.score_blocks(generator, chooser):
        scored = rows[block] & np.isfinite(values).all(axis=1)
        scores = values[scored]
        if not scores.size:
            continue
        if accuracies.protocol == "subsets":
            best = expected_best_score(scores, ns)
        else:
            best = np.array([scores[:, :n].max(axis=1) for n in ns])
        of_problems[:, block][:, scored] = [*best, scores.mean(axis=1)]
        parts.append((scores.size, scores.mean(), scores.var()))
    if not parts:
        return _Scores(np.full(len(ns), np.nan), np.nan, np.nan)
    sizes, means, variances = np.array(parts).T
    mean = means[0] + np.average(means - means[0], weights=sizes)  # so that equal scores have no deviation
    variance = np.average(variances + (means - mean) ** 2, weights=sizes)
    *best_of, of_all = accuracies.bootstrap.average(of_problems)
    return _Scores(np.array(best_of), float(of_all), float(np.sqrt(variance)))


class _Scores(NamedTuple):
    best: Floats
    mean: float
    deviation: float
