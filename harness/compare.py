"""Is A better than B? A paired comparison of two ways to choose, from stored results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.accuracy import AVERAGE, MAJORITY, ORACLE, PASS_AT_1, Accuracies, Method, compute_accuracies
from harness.inference import Difference
from harness.registry import UserError, suggest
from harness.rendering import p_value, signed
from harness.results import Results
from harness.selection import Floats

STRATEGIES = ("best_of_n", "weighted_best_of_n")
_RULES = {"majority": MAJORITY, "pass@1": PASS_AT_1, "pass@n": ORACLE}
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """A against B with the responses of one generator, or on average over generators; accuracies are fractions."""

    generator: str
    a: float
    b: float
    difference: Difference


@dataclass(frozen=True, slots=True)
class ProblemDifference:
    """A problem on which A and B differ much: their expected accuracies on it, averaged over generators."""

    problem_id: str
    problem: str
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows per generator, then their average; the problems that differ most, largest difference first."""

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
        n: responses to choose from, by default the largest number that every generator has.
        strategy: how reward models choose, ``best_of_n`` or ``weighted_best_of_n``.

    Raises:
        UserError: for an unknown name or strategy, an ``n`` beyond the responses there are, or missing scores.
    """
    if strategy not in STRATEGIES:
        raise UserError(f"--strategy {strategy}: no such strategy{suggest(strategy, STRATEGIES)}")
    methods = [_method(results, name, strategy) for name in (a, b)]
    if n is None:
        n = int(results.grades.groupby("generator")["sample"].max().min()) + 1
    accuracies = compute_accuracies(results, n, {m.reward_model for m in methods})

    rows = []
    generators = [*accuracies.generators, *([AVERAGE] if accuracies.averaged else [])]
    for generator in generators:
        ours, theirs = (_values(results, accuracies, generator, m, n) for m in methods)
        both = np.isfinite(ours) & np.isfinite(theirs)
        if not both.any():
            raise UserError(f"{results.folder}: no problem of {generator} has scores of both {a} and {b}")
        found = accuracies.difference(ours, theirs)
        rows.append(ComparisonRow(generator, float(ours[both].mean()), float(theirs[both].mean()), found))
    # The last row's values: the average over generators where there is one.
    return Comparison(a, b, n, strategy, accuracies.protocol, tuple(rows), _most_different(results, ours, theirs))


def _method(results: Results, name: str, strategy: str) -> Method:
    if name in _RULES:
        return _RULES[name]
    variants = {f"{model}:{aggregation}": (model, aggregation) for model, aggregation in results.variants()}
    first = {model: (model, aggregation) for model, aggregation in reversed(results.variants())}
    found = first.get(name) or variants.get(name)
    if found is None:
        raise UserError(f"no reward model is named {name!r} in {results.folder}{suggest(name, [*first, *_RULES])}")
    return Method(strategy, *found)


def _values(results: Results, accuracies: Accuracies, generator: str, method: Method, n: int) -> Floats:
    values = accuracies.values(generator, method, n)
    if values is None:
        missing = f"{results.folder}: no scores of {method.reward_model} for {generator}"
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


def render(comparison: Comparison) -> RenderableType:
    """One screen for the terminal."""
    c = comparison
    rule = c.strategy.replace("_", "-")
    head = Text(f"{c.a} against {c.b}: {rule} accuracy (%) at n = {c.n}, protocol {c.protocol}", style="bold")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("generator", no_wrap=True)
    for name in (c.a, c.b):
        table.add_column(Text(name), justify="right", overflow="fold", min_width=5)
    for name in ("difference", "95 % interval", "p", "won:lost of"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in c.rows:
        d = row.difference
        table.add_row(
            Text(row.generator),
            f"{100 * row.a:.1f}",
            f"{100 * row.b:.1f}",
            Text(signed(100 * d.mean), style="bold" if d.low > 0 or d.high < 0 else ""),
            f"{signed(100 * d.low)} to {signed(100 * d.high)}",
            p_value(d.p_permutation),
            f"{d.won}:{d.lost} of {d.n_problems}",
        )
    parts: list[RenderableType] = [head, Text(), table]
    if c.problems:
        parts += [Text(), Text(f"Problems that differ most ({c.a} : {c.b})", style="bold")]
        for p in c.problems:
            # Problems are data: shown as plain text, on one line, never as markup.
            line = f"{p.problem_id}  {100 * p.a:.0f} : {100 * p.b:.0f}  {' '.join(p.problem.split())}"
            parts.append(Text(line, overflow="ellipsis", no_wrap=True))
    return Group(*parts)
