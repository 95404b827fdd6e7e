"""Is A better than B? A paired comparison of two ways to choose, from stored results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, product

import numpy as np

from harness.analysis.accuracy import Accuracies, Key, compute_accuracies
from harness.analysis.choosers import AVERAGE, MAJORITY, ORACLE, PASS_AT_1, Chooser
from harness.analysis.inference import Bootstrap, Difference
from harness.analysis.power import Power, power
from harness.analysis.problem_sets import ProblemSet, in_every_set
from harness.analysis.rule_entries import Entry, Rules
from harness.analysis.scores import without_scores
from harness.core.arrays import Floats
from harness.core.errors import UserError, suggest
from harness.storage.results import Results

STRATEGIES = ("best_of_n", "weighted_best_of_n")  # and the rules of the results, or of the command line
_RULES = {"majority": MAJORITY, "pass@1": PASS_AT_1, "pass@n": ORACLE}
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """A against B at n with the responses of a generator, or on average over generators; accuracies are fractions.

    ``n`` is None in the row of the mean over generators and the sizes above 1. ``set`` is the problem set of a row that
    is about one of several; "" in a row about all problems, of several sets the mean over these.
    """

    generator: str
    n: int | None
    a: float
    b: float
    difference: Difference
    power: Power
    set: str = ""


@dataclass(frozen=True, slots=True)
class ProblemDifference:
    """A problem on which A and B differ much: their expected accuracies on it, averaged over generators."""

    problem_id: str
    problem: str
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows by generator and n, then averages; of several problem sets, then each set's rows, of the last generator or
    the average. The problems are those that differ most at the largest n, the largest first.

    ``strategy`` is the rule that the reward models choose by, or the two rules.
    """

    a: str
    b: str
    n: int
    strategy: str
    protocol: str
    rows: tuple[ComparisonRow, ...]
    problems: tuple[ProblemDifference, ...]


def compare(
    results: Results,
    a: str,
    b: str,
    n: int | None = None,
    strategy: str = "best_of_n",
    rules: Mapping[str, Entry] | None = None,
) -> Comparison:
    """Compare two reward models; either may be ``majority``, ``pass@1`` or ``pass@n`` instead.

    Args:
        a, b: names; ``name:aggregation`` for another aggregation than the reward model's headline one, ``name:rule``
            for another selection rule than ``strategy``; both may be said.
        n: responses to choose from, by default all sizes of the headline table above 1 and the mean over them.
        strategy: how reward models choose, ``best_of_n``, ``weighted_best_of_n`` or another rule of the results.
        rules: selection rules (name -> entry) beside those of the results.

    Raises:
        UserError: for an unknown name or strategy, a rule that fails, an ``n`` beyond the responses there are, or
            missing scores.
    """
    of_results = Rules.of(results.manifest, rules)
    if not _is_rule(strategy, of_results):
        choices = (*STRATEGIES, *of_results.by_name)
        raise UserError(f"--strategy {strategy}: no such strategy{suggest(strategy, choices)}")
    choosers = [_chooser(results, name, strategy, of_results) for name in (a, b)]
    asked = Rules({c.rule: rule for c in choosers if (rule := of_results.by_name.get(c.rule))})
    accuracies = compute_accuracies(results, n, {c.reward_model for c in choosers}, asked)
    if accuracies.rules_left_out:
        raise UserError(next(iter(accuracies.rules_left_out.values())))
    # Of one response there is nothing to choose.
    sizes = [size for size in accuracies.headline_n if size > 1] or list(accuracies.headline_n)

    generators = [*accuracies.generators, *([AVERAGE] if accuracies.averaged else [])]
    values: dict[tuple[str, int | None], list[Floats]] = {}
    for generator, size in product(generators, sizes):
        ours, theirs = (_values(results, accuracies, generator, c, size) for c in choosers)
        if not in_every_set(accuracies.sets, np.isfinite(ours - theirs)):
            of = "" if len(accuracies.sets) == 1 else "some set, with the responses of "
            raise UserError(f"{results.folder}: no problem of {of}{generator} has scores of both {a} and {b}")
        values[generator, size] = [ours, theirs]
    if len(sizes) > 1:
        overall = [mean for c in choosers if (mean := accuracies.overall(c)) is not None]
        if len(overall) == len(choosers):
            values[generators[-1], None] = overall
    rows = [_row(accuracies, generator, size, *pair) for (generator, size), pair in values.items()]
    if len(accuracies.sets) > 1:
        last = {size: pair for (generator, size), pair in values.items() if generator == generators[-1]}
        rows += [_of_set(one, generators[-1], size, *pair) for one in accuracies.sets for size, pair in last.items()]
    # Of the average over generators, where there is one, at the largest n.
    problems = _most_different(results, *values[generators[-1], sizes[-1]])
    shown = " and ".join(dict.fromkeys(c.rule for c in choosers if c.reward_model)) or strategy
    return Comparison(a, b, sizes[-1], shown, accuracies.protocol, tuple(rows), problems)


def _row(accuracies: Accuracies, generator: str, n: int | None, ours: Floats, theirs: Floats) -> ComparisonRow:
    both = np.isfinite(ours - theirs)
    difference = accuracies.difference(ours, theirs)
    a, b = (accuracies.mean(np.where(both, values, np.nan)) for values in (ours, theirs))
    return ComparisonRow(generator, n, a, b, difference, _power(accuracies.bootstrap, difference, ours - theirs))


def _power(bootstrap: Bootstrap, difference: Difference, values: Floats) -> Power:
    (error,) = bootstrap.standard_errors(values[None])
    return power(difference.mean, float(error), difference.n_problems)


def _of_set(one: ProblemSet, generator: str, n: int | None, ours: Floats, theirs: Floats) -> ComparisonRow:
    """A row about the problems of one set, as a run of this set alone would have it."""
    both = one.members & np.isfinite(ours - theirs)
    of_both = [np.where(both, values, np.nan)[None, one.members] for values in (ours, theirs)]
    a, b = (float(one.bootstrap.average(values)[0]) for values in of_both)
    difference = one.bootstrap.compare(*of_both)[0]
    enough = _power(one.bootstrap, difference, (of_both[0] - of_both[1])[0])
    return ComparisonRow(generator, n, a, b, difference, enough, one.name)


def _chooser(results: Results, name: str, strategy: str, rules: Rules) -> Chooser:
    if name in _RULES:
        return _RULES[name]
    model, *parts = name.split(":")
    aggregations = [aggregation for of, aggregation in results.variants() if of == model]
    if why := without_scores(results).get(model):
        raise UserError(f"{results.folder}: {model} is left out: {why}")
    if not aggregations:
        models = dict.fromkeys(of for of, _ in results.variants())
        raise UserError(f"no reward model is named {model!r} in {results.folder}{suggest(model, [*models, *_RULES])}")
    said = {"aggregation": [p for p in parts if p in aggregations], "rule": [p for p in parts if _is_rule(p, rules)]}
    for part in parts:
        if part not in chain(*said.values()):
            choices = [*aggregations, *STRATEGIES, *rules.by_name]
            raise UserError(
                f"{name}: {part!r} is no aggregation and no rule of {results.folder}{suggest(part, choices)}"
            )
    for what, of_name in said.items():
        if len(of_name) > 1:
            raise UserError(f"{name}: one {what} is expected, not {' and '.join(of_name)}")
    return Chooser((said["rule"] or [strategy])[0], model, (said["aggregation"] or aggregations)[0])


def _is_rule(name: str, rules: Rules) -> bool:
    """Whether a name is that of a selection rule.

    Raises:
        UserError: where it is that of one which cannot be used.
    """
    if name in rules.left_out:
        raise UserError(f"{name}: {rules.left_out[name]}")
    return name in STRATEGIES or name in rules.by_name


def _values(results: Results, accuracies: Accuracies, generator: str, chooser: Chooser, n: int) -> Floats:
    values = accuracies.values(generator, chooser, n)
    has_some = Key(generator, chooser, accuracies.protocol, n) in accuracies.partial
    if (why := accuracies.left_out.get(chooser.reward_model)) is not None:
        raise UserError(f"{results.folder}: {chooser.reward_model} is left out: {why}")
    if values is None:
        of = "for every problem set with the responses of" if has_some else "for"
        missing = f"{results.folder}: no scores of {chooser.reward_model} {of} {generator}"
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
