"""From stored grades and scores to accuracies, a block of problems at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.analysis.accuracy import Accuracies, Key
from harness.analysis.choosers import AVERAGE, MAJORITY, ORACLE, PASS_AT_1, Chooser
from harness.analysis.estimators import (
    expected_best_of_n,
    expected_choices,
    expected_votes,
    first_n_average,
    first_n_best,
    first_n_choices,
    first_n_oracle,
    first_n_votes,
    grid,
    pass_at_n,
)
from harness.analysis.problem_sets import ProblemSet, in_every_set, over_sets, problem_sets
from harness.analysis.rule_entries import Rules
from harness.analysis.samples import Samples, graded_samples
from harness.analysis.scores import ScoreBlocks, Scores, failed_models, without_scores
from harness.analysis.seed_groups import SeedGroups, seed_groups
from harness.analysis.selection import best_of_n, unshared, vote_weights
from harness.core.arrays import Bools, Floats
from harness.core.errors import UserError
from harness.storage.results import Results

K = TypeVar("K")
T = TypeVar("T", np.float64, np.bool_)


def compute_accuracies(
    results: Results,
    n: int | None = None,
    reward_models: Collection[str] | None = None,
    rules: Rules | None = None,
) -> Accuracies:
    """The accuracies of every chooser, for every generator, protocol and n.

    Args:
        results: the results folder.
        n: compute the accuracies at this n, and at n = all samples. Default: the sizes of the report.
        reward_models: compute the choosers of these reward models only. Default: all reward models.
        rules: selection rules beside the usual ones. Default: those of the results.

    Raises:
        UserError: where ``n`` is larger than the number of samples per problem, and where no problem has all its
            samples from some generator.
    """
    manifest = results.manifest
    seed = manifest.seed
    problem_ids = tuple(results.problems["problem_id"])
    rules = Rules.of(manifest) if rules is None else rules
    rules_left_out = dict(rules.left_out)
    rows: dict[Key, Floats] = {}
    samples_of: dict[str, Samples] = {}
    stored: dict[str, ScoreBlocks] = {}
    has_all: dict[tuple[str, Chooser], Bools] = {}
    of_choices: dict[tuple[str, Chooser], Floats] = {}
    wanted = set(manifest.reward_models if reward_models is None else reward_models)
    unusable = failed_models(results) | without_scores(results)
    left_out = {name: why for name, why in unusable.items() if name in wanted}
    refused: dict[str, str] = {}
    sizes = []
    sets = problem_sets(results)
    for generator in manifest.generators:
        samples = graded_samples(results, generator)
        if lacking := next((one for one in sets if not samples.complete[one.members].any()), None):
            of = f" of {lacking.name}" if len(sets) > 1 else ""
            raise UserError(
                f"{results.folder}: no problem{of} has all its responses of {generator}; run the experiment again"
            )
        sizes.append(samples.correct.shape[1])
        if n is not None and not 1 <= n <= sizes[-1]:
            raise UserError(f"n = {n}: {generator} has {sizes[-1]} responses per problem; choose 1 to {sizes[-1]}")
        ns = grid(sizes[-1], manifest.evaluation.n) if n is None else sorted({n, sizes[-1]})
        read = ScoreBlocks(results, generator, sizes[-1], samples.unanswered, wanted - left_out.keys())
        samples_of[generator], stored[generator] = samples, read
        refused |= {name: why for name, why in read.refused.items() if name not in refused}
        curves: dict[tuple[str, Chooser], Floats] = {}
        for block in read.blocks:
            part, scores = samples.of(block), read.scores(block)
            for variant, own in scores.items():
                _put(has_all, (generator, Chooser("best_of_n", *variant)), block, own.complete, len(problem_ids))
            for chooser, alone in _unshared(part, scores):
                _put(of_choices, (generator, chooser), block, alone, len(problem_ids))
            for protocol in manifest.evaluation.protocol:
                usual = _curves(results, part, scores, protocol, ns, seed)
                others = _of_rules(results, part, scores, protocol, ns, rules, rules_left_out)
                for chooser, values in chain(usual, others):
                    _put(curves, (protocol, chooser), block, values, len(problem_ids))
        for (by_protocol, chooser), of_all in curves.items():
            for size, at_size in zip(ns, of_all, strict=True):
                if np.isfinite(at_size).any():
                    rows[Key(generator, chooser, by_protocol, size)] = at_size
    left_out |= refused
    rows = {
        key: values
        for key, values in rows.items()
        if key.chooser.reward_model not in left_out and key.chooser.rule not in rules_left_out
    }
    rows |= _averages(rows, tuple(manifest.generators))
    partial = {key: values for key, values in rows.items() if not in_every_set(sets, np.isfinite(values))}
    rows = {key: values for key, values in rows.items() if key not in partial}
    left_out |= _without_a_set(rows, partial, sets)
    seeds = seed_groups(manifest, left_out.keys() | (manifest.reward_models.keys() - wanted))
    rows |= _means_over_seeds(rows, seeds)
    partial |= _means_over_seeds(partial, seeds)
    headline = [n] if n is not None else [k for k in manifest.evaluation.n if k <= min(sizes)] or [min(sizes)]
    return Accuracies(
        problem_ids=problem_ids,
        generators=tuple(manifest.generators),
        protocols=tuple(manifest.evaluation.protocol),
        headline_n=tuple(sorted(headline)),
        rows=rows,
        samples=samples_of,
        has_all={key: problems for key, problems in has_all.items() if key[1].reward_model not in left_out},
        stored=stored,
        percentiles={(name, g): of for g, read in stored.items() for name, of in read.percentiles.items()},
        lowest={(name, g): of for g, read in stored.items() for name, of in read.lowest.items()},
        unshared={key: values for key, values in of_choices.items() if key[1].reward_model not in left_out},
        left_out=left_out,
        rules=tuple(name for name in rules.by_name if name not in rules_left_out),
        rules_left_out=rules_left_out,
        bootstrap=sets[0].bootstrap if len(sets) == 1 else over_sets(results),
        sets=sets,
        partial=partial,
        seeds=seeds,
    )


def _means_over_seeds(rows: Mapping[Key, Floats], seeds: SeedGroups) -> dict[Key, Floats]:
    """For each method that was trained with several seeds the means over them, where all of them have a row."""
    means: dict[Key, Floats] = {}
    for method, trainings in seeds.items():
        first, *others = trainings.values()
        for key in rows:
            if key.chooser.reward_model != first:
                continue
            siblings = (key._replace(chooser=key.chooser._replace(reward_model=name)) for name in others)
            values = [rows[key], *(rows[one] for one in siblings if one in rows)]
            mean = np.mean(values, axis=0)
            if len(values) == len(trainings) and np.isfinite(mean).any():
                means[key._replace(chooser=key.chooser._replace(reward_model=method))] = mean
    return means


def _without_a_set(
    rows: Mapping[Key, Floats], partial: Mapping[Key, Floats], sets: Sequence[ProblemSet]
) -> dict[str, str]:
    """Why the reward models that have no row have none: they lack the scores of a set."""
    left = {key.chooser.reward_model for key in rows}
    why: dict[str, str] = {}
    for key, values in partial.items():
        lacking = next((one.name for one in sets if not np.isfinite(values[one.members]).any()), None)
        if lacking is not None and key.chooser.reward_model not in left:
            why.setdefault(key.chooser.reward_model, f"it has no scores of {lacking}, so there is no mean over sets")
    return why


def _put(wholes: dict[K, NDArray[T]], key: K, block: slice, part: NDArray[T], n_problems: int) -> None:
    """Put what is known of a block of problems, [..., block], in its place among all of them, [..., P]."""
    if key not in wholes:
        # Where nothing is put there is no number: a rule says nothing of a block without scores.
        missing = np.nan if part.dtype == np.float64 else False
        wholes[key] = np.full((*part.shape[:-1], n_problems), missing, dtype=part.dtype)
    wholes[key][..., block] = part


def _averages(rows: dict[Key, Floats], generators: Sequence[str]) -> dict[Key, Floats]:
    """Means over generators, on the problems that all of them have; none where they share no problem."""
    averages: dict[Key, Floats] = {}
    if len(generators) < 2:
        return averages
    for key in rows:
        parts = [values for g in generators if (values := rows.get(key._replace(generator=g))) is not None]
        if key.generator == generators[0] and len(parts) == len(generators):
            mean = np.mean(parts, axis=0)
            if np.isfinite(mean).any():
                averages[key._replace(generator=AVERAGE)] = mean
    return averages


def _curves(
    results: Results,
    samples: Samples,
    scores: Mapping[tuple[str, str], Scores],
    protocol: str,
    ns: Sequence[int],
    seed: int,
) -> Iterable[tuple[Chooser, Floats]]:
    """Each chooser with its accuracies, float [len(ns), P]."""
    correct, classes = samples.correct, samples.classes
    models = results.manifest.reward_models
    weights = [
        vote_weights(own.values, models[name].score_type, models[name].coefficient) for (name, _), own in scores.items()
    ]
    if protocol == "subsets":
        mean = np.tile(correct.mean(axis=1), (len(ns), 1))
        best = [expected_best_of_n(own.values, correct, ns) for own in scores.values()]
        oracle = pass_at_n(correct, ns)
        plain, weighted = expected_votes(classes, correct, weights, ns, seed)
    else:
        mean, oracle = first_n_average(correct, ns), first_n_oracle(correct, ns)
        best = [first_n_best(own.values, correct, ns) for own in scores.values()]
        plain, weighted = first_n_votes(classes, correct, weights, ns)

    for chooser, values in ((PASS_AT_1, mean), (ORACLE, oracle), (MAJORITY, plain)):
        yield chooser, np.where(samples.complete, values, np.nan)
    for i, ((name, aggregation), own) in enumerate(scores.items()):
        complete = samples.complete & own.complete
        yield Chooser("best_of_n", name, aggregation), np.where(complete, best[i], np.nan)
        yield Chooser("weighted_best_of_n", name, aggregation), np.where(complete, weighted[i], np.nan)


def _of_rules(
    results: Results,
    samples: Samples,
    scores: Mapping[tuple[str, str], Scores],
    protocol: str,
    ns: Sequence[int],
    rules: Rules,
    left_out: dict[str, str],
) -> Iterable[tuple[Chooser, Floats]]:
    """As :func:`_curves`, by the rules beside the usual ones. One that fails goes to ``left_out``, with the reason."""
    models = results.manifest.reward_models
    for (name, rule), ((model, aggregation), own) in product(rules.by_name.items(), scores.items()):
        complete = samples.complete & own.complete & ~samples.unanswered
        if name in left_out or not complete.any():
            continue
        of_model = own.values[complete]
        weights = vote_weights(of_model, models[model].score_type, models[model].coefficient)
        arrays = of_model, weights, samples.classes[complete], samples.correct[complete]
        # Nobody is right on a problem without responses.
        values = np.where(samples.complete & own.complete, np.zeros((len(ns), 1)), np.nan)
        try:
            if protocol == "subsets":
                values[:, complete] = expected_choices(rule, *arrays, ns, results.manifest.seed)
            else:
                values[:, complete] = first_n_choices(rule, *arrays, ns)
        except UserError as error:
            left_out[name] = str(error)
            continue
        yield Chooser(name, model, aggregation), values


def _unshared(samples: Samples, scores: Mapping[tuple[str, str], Scores]) -> Iterable[tuple[Chooser, Floats]]:
    """How often a choice among all samples is an answer that no other sample has, float [P]."""
    alone = unshared(samples.classes)
    yield PASS_AT_1, np.where(samples.complete, alone.mean(axis=1), np.nan)
    for (name, aggregation), own in scores.items():
        of_choices = np.where(samples.complete & own.complete, best_of_n(own.values, alone), np.nan)
        yield Chooser("best_of_n", name, aggregation), of_choices
