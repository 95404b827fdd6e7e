"""From graded solutions to what the training workers are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bonbench.reward_models.training.by_shards import Batch, Place, batches, made
from bonbench.reward_models.training.chosen import LEFT_OUT, Chosen, Column, Encoder
from bonbench.reward_models.training.pairs import Indices, pair_up
from bonbench.reward_models.training.params import TrainingParams
from bonbench.reward_models.training.sequences import Sequences
from bonbench.reward_models.training.subsets import Balance, balanced
from bonbench.reward_models.training.targets import Arrays, Targets
from harness.core.errors import UserError
from harness.core.records import GradedSolution
from harness.core.rollouts import shards_of

#: Rollouts that a worker encodes before it writes them down, at least: some 100 MiB of them.
_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Mismatched:
    """For each rollout the same prompt with another problem's response, which may be empty: what KTO estimates the
    policy's drift on. ``terms`` [rollouts] is how many terms each counts as."""

    sequences: Sequences
    terms: Indices


@dataclass(frozen=True, slots=True)
class Rollouts:
    """Encoded rollouts, the examples made of them, and the targets of the training.

    Attributes:
        sequences: the tokens of the rollouts.
        examples: [examples, 2] for pairs (correct rollout, incorrect rollout), [examples, 1] for single rollouts. The
            numbers are indices of rollouts.
        units: [examples], what :func:`reward_models.training.batches.epoch_batches` shuffles.
        targets: what each rollout, or each step or token of it, is trained towards.
        mismatched: for KTO: each prompt with a response to another problem.
        apart: examples of the same rollouts that are only looked at, where problems are kept apart.
    """

    sequences: Sequences
    examples: Indices
    units: Indices
    targets: Targets
    mismatched: Mismatched | None = None
    apart: Examples | None = None

    @property
    def held_out(self) -> Rollouts | None:
        """The same rollouts with the examples that are kept apart."""
        if self.apart is None:
            return None
        return replace(self, examples=self.apart.rows, units=self.apart.units, apart=None)

    @property
    def n_terms(self) -> Indices:
        """Losses that each example has [examples]."""
        return self.targets.terms(self.examples, self.sequences)

    def batch(self, members: Indices) -> Arrays:
        """Padded tokens of some rollouts, where they are read, and what they are trained towards [members, ...]."""
        return {**self.sequences.batch(members), **self.targets.batch(members, self.sequences)}


@dataclass(frozen=True)
class Prepared:
    """Graded solutions to train on, encoded, and how many were left out for which reason.

    Attributes:
        batches: all solutions, in the batches in which they were encoded.
        rows: which of them are trained on [rollouts], increasing.
        problem_numbers: the problem of each [rollouts], as any integer.
        columns: what was asked of them besides, flat.
        apart: whether its problem is kept apart [rollouts].
    """

    batches: Sequence[Batch]
    rows: Indices
    problem_numbers: Indices
    correct: npt.NDArray[np.bool_]
    sequences: Sequences
    columns: Mapping[str, npt.NDArray[Any]]
    dropped: Mapping[str, int]
    apart: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def problems(self) -> list[int]:
        """The problem of each rollout, as an integer in order of first appearance."""
        _, first, problem = np.unique(self.problem_numbers, return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first))[problem].tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Examples:
    """What the losses are of: ``rows`` [examples, 2 or 1] and ``units`` [examples], as in :class:`Rollouts`, and how
    many prepared solutions are in none of them, for which reason."""

    rows: Indices
    units: Indices
    dropped: Mapping[str, int] = field(default_factory=dict)


def prepare(
    data: Sequence[GradedSolution],
    params: TrainingParams,
    encoder: Encoder,
    columns: Sequence[Column] = (),
    place: Place | None = None,
) -> Prepared:
    """Take the wanted share of problems and responses, and leave out what cannot or should not be trained on.

    Args:
        columns: what else is made of each shard of rollouts, in the process that encodes it.
        place: where the rollouts are encoded; None: here, and in memory.
    """
    shards = shards_of(data)
    ids = {id_: number for number, id_ in enumerate(dict.fromkeys(id_ for s in shards for id_ in s.problem_ids))}
    chosen, held_out = params.learnt_from(ids), params.kept_apart(ids)
    numbers = {id_: number for id_, number in ids.items() if id_ in chosen}
    work = Chosen(params, batches(shards, _AT_ONCE), encoder, numbers, tuple(columns))
    arrays = made(work, "rollouts", place)
    dropped = Counter({LEFT_OUT[0]: 0})  # it comes first, as it is looked at first
    dropped.update(LEFT_OUT[reason] for reason in arrays["left_out"].tolist())
    return Prepared(
        batches=work.batches,
        rows=arrays["rows"],
        problem_numbers=arrays["problem"],
        correct=arrays["correct"],
        sequences=Sequences.in_arrays(arrays),
        columns=arrays,
        dropped=+dropped,
        apart=np.isin(arrays["problem"], [ids[id_] for id_ in held_out]),
    )


def in_pairs(prepared: Prepared, params: TrainingParams, kind: Literal["all", "one"]) -> Examples:
    """Examples for objectives on pairs.

    Raises:
        UserError: when there is no pair.
    """
    problems = prepared.problems
    check_right_and_wrong(_by_problem(prepared), True, params, prepared.dropped)
    pairs = pair_up(problems, prepared.correct.tolist(), kind, params.seed)
    numbers = np.array(problems)
    units = numbers[pairs[:, 0]]
    mixed = np.isin(numbers, units)
    unpaired = int(mixed.sum()) - len(np.unique(pairs))
    return Examples(pairs, units, {"all right or all wrong": int((~mixed).sum()), "no one's counterpart": unpaired})


def single(prepared: Prepared, params: TrainingParams, balance: Balance = "none") -> Examples:
    """Examples for objectives on single responses.

    Raises:
        UserError: when all of them are right, or all wrong.
    """
    check_right_and_wrong(_by_problem(prepared), False, params, prepared.dropped)
    correct = prepared.correct.tolist()
    left = np.array(balanced(prepared.problems, correct, balance, params.seed), dtype=np.int64)
    if not len(left):
        raise UserError("balance: nothing is left: no problem has both a right and a wrong response")
    return Examples(left[:, None], np.arange(len(left), dtype=np.int64), {"balance": len(correct) - len(left)})


def check_right_and_wrong(
    correct: Sequence[Sequence[bool]], paired: bool, params: TrainingParams, dropped: Mapping[str, int] | None = None
) -> None:
    """Raise :class:`UserError` unless both right and wrong responses are there, to one problem where they are paired.

    Args:
        correct: whether each response is, by problem.
        dropped: how many responses were left out, for which reason.
    """
    kinds = [set(of_one) for of_one in correct]
    why = "".join(f", {count} left out as {reason}" for reason, count in (dropped or {}).items())
    if not any(kinds):
        raise UserError(f"nothing to train on: no response{why}")
    if paired and not any(len(of_one) == 2 for of_one in kinds):
        raise UserError(
            f"no pair to train on: none of the {len(kinds)} problems has both a right and a wrong response among its "
            f"first {params.responses}{why}"
        )
    if len(both := set().union(*kinds)) < 2:
        kind = "right" if True in both else "wrong"
        raise UserError(f"nothing to tell apart: all {sum(map(len, correct))} responses to train on are {kind}{why}")


def _by_problem(prepared: Prepared) -> list[list[bool]]:
    found: dict[int, list[bool]] = {}
    for problem, correct in zip(prepared.problems, prepared.correct.tolist(), strict=True):
        found.setdefault(problem, []).append(correct)
    return [*found.values()]


def every(prepared: Prepared) -> Examples:
    """Each solution as an example."""
    numbers = np.arange(len(prepared), dtype=np.int64)
    return Examples(numbers[:, None], numbers)


def describe(prepared: Prepared, examples: Examples) -> dict[str, object]:
    """Facts about the data for the report: what was trained on, and what was left out (reason -> responses)."""
    rows, problems = examples.rows, prepared.problems
    members = np.unique(rows)
    left_out = {**prepared.dropped, **examples.dropped}
    return {
        "n_examples": len(rows),
        "n_pairs": len(rows) if rows.shape[1] == 2 else 0,
        "n_problems": len({problems[i] for i in members}),
        "n_responses": len(members),
        "n_correct": int(prepared.correct[members].sum()),
        "dropped": {reason: count for reason, count in left_out.items() if count},
    }
