"""Why a reward model chooses as it does: a row of numbers about it for each generator and aggregation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Annotated, NamedTuple

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from harness.analysis.accuracy import Accuracies
from harness.analysis.calibration import Bin, calibration_error, merged, reliability
from harness.analysis.choosers import PASS_AT_1, Chooser
from harness.analysis.discrimination import ROC_GRID, best_of_four, pairs, rank_correlation, roc
from harness.analysis.inference import Interval
from harness.analysis.rows import Columns, Fraction
from harness.analysis.samples import Samples
from harness.analysis.selection import highest
from harness.core.arrays import Bools, Floats, Ints
from harness.core.records import Response
from harness.core.stages import StageKind
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
    rows = []
    for generator, pairs_of in groupby(accuracies.scored(choosers), key=itemgetter(0)):
        lengths = _lengths(results, accuracies, generator)
        for _, chooser in pairs_of:
            curve = curves.get((generator, chooser), [])
            rows.append(_row(accuracies, generator, chooser, choosers[chooser], lengths, curve))
    return rows


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
    return {
        (generator, chooser): merged(_reliability(accuracies, generator, chooser))
        for generator, chooser in accuracies.scored(choosers)
        if results.manifest.reward_models[chooser.reward_model].score_type == "probability"
    }


def _reliability(accuracies: Accuracies, generator: str, chooser: Chooser) -> Iterator[list[Bin]]:
    rows, correct = accuracies.has_scores(generator, chooser), accuracies.samples[generator].correct
    for block, scores in accuracies.score_blocks(generator, chooser):
        counted = np.isfinite(scores) & rows[block, None]
        yield reliability(np.clip(scores[counted], 0.0, 1.0), correct[block][counted])


def mean_roc(accuracies: Accuracies, generator: str, chooser: Chooser) -> Floats:
    """The mean ROC curve of a chooser's scores of a generator's responses, float [101], as :func:`discrimination.roc`;
    of several sets the mean of theirs."""
    samples, rows = accuracies.samples[generator], accuracies.has_scores(generator, chooser)
    curves: dict[str, list[Floats]] = {}
    weights: dict[str, list[int]] = {}
    for block, scores in accuracies.score_blocks(generator, chooser):
        correct = samples.correct[block]
        both = rows[block] & correct.any(axis=1) & ~correct.all(axis=1)  # other problems have no curve
        for one in accuracies.sets:
            own = both & one.members[block]
            if own.any():
                curves.setdefault(one.name, []).append(roc(scores[own], correct[own]))
                weights.setdefault(one.name, []).append(int(own.sum()))
    of_sets = [np.average(curves[name], axis=0, weights=weights[name]) for name in curves]
    mean: Floats = np.mean(of_sets, axis=0) if of_sets else np.full(len(ROC_GRID), np.nan)
    return mean


def _row(
    accuracies: Accuracies, generator: str, chooser: Chooser, label: str, lengths: NDArray[np.int32], curve: list[Bin]
) -> DiagnosisRow:
    rows = accuracies.has_scores(generator, chooser)
    found = _PerProblem.of(accuracies, generator, chooser, lengths)
    everywhere = np.ones(len(rows), dtype=bool)
    lowest = accuracies.lowest.get((chooser.reward_model, generator))
    return DiagnosisRow(
        generator=generator,
        reward_model=label,
        aggregation=chooser.aggregation,
        auroc=_interval(accuracies, rows, found.auroc),
        pair_accuracy=_share(found.ordered.sum(), found.total.sum()),
        best_of_4=_interval(accuracies, rows, found.best_of_4),
        length_right=_mean(accuracies, rows, found.length_right),
        length_wrong=_mean(accuracies, rows, found.length_wrong),
        lowest_first=Fraction(lowest.first if lowest else math.nan),
        lowest_last=Fraction(lowest.last if lowest else math.nan),
        lowest_place=lowest.place if lowest else math.nan,
        calibration_error=Fraction(calibration_error(curve)),
        differs=Fraction(_mean(accuracies, rows, found.differs)),
        right_there=_share(np.nansum(found.right_there), np.nansum(found.differs)),
        majority_right_there=_share(np.nansum(found.majority_right_there), np.nansum(found.differs)),
        unshared=Fraction(_mean(accuracies, everywhere, accuracies.unshared[generator, chooser])),
        unshared_at_random=Fraction(_mean(accuracies, everywhere, accuracies.unshared[generator, PASS_AT_1])),
    )


class _PerProblem(NamedTuple):
    """What a row is made of: numbers of the problems with scores, [P'] each."""

    auroc: Floats
    ordered: Ints
    total: Ints
    best_of_4: Floats
    length_right: Floats
    length_wrong: Floats
    differs: Floats
    right_there: Floats
    majority_right_there: Floats

    @classmethod
    def of(cls, accuracies: Accuracies, generator: str, chooser: Chooser, lengths: NDArray[np.int32]) -> _PerProblem:
        samples, rows = accuracies.samples[generator], accuracies.has_scores(generator, chooser)
        parts = []
        for block, values in accuracies.score_blocks(generator, chooser):
            own = rows[block]
            scores, correct, characters = values[own], samples.correct[block][own], lengths[block][own].astype(np.int64)
            compared, differing = pairs(scores, correct), disagreement(scores, samples.of(block), own)
            part = cls(
                auroc=compared.auroc,
                ordered=compared.ordered,
                total=compared.total,
                best_of_4=best_of_four(scores, correct),
                length_right=rank_correlation(scores, characters, correct),
                length_wrong=rank_correlation(scores, characters, ~correct),
                differs=differing.differs,
                right_there=differing.right,
                majority_right_there=differing.majority_right,
            )
            parts.append(part)
        return cls(*(np.concatenate(of_blocks) for of_blocks in zip(*parts, strict=True)))


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


def _lengths(results: Results, accuracies: Accuracies, generator: str) -> NDArray[np.int32]:
    """The characters of each response, int [P, N]; 0 where one is not stored."""
    lengths: NDArray[np.int32] = np.zeros(accuracies.samples[generator].correct.shape, dtype=np.int32)
    n_samples = lengths.shape[1]
    rows = results.rows(Response, StageKind.SAMPLE.folder, generator, columns=["problem_id", "sample", "text"])
    for table in rows:
        places, columns = rows.index.numbers(table), table.column("sample").to_numpy()
        keep = (places >= 0) & (columns < n_samples)
        lengths[places[keep], columns[keep]] = pc.utf8_length(table.column("text")).to_numpy()[keep]
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
