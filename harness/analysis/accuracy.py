"""The accuracies of a run: every generator, reward model, selection rule and n, problem by problem.

Everything the tables and figures show is a mean over problems of these rows, so any two of them can be compared problem
by problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from harness.analysis.accuracy_rows import AccuracyRow, SeedsAccuracyRow, SetAccuracyRow, SetSeedsAccuracyRow
from harness.analysis.choosers import AVERAGE, PASS_AT_1, Chooser
from harness.analysis.inference import Bootstrap, Difference, Interval
from harness.analysis.lowest_step import LowestStep
from harness.analysis.problem_sets import ProblemSet, in_every_set
from harness.analysis.rows import Fraction
from harness.analysis.samples import Samples
from harness.analysis.scores import ScoreBlocks
from harness.analysis.seed_groups import SeedGroups
from harness.analysis.seeds import BySeed, accuracy_intervals, compare, seed_sd
from harness.core.arrays import Bools, Floats


class Key(NamedTuple):
    """A row: the accuracy of a chooser at n with the responses of a generator."""

    generator: str
    chooser: Chooser
    protocol: str
    n: int


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


def _by_seed(values: Floats | BySeed) -> BySeed:
    return values if isinstance(values, BySeed) else BySeed(values[None])
