"""From graded solutions to what the training workers are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isnan
from typing import Literal

import numpy as np
import numpy.typing as npt

from bonbench.reward_models.text.pieces import Marked
from bonbench.reward_models.text.positions import positions
from bonbench.reward_models.training.pairs import Indices, pair_up
from bonbench.reward_models.training.params import TrainingParams
from bonbench.reward_models.training.sequences import Sequences
from bonbench.reward_models.training.subsets import Balance, balanced, near_duplicates
from bonbench.reward_models.training.targets import Arrays, Targets
from harness.core.errors import UserError
from harness.core.records import GradedSolution, Solution


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

    ``apart`` [items]: whether an item's problem is kept apart.
    """

    items: Sequence[GradedSolution]
    encoded: Sequence[Marked]
    dropped: Mapping[str, int]
    apart: npt.NDArray[np.bool_]

    @cached_property
    def sequences(self) -> Sequences:
        return Sequences.of([tokens.ids for tokens in self.encoded], [tokens.reads for tokens in self.encoded])

    @cached_property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each item is right [items]."""
        return np.array([item.correct for item in self.items], dtype=bool)

    @cached_property
    def problems(self) -> list[int]:
        """The problem of each item, as an integer in order of first appearance."""
        numbers: dict[str, int] = {}
        return [numbers.setdefault(item.solution.problem.problem_id, len(numbers)) for item in self.items]


@dataclass(frozen=True, slots=True)
class Examples:
    """What the losses are of: ``rows`` [examples, 2 or 1] and ``units`` [examples], as in :class:`Rollouts`, and how
    many prepared solutions are in none of them, for which reason."""

    rows: Indices
    units: Indices
    dropped: Mapping[str, int] = field(default_factory=dict)


def prepare(
    data: Sequence[GradedSolution], params: TrainingParams, encode: Callable[[Sequence[Solution]], list[Marked]]
) -> Prepared:
    """Take the wanted share of problems and responses, and leave out what cannot or should not be trained on."""
    chosen = params.learnt_from(item.solution.problem.problem_id for item in data)
    used = [
        item
        for item in data
        if item.solution.response.sample < params.responses and item.solution.problem.problem_id in chosen
    ]
    dropped: Counter[str] = Counter()
    if params.dedup is not None:
        repeats = near_duplicates(
            [item.solution.problem.problem_id for item in used],
            [item.solution.response.text for item in used],
            params.dedup,
        )
        dropped["near-duplicate"] = sum(repeats)
        used = [item for item, repeat in zip(used, repeats, strict=True) if not repeat]
    items, encoded, limit = [], [], positions(params.base)
    for item, tokens in zip(used, encode([item.solution for item in used]), strict=True):
        if not tokens.reads:
            dropped["empty response"] += 1
        elif len(tokens.ids) > params.max_length:
            dropped["longer than max_length"] += 1
        elif not item.solution.was_read:
            dropped["longer than the reference reads"] += 1
        elif item.steps is not None and any(map(isnan, item.steps)):
            dropped["too long to complete"] += 1
        elif limit is not None and len(tokens.ids) > limit:
            dropped["longer than the model reads"] += 1
        else:
            items.append(item)
            encoded.append(tokens)
    held_out = params.kept_apart(item.solution.problem.problem_id for item in data)
    apart = np.array([item.solution.problem.problem_id in held_out for item in items], dtype=bool)
    return Prepared(items, encoded, dropped, apart)


def in_pairs(prepared: Prepared, params: TrainingParams, kind: Literal["all", "one"]) -> Examples:
    """Examples for objectives on pairs.

    Raises:
        UserError: when there is no pair.
    """
    problems = prepared.problems
    pairs = pair_up(problems, prepared.correct.tolist(), kind, params.seed)
    if not len(pairs):
        raise UserError(
            f"no pair to train on: none of the {len(set(problems))} problems has both a right and a wrong response "
            f"among its first {params.responses}"
        )
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
    correct = prepared.correct.tolist()
    left = np.array(balanced(prepared.problems, correct, balance, params.seed), dtype=np.int64)
    if len(set(correct)) < 2:
        kind = "right" if any(correct) else "wrong"
        raise UserError(f"nothing to tell apart: all {len(correct)} responses to train on are {kind}")
    if not len(left):
        raise UserError("balance: nothing is left: no problem has both a right and a wrong response")
    return Examples(left[:, None], np.arange(len(left), dtype=np.int64), {"balance": len(correct) - len(left)})


def every(prepared: Prepared) -> Examples:
    """Each solution as an example."""
    numbers = np.arange(len(prepared.items), dtype=np.int64)
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
