"""Accuracy against all the compute that a choice takes: sampling n responses, and scoring them.

FLOPs and seconds are means over problems. Sampling and scoring at n take what they took for all N responses, shared out
as :mod:`harness.analysis.shared_work` says; seconds are those measured for all N, times n / N. What a reward model took
to develop is not in here, nor are grading and the comparison of answers. Where the FLOPs of anything that a choice
needs were not counted, its compute is unknown, and is never taken for 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import isnan, nan
from typing import Annotated, NamedTuple

import numpy as np

from harness.analysis.accuracy import Accuracies
from harness.analysis.choosers import MAJORITY, PASS_AT_1, Chooser
from harness.analysis.costs import with_members
from harness.analysis.inference import Interval
from harness.analysis.problem_sets import in_every_set
from harness.analysis.rows import Columns, Fraction
from harness.analysis.shared_work import (
    CostUnknown,
    Sampled,
    Work,
    own_scoring,
    per_problem,
    sampling,
    token_pass,
    verifying,
)
from harness.analysis.stage_costs import Cost
from harness.core.arrays import Bools, Floats
from harness.core.stages import StageKind
from harness.storage.results import Results

_DIGITS = 12  # what is equal in exact arithmetic beats nothing
#: Reward models that need no model.
_ARITHMETIC = ("length",)


@dataclass(frozen=True, slots=True)
class ComputeRow:
    """A choice among n responses of a generator: what it takes per problem, and how often it is right.

    Attributes:
        reward_model: "" for the majority's answer, and for one response alone (``strategy`` average, n = 1).
        seconds: of workers, where none held a GPU; ``gpu_seconds`` are GPUs held times seconds. NaN where sampling and
            scoring are not both in this unit. ``device`` is what the models ran on.
        on_front: whether no other choice is right more often for less compute (see :func:`front`); ``front_share`` is
            the share of the bootstrap draws in which this is so.
        unknown: why FLOPs and seconds are NaN; else "".
    """

    generator: str
    reward_model: str
    strategy: str
    aggregation: str
    n: int
    generation_flops: float
    scoring_flops: float
    flops: float
    seconds: float
    gpu_seconds: float
    device: str
    accuracy: Annotated[Interval, Columns(low="ci_low", high="ci_high", n_problems="n_problems")]
    on_front: bool
    front_share: Fraction
    unknown: str = ""


@dataclass(frozen=True)
class Compute:
    """The choices of a run with their rows, and their accuracy per problem, float [P] each."""

    choosers: tuple[Chooser, ...]
    rows: tuple[ComputeRow, ...]
    values: tuple[Floats, ...]

    @property
    def is_known(self) -> bool:
        """Whether any compute was counted."""
        return any(not row.unknown for row in self.rows)

    @property
    def unknown(self) -> dict[tuple[str, str], str]:
        """(generator, reward model) -> why its compute is not known."""
        return {(row.generator, row.reward_model): row.unknown for row in self.rows if row.unknown}


class _Spent(NamedTuple):
    """FLOPs per problem, seconds per problem in both units, and devices."""

    generation: float
    scoring: float
    seconds: float
    gpu_seconds: float
    device: str


class _Choice(NamedTuple):
    generator: str
    chooser: Chooser
    n: int
    spent: _Spent | None
    unknown: str


def compute(results: Results, accuracies: Accuracies, choosers: Mapping[Chooser, str]) -> Compute:
    """One response of each generator alone, then the majority's answer and the best of n at every n above 1."""
    choices, values, intervals = list[_Choice](), list[Floats](), list[Interval]()
    for generator in accuracies.generators:
        ledger = _Ledger(results, generator, accuracies.samples[generator].correct.shape[1])
        best = [chooser for of, chooser in accuracies.scored(choosers) if of == generator]
        for chooser in (PASS_AT_1, MAJORITY, *best):
            sizes = [1] if chooser == PASS_AT_1 else [n for n in accuracies.ns(generator) if n > 1]
            at = {n: own for n in sizes if (own := accuracies.values(generator, chooser, n)) is not None}
            choices += [_Choice(generator, chooser, n, *ledger.spent(chooser.reward_model, n)) for n in at]
            values += at.values()
            # A line at a time: a copy of all values of a large run would be its largest array.
            intervals += accuracies.bootstrap.intervals(np.array(list(at.values()))) if at else []
    fronts = _fronts(accuracies, choices, values)
    rows = [
        _row(choice, choosers, interval, *at_front)
        for choice, interval, at_front in zip(choices, intervals, fronts, strict=True)
    ]
    return Compute(tuple(choice.chooser for choice in choices), tuple(rows), tuple(values))


def _row(
    choice: _Choice, choosers: Mapping[Chooser, str], accuracy: Interval, on_front: bool, share: float
) -> ComputeRow:
    spent = choice.spent or _Spent(nan, nan, nan, nan, "")
    return ComputeRow(
        generator=choice.generator,
        reward_model=choosers.get(choice.chooser, ""),
        strategy=choice.chooser.rule,
        aggregation=choice.chooser.aggregation,
        n=choice.n,
        generation_flops=spent.generation,
        scoring_flops=spent.scoring,
        flops=spent.generation + spent.scoring,
        seconds=spent.seconds,
        gpu_seconds=spent.gpu_seconds,
        device=spent.device,
        accuracy=accuracy,
        on_front=on_front,
        front_share=Fraction(share),
        unknown=choice.unknown,
    )


class _Needed(NamedTuple):
    """What a choice is made from: FLOPs of scoring, what was measured of sampling and scoring, and devices; for all N
    responses to a problem."""

    scoring: tuple[Work, ...]
    costs: tuple[Cost, ...]
    device: str


class _Ledger:
    """What sampling a generator's responses took, and what scoring them takes."""

    def __init__(self, results: Results, generator: str, n_samples: int) -> None:
        self._results, self._generator, self._n_samples = results, generator, n_samples
        self._needed = cache(self._what_is_needed)
        self._pass = cache(lambda label: token_pass(results, label, generator, self._sampling(), n_samples))
        self._sampling = cache(lambda: sampling(results, generator, n_samples))

    def spent(self, reward_model: str, n: int) -> tuple[_Spent | None, str]:
        """What n responses take, chosen by a reward model ("" for none), or None and why that is not known."""
        needed = self._needed(reward_model)
        if isinstance(needed, str):
            return None, needed
        scoring = float(sum(work.at(n) for work in needed.scoring))
        if isnan(scoring):
            return None, f"{reward_model} compares all {self._n_samples} responses with each other"
        share = n / self._n_samples
        seconds, gpu_seconds = (share * sum(c.seconds_in(unit) for c in needed.costs) for unit in ("time", "GPU time"))
        return _Spent(self._sampling().work.at(n), scoring, seconds, gpu_seconds, needed.device), ""

    def _what_is_needed(self, reward_model: str) -> _Needed | str:
        """What the scores of a reward model are made from, each once; or why somebody did not count it."""
        try:
            sampled = self._sampling()
            parts = list(self._parts(reward_model, sampled)) if reward_model else []
            folders = [(StageKind.SAMPLE.folder, self._generator), *(folder for folder, _ in parts)]
            costs = tuple(per_problem(self._results, sampled, *folder) for folder in folders)
        except CostUnknown as error:
            return str(error)
        devices = (self._results.ledger_of(*folder)["device"].unique() for folder in folders)
        device = ", ".join(dict.fromkeys(device for of in devices for device in of if device))
        return _Needed(tuple(work for _, work in parts if work is not None), costs, device)

    def _parts(self, reward_model: str, sampled: Sampled) -> Iterator[tuple[tuple[str, ...], Work | None]]:
        """The folders that scores are made in, with their work; None where they are made without a model."""
        models, generator = self._results.manifest.reward_models, self._generator
        whole = {one: models[one] for one in with_members(reward_model, models)}
        for label in dict.fromkeys(label for facts in whole.values() for label in facts.token_passes.values()):
            yield (StageKind.TOKEN_PASS.folder, label, generator), self._pass(label)
        for label, reads in {f.verifications: f.reads for f in whole.values() if f.verifications}.items():
            work = verifying(self._results, label, generator, reads, sampled, self._n_samples)
            yield (StageKind.VERIFY.folder, label, generator), work
        for one, facts in whole.items():
            # What reads passes, replies or other scores needs no model besides.
            reads_others = facts.token_passes or facts.verifications or facts.members or facts.type in _ARITHMETIC
            own = None
            if not reads_others or facts.shape is not None:
                own = own_scoring(self._results, one, generator, sampled, self._n_samples)
            yield (StageKind.SCORE.folder, one, generator), own


def front(costs: Floats, accuracies: Floats) -> Bools:
    """Which choices are on the Pareto front: no other one costs no more and is right no less often, and is better in
    one of the two.

    Args:
        costs: float [choices].
        accuracies: float [draws, choices].

    Returns:
        bool [draws, choices].
    """
    order = np.argsort(costs, kind="stable")
    sorted_costs, ranked = costs[order], accuracies[:, order]
    starts = np.flatnonzero(np.concatenate([[True], sorted_costs[1:] != sorted_costs[:-1]]))
    best = np.maximum.reduceat(ranked, starts, axis=1)  # at each cost
    cheaper = np.full_like(best, -np.inf)
    cheaper[:, 1:] = np.maximum.accumulate(best, axis=1)[:, :-1]
    which = np.cumsum(np.isin(np.arange(len(costs)), starts)) - 1
    on_front = np.empty(ranked.shape, dtype=bool)
    on_front[:, order] = (ranked == best[:, which]) & (ranked > cheaper[:, which])
    return on_front


def _fronts(accuracies: Accuracies, choices: Sequence[_Choice], values: Sequence[Floats]) -> list[tuple[bool, float]]:
    """Whether each choice is on the front, and in which share of the draws.

    Accuracies are compared on the problems that all choices have, of every set. Where generators share no problem, each
    has a front of its own.
    """
    fronts = [(False, nan)] * len(choices)
    by_problems: dict[str, list[int]] = {}
    for place, choice in enumerate(choices):
        if choice.spent is not None:
            by_problems.setdefault("" if accuracies.averaged else choice.generator, []).append(place)
    for places in by_problems.values():
        shared = np.ones(len(accuracies.problem_ids), dtype=bool)
        for place in places:
            shared &= np.isfinite(values[place])
        if not in_every_set(accuracies.sets, shared):
            continue
        spent = [choices[place].spent for place in places]
        costs = np.array([float(f"{one.generation + one.scoring:.{_DIGITS}g}") for one in spent if one is not None])
        means, draws = list[float](), list[Floats]()
        for place in places:
            own = np.where(shared, values[place], nan)
            means.append(accuracies.mean(own))
            draws.append(accuracies.bootstrap.means(own[None])[:, 0])
        drawn = np.stack(draws, axis=1)
        on_front = front(costs, np.round(means, _DIGITS)[None])[0]
        shares = front(costs, np.round(drawn[np.isfinite(drawn).all(axis=1)], _DIGITS)).mean(axis=0)
        for place, is_on, share in zip(places, on_front.tolist(), shares.tolist(), strict=True):
            fronts[place] = is_on, share
    return fronts
