"""The accuracies of a run: every generator, reward model, selection rule and n, problem by problem.

Everything the tables and figures show is a mean over problems of these rows, so any two of them can be compared problem
by problem.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, product
from typing import Annotated, NamedTuple, TypeVar

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

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
from harness.analysis.inference import Bootstrap, Difference, Interval
from harness.analysis.lowest_step import LowestStep
from harness.analysis.problem_sets import ProblemSet, in_every_set, over_sets, problem_sets
from harness.analysis.rows import Columns, Fraction
from harness.analysis.rule_entries import Rules
from harness.analysis.scores import ScoreBlocks, Scores, failed_models, without_scores
from harness.analysis.seed_groups import SeedGroups, seed_groups
from harness.analysis.seeds import BySeed, accuracy_intervals, compare, seed_sd
from harness.analysis.selection import best_of_n, unshared, vote_weights
from harness.core.arrays import Bools, Floats, Ints
from harness.core.errors import UserError
from harness.storage.results import Results

K = TypeVar("K")
T = TypeVar("T", np.float64, np.bool_)


class Key(NamedTuple):
    """A row: the accuracy of a chooser at n with the responses of a generator."""

    generator: str
    chooser: Chooser
    protocol: str
    n: int


@dataclass(frozen=True, slots=True)
class AccuracyRow:
    """A row of the long table: an accuracy with its interval."""

    generator: str
    reward_model: str
    strategy: str
    aggregation: str
    protocol: str
    n: int
    accuracy: Annotated[Interval, Columns(low="ci_low", high="ci_high", n_problems="n_problems")]


@dataclass(frozen=True, slots=True)
class SetAccuracyRow(AccuracyRow):
    """A row where there are several problem sets: on the problems of ``set``, or, "average", the mean over sets."""

    set: str


@dataclass(frozen=True, slots=True)
class SeedsAccuracyRow(AccuracyRow):
    """A row of the long table of a run that has methods with several training seeds.

    The accuracy of such a method is the mean over ``seeds`` trainings, and the interval is over problems and seeds.
    ``seed_sd`` is the standard deviation of the trainings' accuracies; NaN for any other row.
    """

    seeds: int
    seed_sd: Fraction


@dataclass(frozen=True, slots=True)
class SetSeedsAccuracyRow(SetAccuracyRow):
    """As :class:`SeedsAccuracyRow`, where there are several problem sets."""

    seeds: int
    seed_sd: Fraction


@dataclass(frozen=True)
class Samples:
    """A generator's graded samples, row by problem. Problems whose samples are not all there are not ``complete``.

    A problem that the generator left ``unanswered`` (its prompt was too long, say) is complete: all its samples are
    wrong, and have no answer.
    """

    correct: Bools  # [P, N]
    classes: Ints  # [P, N]
    complete: Bools  # [P]
    unanswered: Bools  # [P]

    def of(self, problems: slice) -> Samples:
        """Those to some of the problems."""
        own = self.classes[problems]
        return Samples(self.correct[problems], own, self.complete[problems], self.unanswered[problems])


@dataclass(frozen=True)
class Accuracies:
    """Expected accuracy per problem, as fractions; NaN where a problem has no responses or scores.

    ``rows`` have values in every one of the ``sets``; those that lack a set altogether are ``partial``: there is no
    mean over sets for them.
    ``samples``: generator → its graded samples. ``has_all``: (generator, best-of-n chooser) → the problems with a
    score of every response, or a reason for none, bool [P]. ``stored``: generator → the stored scores of its responses;
    :meth:`score_blocks` reads them block by block.
    ``percentiles``: (reward model, generator) → the 1st to 99th percentile of its step rewards, float [99].
    ``lowest``: (reward model, generator) → where in a response its lowest step reward lies; for those with steps.
    ``unshared``: (generator, chooser) → how often what it chooses among all responses to a problem is an answer that no
    other response has, float [P]; for best-of-n choosers and for a random choice.
    ``left_out``: reward model → why it has no rows: its scoring failed, it gave numbers that are not finite, or none of
    the aggregations has a meaning for them.
    ``rules``: the selection rules with rows beside the usual ones; ``rules_left_out``: those without → why.
    ``seeds``: a method that was trained with several seeds → its trainings (:func:`seed_groups`). ``rows`` have the
    trainings, and the method's means over them.
    """

    problem_ids: tuple[str, ...]
    generators: tuple[str, ...]
    protocols: tuple[str, ...]
    headline_n: tuple[int, ...]
    rows: dict[Key, Floats]
    samples: Mapping[str, Samples]
    has_all: Mapping[tuple[str, Chooser], Bools]
    stored: Mapping[str, ScoreBlocks]
    percentiles: Mapping[tuple[str, str], Floats]
    lowest: Mapping[tuple[str, str], LowestStep]
    unshared: Mapping[tuple[str, Chooser], Floats]
    left_out: Mapping[str, str]
    rules: tuple[str, ...]
    rules_left_out: Mapping[str, str]
    bootstrap: Bootstrap
    seeds: SeedGroups
    sets: tuple[ProblemSet, ...]
    partial: Mapping[Key, Floats]

    @property
    def protocol(self) -> str:
        """The protocol of the headline numbers: the expectation over subsets where it was asked for."""
        return "subsets" if "subsets" in self.protocols else self.protocols[0]

    @property
    def averaged(self) -> bool:
        """Whether rows averaged over generators exist: several generators that share problems."""
        return any(key.generator == AVERAGE for key in self.rows)

    @property
    def whole(self) -> str:
        """What stands for all generators in rows: their average, or the only one."""
        return AVERAGE if self.averaged else self.generators[0]

    @property
    def n_samples(self) -> int:
        """The most responses to a problem by one generator."""
        return max(int(samples.correct.shape[1]) for samples in self.samples.values())

    @property
    def n_max(self) -> int:
        """The largest n of the headline numbers."""
        return self.headline_n[-1]

    @cached_property
    def _ns(self) -> dict[str, list[int]]:
        ns_by_generator: dict[str, set[int]] = {}
        for key in self.rows:
            ns_by_generator.setdefault(key.generator, set()).add(key.n)
        return {generator: sorted(ns) for generator, ns in ns_by_generator.items()}

    def ns(self, generator: str) -> list[int]:
        """Every n that a generator (or the average) has rows for."""
        return self._ns[generator]

    def values(self, generator: str, chooser: Chooser, n: int) -> Floats | None:
        """Accuracy per problem, float [P]; None where it was not computed. pass@1 is that of all samples at any n."""
        if chooser == PASS_AT_1:
            n = self.ns(generator)[-1]
        return self.rows.get(Key(generator, chooser, self.protocol, n))

    def has_scores(self, generator: str, chooser: Chooser) -> Bools:
        """The problems with responses, all of them graded, and scored by a best-of-n chooser's model: bool [P]."""
        samples = self.samples[generator]
        return samples.complete & ~samples.unanswered & self.has_all[generator, chooser]

    def score_blocks(self, generator: str, chooser: Chooser) -> Iterator[tuple[slice, Floats]]:
        """The scores that a best-of-n chooser goes by: blocks of problems with their scores, float [block, N].

        A score that is missing is 0, and that of a response which was left unscored -inf.
        """
        stored = self.stored[generator]
        for block in stored.blocks:
            yield block, stored.of_model(chooser.reward_model, block)[chooser.aggregation].values

    def scored(self, choosers: Iterable[Chooser]) -> list[tuple[str, Chooser]]:
        """(generator, chooser) of those best-of-n ``choosers`` that have scores of a problem of every set, by
        generator."""
        pairs = [(generator, chooser) for generator in self.generators for chooser in choosers]
        return [p for p in pairs if p in self.has_all and in_every_set(self.sets, self.has_scores(*p))]

    def curve(self, generator: str, chooser: Chooser) -> dict[int, Interval]:
        """n → mean over problems with its interval, for every n that has values."""
        at = {n: values for n in self.ns(generator) if (values := self.values(generator, chooser, n)) is not None}
        rows = [BySeed(values[None]) for values in at.values()]
        if chooser.reward_model in self.seeds:
            rows = [row for n in at if (row := self.by_seed(generator, chooser, n)) is not None]
        return dict(zip(at, accuracy_intervals(self.bootstrap, rows), strict=True))

    def overall(self, chooser: Chooser, generator: str | None = None) -> Floats | None:
        """Mean over generators, or for one, and over the headline sizes above 1 (the paper's "avg"), float [P]."""
        where = generator or self.whole
        sizes = [n for n in self.headline_n if n > 1 or len(self.headline_n) == 1]
        values = [v for n in sizes if (v := self.values(where, chooser, n)) is not None]
        return np.mean(values, axis=0) if len(values) == len(sizes) else None

    def by_seed(self, generator: str, chooser: Chooser, n: int | None) -> BySeed | None:
        """Accuracy per training and problem, what an interval or a difference is made of: at ``n``, or for None as
        :meth:`overall`. None where it was not computed."""
        seeds = self.seeds.get(chooser.reward_model)
        names = [chooser.reward_model] if seeds is None else list(seeds.values())
        rows = []
        for one in (chooser._replace(reward_model=name) for name in names):
            values = self.overall(one, generator) if n is None else self.values(generator, one, n)
            if values is not None:
                rows.append(values)
        return BySeed(np.array(rows), tuple(seeds or ())) if len(rows) == len(names) else None

    def mean(self, values: Floats) -> float:
        """Mean of ``values``, float [P], over the problems that have one: of several sets, the mean of their means."""
        return float(self.bootstrap.average(values[None])[0])

    def overall_by_seed(self, chooser: Chooser, generator: str | None = None) -> BySeed | None:
        """As :meth:`overall`, per training."""
        return self.by_seed(generator or self.whole, chooser, None)

    def interval(self, values: Floats | BySeed) -> Interval:
        """Mean of ``values``, float [P] or by seed, with its interval."""
        return accuracy_intervals(self.bootstrap, [_by_seed(values)])[0]

    def difference(self, a: Floats | BySeed, b: Floats | BySeed) -> Difference:
        """Paired difference a - b; a, b float [P] or by seed."""
        return compare(self.bootstrap, [_by_seed(a)], [_by_seed(b)])[0]

    def table(self) -> Sequence[AccuracyRow]:
        """Every accuracy with its interval: the long table. Of several sets, each set's rows, then the mean's."""
        if len(self.sets) == 1:
            return self._table(self.rows, self.bootstrap)
        table: list[AccuracyRow] = []
        for one in self.sets:
            own = {key: values[one.members] for key, values in [*self.rows.items(), *self.partial.items()]}
            own = {key: values for key, values in own.items() if np.isfinite(values).any()}
            table += self._table(own, one.bootstrap, one.name)
        return table + self._table(self.rows, self.bootstrap, AVERAGE)

    def _table(self, rows: Mapping[Key, Floats], bootstrap: Bootstrap, of_set: str | None = None) -> list[AccuracyRow]:
        by_seed = [self.row_by_seed(rows, key) for key in rows]
        table: list[AccuracyRow] = []
        for key, row, interval in zip(rows, by_seed, accuracy_intervals(bootstrap, by_seed), strict=True):
            c = key.chooser
            usual = key.generator, c.reward_model, c.rule, c.aggregation, key.protocol, key.n, interval
            if self.seeds:
                of_seeds = row.n_seeds, Fraction(seed_sd(bootstrap, row))
                table.append(
                    SeedsAccuracyRow(*usual, *of_seeds)
                    if of_set is None
                    else SetSeedsAccuracyRow(*usual, of_set, *of_seeds)
                )
            else:
                table.append(AccuracyRow(*usual) if of_set is None else SetAccuracyRow(*usual, of_set))
        return table

    def row_by_seed(self, rows: Mapping[Key, Floats], key: Key) -> BySeed:
        """One of ``rows``, float [P] each, per training."""
        seeds = self.seeds.get(key.chooser.reward_model)
        if seeds is None:
            return BySeed(rows[key][None])
        choosers = (key.chooser._replace(reward_model=name) for name in seeds.values())
        return BySeed(np.array([rows[key._replace(chooser=chooser)] for chooser in choosers]), tuple(seeds))


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
        samples = _samples(results, generator)
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


def _by_seed(values: Floats | BySeed) -> BySeed:
    return values if isinstance(values, BySeed) else BySeed(values[None])


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


def _samples(results: Results, generator: str) -> Samples:
    rows = results.graded(generator, ["problem_id", "sample", "correct", "answer_class"])
    n_samples = 1 + max(pc.max(table.column("sample")).as_py() for table in rows if len(table))
    n_problems = len(results.problems)
    correct = np.zeros((n_problems, n_samples), dtype=bool)
    classes = np.full((n_problems, n_samples), -1, dtype=np.int64)
    graded = np.zeros((n_problems, n_samples), dtype=bool)
    for table in rows:
        places = rows.index.numbers(table)
        of_sample, of_correct, of_class = (
            table.column(name).to_numpy()[places >= 0] for name in ("sample", "correct", "answer_class")
        )
        at = places[places >= 0], of_sample
        correct[at], classes[at], graded[at] = of_correct, of_class, True
    unanswered = np.isin(np.array(results.problems["problem_id"].tolist()), list(results.unanswered(generator)))
    return Samples(correct, classes, graded.all(axis=1) | unanswered, unanswered)
