"""Is A better than B? A paired comparison of two ways to choose, from stored results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, product

import numpy as np

from harness.analysis.accuracy import Accuracies, Key
from harness.analysis.choosers import AVERAGE, MAJORITY, ORACLE, PASS_AT_1, Chooser
from harness.analysis.compute_accuracies import compute_accuracies
from harness.analysis.inference import Bootstrap, Difference
from harness.analysis.power import Power, power
from harness.analysis.problem_sets import ProblemSet, in_every_set
from harness.analysis.rule_entries import Entry, Rules
from harness.analysis.scores import without_scores
from harness.analysis.seed_groups import seed_groups
from harness.analysis.seeds import BySeed, variance_of_seeds
from harness.analysis.seeds import compare as compare_by_seed
from harness.core.arrays import Floats
from harness.core.errors import UserError, suggest
from harness.storage.manifest import Manifest
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

    ``strategy`` is the rule that the reward models choose by, or the two rules. ``notes`` are sentences on what is
    compared.
    """

    a: str
    b: str
    n: int
    strategy: str
    protocol: str
    rows: tuple[ComparisonRow, ...]
    problems: tuple[ProblemDifference, ...]
    notes: tuple[str, ...] = ()


def compare(
    results: Results,
    a: str,
    b: str,
    n: int | None = None,
    strategy: str = "best_of_n",
    rules: Mapping[str, Entry] | None = None,
) -> Comparison:
    """Compare two reward models; either may be ``majority``, ``pass@1`` or ``pass@n`` instead.

    The name of a training with several seeds stands for the mean over them, ``<name>-seed<s>`` for one of them.

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
    sides = [side(results.manifest, name) for name in (a, b)]
    choosers = [chooser_of(results, of.name, strategy, of_results) for of in sides]
    asked = Rules({c.rule: rule for c in choosers if (rule := of_results.by_name.get(c.rule))})
    accuracies = compute_accuracies(results, n, {name for of in sides for name in of.trainings}, asked)
    if accuracies.rules_left_out:
        raise UserError(next(iter(accuracies.rules_left_out.values())))
    choosers = [_over_seeds(accuracies, of, chooser) for of, chooser in zip(sides, choosers, strict=True)]
    a, b = (
        name if chooser.reward_model not in accuracies.seeds else chooser.reward_model
        for name, chooser in zip((a, b), choosers, strict=True)
    )
    # Of one response there is nothing to choose.
    sizes = [size for size in accuracies.headline_n if size > 1] or list(accuracies.headline_n)

    generators = [*accuracies.generators, *([AVERAGE] if accuracies.averaged else [])]
    values: dict[tuple[str, int | None], list[BySeed]] = {}
    for generator, size in product(generators, sizes):
        ours, theirs = (_values(results, accuracies, generator, c, size) for c in choosers)
        if not in_every_set(accuracies.sets, np.isfinite(ours.mean - theirs.mean)):
            of = "" if len(accuracies.sets) == 1 else "some set, with the responses of "
            raise UserError(f"{results.folder}: no problem of {of}{generator} has scores of both {a} and {b}")
        values[generator, size] = [ours, theirs]
    if len(sizes) > 1:
        overall = [mean for c in choosers if (mean := accuracies.overall_by_seed(c)) is not None]
        if len(overall) == len(choosers):
            values[generators[-1], None] = overall
    rows = [_row(accuracies, generator, size, *pair) for (generator, size), pair in values.items()]
    if len(accuracies.sets) > 1:
        last = {size: pair for (generator, size), pair in values.items() if generator == generators[-1]}
        rows += [_of_set(one, generators[-1], size, *pair) for one in accuracies.sets for size, pair in last.items()]
    # Of the average over generators, where there is one, at the largest n.
    problems = _most_different(results, *(of.mean for of in values[generators[-1], sizes[-1]]))
    shown = " and ".join(dict.fromkeys(c.rule for c in choosers if c.reward_model)) or strategy
    return Comparison(a, b, sizes[-1], shown, accuracies.protocol, tuple(rows), problems)


@dataclass(frozen=True, slots=True)
class Side:
    """A side of a comparison: what it is called, with the suffixes that were given, and the trainings it is the mean
    of; itself alone where there is one."""

    name: str
    trainings: tuple[str, ...]


def side(manifest: Manifest, name: str) -> Side:
    """What a name on the command line stands for."""
    model, *suffixes = name.split(":")
    for trainings in seed_groups(manifest).values():
        first = next(iter(trainings.values()))
        alone = {f"{first}-seed{seed}": training for seed, training in trainings.items()}
        if model == first:
            return Side(name, tuple(trainings.values()))
        if model in alone:
            return Side(":".join([alone[model], *suffixes]), (alone[model],))
    return Side(name, (model,))


def _over_seeds(accuracies: Accuracies, of: Side, chooser: Chooser) -> Chooser:
    """The mean over the trainings of a side, where there are several that did not fail."""
    means = (name for name, trainings in accuracies.seeds.items() if set(trainings.values()) <= set(of.trainings))
    return chooser._replace(reward_model=next(means, chooser.reward_model))


def _row(accuracies: Accuracies, generator: str, n: int | None, ours: BySeed, theirs: BySeed) -> ComparisonRow:
    both = np.isfinite(ours.mean - theirs.mean)
    difference = accuracies.difference(ours, theirs)
    a, b = (accuracies.mean(np.where(both, of.mean, np.nan)) for of in (ours, theirs))
    return ComparisonRow(generator, n, a, b, difference, _power(accuracies.bootstrap, difference, ours, theirs))


def _power(bootstrap: Bootstrap, difference: Difference, ours: BySeed, theirs: BySeed) -> Power:
    (error,) = bootstrap.standard_errors((ours.mean - theirs.mean)[None])
    of_seeds = variance_of_seeds(bootstrap, ours, theirs)
    return power(difference.mean, float(error), difference.n_problems, of_seeds)


def _of_set(one: ProblemSet, generator: str, n: int | None, ours: BySeed, theirs: BySeed) -> ComparisonRow:
    """A row about the problems of one set, as a run of this set alone would have it."""
    both = np.where(one.members, ours.mean - theirs.mean, np.nan)
    mine, others = (BySeed(of.on(both).values[:, one.members], of.seeds) for of in (ours, theirs))
    a, b = (float(one.bootstrap.average(of.mean[None])[0]) for of in (mine, others))
    (difference,) = compare_by_seed(one.bootstrap, [mine], [others])
    enough = _power(one.bootstrap, difference, mine, others)
    return ComparisonRow(generator, n, a, b, difference, enough, one.name)


def chooser_of(results: Results, name: str, strategy: str, rules: Rules) -> Chooser:
    """What a name on the command line chooses by: that of a reward model by ``strategy``, where it names no rule.

    Raises:
        UserError: for a name that the results do not have.
    """
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


def _values(results: Results, accuracies: Accuracies, generator: str, chooser: Chooser, n: int) -> BySeed:
    values = accuracies.by_seed(generator, chooser, n)
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
