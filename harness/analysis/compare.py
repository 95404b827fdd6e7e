"""Is A better than B? A paired comparison of two ways to choose, from stored results."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from harness.analysis.accuracy import Accuracies, compute_accuracies
from harness.analysis.choosers import AVERAGE, MAJORITY, ORACLE, PASS_AT_1, Chooser
from harness.analysis.inference import Difference
from harness.analysis.power import Power, power
from harness.core.arrays import Floats
from harness.core.errors import UserError, suggest
from harness.storage.results import Results

STRATEGIES = ("best_of_n", "weighted_best_of_n")
_RULES = {"majority": MAJORITY, "pass@1": PASS_AT_1, "pass@n": ORACLE}
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """A against B at n with the responses of a generator, or on average over generators; accuracies are fractions.

    ``n`` is None in the row of the mean over generators and the sizes above 1.
    """

    generator: str
    n: int | None
    a: float
    b: float
    difference: Difference
    power: Power


@dataclass(frozen=True, slots=True)
class ProblemDifference:
    """A problem on which A and B differ much: their expected accuracies on it, averaged over generators."""

    problem_id: str
    problem: str
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows by generator and n, then averages; the problems that differ most at the largest n, the largest first."""

    a: str
    b: str
    n: int
    strategy: str
    protocol: str
    rows: tuple[ComparisonRow, ...]
    problems: tuple[ProblemDifference, ...]


def compare(results: Results, a: str, b: str, n: int | None = None, strategy: str = "best_of_n") -> Comparison:
    """Compare two reward models; either may be ``majority``, ``pass@1`` or ``pass@n`` instead.

    Args:
        a, b: names; ``name:aggregation`` for another aggregation than the reward model's headline one.
        n: responses to choose from, by default all sizes of the headline table above 1 and the mean over them.
        strategy: how reward models choose, ``best_of_n`` or ``weighted_best_of_n``.

    Raises:
        UserError: for an unknown name or strategy, an ``n`` beyond the responses there are, or missing scores.
    """
    if strategy not in STRATEGIES:
        raise UserError(f"--strategy {strategy}: no such strategy{suggest(strategy, STRATEGIES)}")
    choosers = [_chooser(results, name, strategy) for name in (a, b)]
    accuracies = compute_accuracies(results, n, {c.reward_model for c in choosers})
    # Of one response there is nothing to choose.
    sizes = [size for size in accuracies.headline_n if size > 1] or list(accuracies.headline_n)

    generators = [*accuracies.generators, *([AVERAGE] if accuracies.averaged else [])]
    values: dict[tuple[str, int | None], list[Floats]] = {}
    for generator, size in product(generators, sizes):
        ours, theirs = (_values(results, accuracies, generator, c, size) for c in choosers)
        if not np.isfinite(ours - theirs).any():
            raise UserError(f"{results.folder}: no problem of {generator} has scores of both {a} and {b}")
        values[generator, size] = [ours, theirs]
    if len(sizes) > 1:
        overall = [mean for c in choosers if (mean := accuracies.overall(c)) is not None]
        if len(overall) == len(choosers):
            values[generators[-1], None] = overall
    rows = tuple(_row(accuracies, generator, size, *pair) for (generator, size), pair in values.items())
    # Of the average over generators, where there is one, at the largest n.
    problems = _most_different(results, *values[generators[-1], sizes[-1]])
    return Comparison(a, b, sizes[-1], strategy, accuracies.protocol, rows, problems)


def _row(accuracies: Accuracies, generator: str, n: int | None, ours: Floats, theirs: Floats) -> ComparisonRow:
    both = np.isfinite(ours - theirs)
    difference = accuracies.difference(ours, theirs)
    (error,) = accuracies.bootstrap.standard_errors((ours - theirs)[None])
    enough = power(difference.mean, float(error), difference.n_problems)
    return ComparisonRow(generator, n, float(ours[both].mean()), float(theirs[both].mean()), difference, enough)


def _chooser(results: Results, name: str, strategy: str) -> Chooser:
    if name in _RULES:
        return _RULES[name]
    variants = {f"{model}:{aggregation}": (model, aggregation) for model, aggregation in results.variants()}
    first = {model: (model, aggregation) for model, aggregation in reversed(results.variants())}
    variant = first.get(name) or variants.get(name)
    if variant is None:
        raise UserError(f"no reward model is named {name!r} in {results.folder}{suggest(name, [*first, *_RULES])}")
    return Chooser(strategy, *variant)


def _values(results: Results, accuracies: Accuracies, generator: str, chooser: Chooser, n: int) -> Floats:
    values = accuracies.values(generator, chooser, n)
    if (why := accuracies.left_out.get(chooser.reward_model)) is not None:
        raise UserError(f"{results.folder}: {chooser.reward_model} is left out: {why}")
    if values is None:
        missing = f"{results.folder}: no scores of {chooser.reward_model} for {generator}"
        raise UserError(f"{missing}; run the experiment again")
    return values


def _most_different(results: Results, ours: Floats, theirs: Floats) -> tuple[ProblemDifference, ...]:
    difference = np.nan_to_num(ours - theirs)
    order = np.argsort(-np.abs(difference), kind="stable")[:_SHOWN]
    ids, texts = results.problems["problem_id"].tolist(), results.problems["problem"].tolist()
    return tuple(
        ProblemDifference(ids[i], texts[i], float(ours[i]), float(theirs[i]))
        for i in order
        if abs(difference[i]) > 1e-9
    )
