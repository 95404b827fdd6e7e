"""Why a reward model chooses as it does: a row of numbers about it for each generator and aggregation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd

from harness.analysis.accuracy import Accuracies, Samples
from harness.analysis.calibration import Bin, calibration_error, reliability
from harness.analysis.choosers import PASS_AT_1, Chooser
from harness.analysis.discrimination import best_of_four, pairs, rank_correlation
from harness.analysis.inference import Interval
from harness.analysis.rows import Columns, Fraction
from harness.analysis.selection import highest
from harness.core.arrays import Bools, Floats, Ints
from harness.storage.results import Results

#: (generator, chooser) -> the reliability curve of the chooser's scores of the generator's responses.
Curves = Mapping[tuple[str, Chooser], list[Bin]]


@dataclass(frozen=True, slots=True)
class DiagnosisRow:
    """How a reward model's scores of a generator's responses are ordered. NaN where a number does not exist.

    Attributes:
        auroc: how often a right response scores above a wrong one to the same problem, a tie counting a half; the mean
            over the problems that have both.
        pair_accuracy: the share of all such pairs in which the right one scores higher, a tie counting as a mistake.
            A problem counts by its pairs.
        best_of_4: how often a right response scores highest among itself and three wrong ones, ties shared; over the
            problems that have so many.
        length_right: Spearman's correlation of score and length in characters among the right responses to a problem,
            the mean over problems. Among equally right ones a longer text should count for nothing.
        length_wrong: the same among the wrong ones.
        lowest_first, lowest_last, lowest_place: see :class:`harness.analysis.lowest_step.LowestStep`.
        calibration_error: of scores that are probabilities (:func:`harness.analysis.calibration.calibration_error`).
        differs: how often the choice among all responses has another answer than their majority.
        right_there, majority_right_there: how often the choice, and the majority, are right where they differ.
        unshared: how often the chosen answer is one that no other response has; ``unshared_at_random``: how often that
            of a response drawn at random is.
    """

    generator: str
    reward_model: str
    aggregation: str
    auroc: Annotated[Interval, Columns(n_problems="n_problems")]
    pair_accuracy: Fraction
    best_of_4: Interval
    length_right: float
    length_wrong: float
    lowest_first: Fraction
    lowest_last: Fraction
    lowest_place: float
    calibration_error: Fraction
    differs: Fraction
    right_there: Fraction
    majority_right_there: Fraction
    unshared: Fraction
    unshared_at_random: Fraction


def diagnosis(
    results: Results, accuracies: Accuracies, choosers: Mapping[Chooser, str], curves: Curves
) -> list[DiagnosisRow]:
    """A row for each generator and best-of-n chooser (with its label) with scores of whole problems, by generator.

    Args:
        curves: as :func:`reliability_curves`.
    """
    lengths = {generator: _lengths(results, accuracies, generator) for generator in accuracies.generators}
    return [
        _row(
            accuracies, generator, chooser, choosers[chooser], lengths[generator], curves.get((generator, chooser), [])
        )
        for generator, chooser in accuracies.scored(choosers)
    ]


@dataclass(frozen=True, slots=True)
class CalibrationRow:
    """A bin of a reliability curve: the ``n_responses`` whose probability is between ``low`` and ``high``. The mean of
    their probabilities is ``stated``, and the share ``right`` of them is right."""

    generator: str
    reward_model: str
    aggregation: str
    low: Fraction
    high: Fraction
    n_responses: int
    stated: Fraction
    right: Fraction


def calibration(choosers: Mapping[Chooser, str], curves: Curves) -> list[CalibrationRow]:
    """The reliability curves as rows."""
    return [
        CalibrationRow(
            generator,
            choosers[chooser],
            chooser.aggregation,
            Fraction(one.low),
            Fraction(one.high),
            one.n_responses,
            Fraction(one.stated),
            Fraction(one.right),
        )
        for (generator, chooser), curve in curves.items()
        for one in curve
    ]


def reliability_curves(results: Results, accuracies: Accuracies, choosers: Iterable[Chooser]) -> Curves:
    """The reliability curves of the choosers whose scores are probabilities, by generator."""
    curves = {}
    for generator, chooser in accuracies.scored(choosers):
        if results.manifest.reward_models[chooser.reward_model].score_type == "probability":
            rows = accuracies.has_scores(generator, chooser)
            scores = accuracies.scores[generator, chooser].values[rows]
            scored = np.isfinite(scores)
            correct = accuracies.samples[generator].correct[rows][scored]
            curves[generator, chooser] = reliability(np.clip(scores[scored], 0.0, 1.0), correct)
    return curves


def _row(
    accuracies: Accuracies, generator: str, chooser: Chooser, label: str, lengths: Ints, curve: list[Bin]
) -> DiagnosisRow:
    samples, rows = accuracies.samples[generator], accuracies.has_scores(generator, chooser)
    scores, correct = accuracies.scores[generator, chooser].values, samples.correct
    compared = pairs(scores[rows], correct[rows])
    differing = disagreement(scores[rows], samples, rows)
    everywhere = np.ones(len(rows), dtype=bool)
    lowest = accuracies.lowest.get((chooser.reward_model, generator))
    return DiagnosisRow(
        generator=generator,
        reward_model=label,
        aggregation=chooser.aggregation,
        auroc=_interval(accuracies, rows, compared.auroc),
        pair_accuracy=_share(compared.ordered.sum(), compared.total.sum()),
        best_of_4=_interval(accuracies, rows, best_of_four(scores[rows], correct[rows])),
        length_right=_mean(accuracies, rows, rank_correlation(scores[rows], lengths[rows], correct[rows])),
        length_wrong=_mean(accuracies, rows, rank_correlation(scores[rows], lengths[rows], ~correct[rows])),
        lowest_first=Fraction(lowest.first if lowest else math.nan),
        lowest_last=Fraction(lowest.last if lowest else math.nan),
        lowest_place=lowest.place if lowest else math.nan,
        calibration_error=Fraction(calibration_error(curve)),
        differs=Fraction(_mean(accuracies, rows, differing.differs)),
        right_there=_share(np.nansum(differing.right), np.nansum(differing.differs)),
        majority_right_there=_share(np.nansum(differing.majority_right), np.nansum(differing.differs)),
        unshared=Fraction(_mean(accuracies, everywhere, accuracies.unshared[generator, chooser])),
        unshared_at_random=Fraction(_mean(accuracies, everywhere, accuracies.unshared[generator, PASS_AT_1])),
    )


@dataclass(frozen=True, slots=True)
class Disagreement:
    """How probable it is that a choice has another answer than the majority, and that it, or the majority, is right
    then: float [P] each, NaN where no response has an answer."""

    differs: Floats
    right: Floats
    majority_right: Floats


def disagreement(scores: Floats, samples: Samples, rows: Bools) -> Disagreement:
    """Compare the best-scored response to each problem with the most frequent answer; equals have equal chances.

    Args:
        scores: float [P', N], of the problems among ``rows``, bool [P].
    """
    chosen = highest(scores) / highest(scores).sum(axis=1, keepdims=True)
    differs, right, majority_right = (np.full(len(scores), np.nan) for _ in range(3))
    for row, (classes, correct) in enumerate(zip(samples.classes[rows], samples.correct[rows], strict=True)):
        names, counts = np.unique(classes[classes >= 0], return_counts=True)
        if not len(names):
            continue
        winners = names[counts == counts.max()]
        of_majority = np.isin(classes, winners) / len(winners)  # the chance that a response's answer is the majority's
        differs[row] = 1.0 - chosen[row] @ of_majority
        right[row] = chosen[row] @ (correct * (1.0 - of_majority))
        majority_right[row] = sum(
            (1.0 - chosen[row][classes == name].sum()) * correct[classes == name].mean() / len(winners)
            for name in winners
        )
    return Disagreement(differs, right, majority_right)


def _lengths(results: Results, accuracies: Accuracies, generator: str) -> Ints:
    """The characters of each response, int [P, N]; 0 where one is not stored."""
    table = results.lengths(generator)
    lengths: Ints = np.zeros(accuracies.samples[generator].correct.shape, dtype=np.int64)
    rows = pd.Index(accuracies.problem_ids).get_indexer(pd.Index(table["problem_id"]))
    columns = table["sample"].to_numpy(dtype=np.int64)
    keep = (rows >= 0) & (columns < lengths.shape[1])
    lengths[rows[keep], columns[keep]] = table["characters"].to_numpy(dtype=np.int64)[keep]
    return lengths


def _interval(accuracies: Accuracies, rows: Bools, values: Floats) -> Interval:
    """The mean of values of the problems among ``rows``, with its interval; all NaN without values."""
    if not np.isfinite(values).any():
        return Interval(math.nan, math.nan, math.nan, 0)
    return accuracies.interval(_everywhere(rows, values))


def _mean(accuracies: Accuracies, rows: Bools, values: Floats) -> float:
    return accuracies.mean(_everywhere(rows, values)) if np.isfinite(values).any() else math.nan


def _everywhere(rows: Bools, values: Floats) -> Floats:
    """Values of the problems among ``rows``, bool [P], as float [P]; NaN elsewhere."""
    everywhere = np.full(len(rows), np.nan)
    everywhere[rows] = values
    return everywhere


def _share(part: float, whole: float) -> Fraction:
    return Fraction(float(part / whole) if whole else math.nan)
