"""From graded solutions to what the training workers are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bonbench.reward_models.text.pieces import Marked
from bonbench.reward_models.training.pairs import Indices, pair_up
from bonbench.reward_models.training.params import TrainingParams
from bonbench.reward_models.training.sequences import Sequences
from bonbench.reward_models.training.subsets import Balance, balanced, near_duplicates, share_of
from harness.core.errors import UserError
from harness.core.records import GradedSolution, Solution


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of rollouts, each learnt by itself. Rollout i has those from ``starts[i]`` to ``starts[i + 1]``.

    ``of_read`` says which step of its rollout each read belongs to, counted from 0; ``targets`` [steps] are what the
    steps should come to, ``reference`` [steps] the sums of the reference's log-probabilities over them.
    """

    starts: Indices
    of_read: npt.NDArray[np.int32]
    targets: npt.NDArray[np.float32]
    reference: npt.NDArray[np.float64]

    def batch(self, members: Indices, sequences: Sequences) -> dict[str, npt.NDArray[Any]]:
        """Of some rollouts the ``targets`` and the ``reference`` of their steps, and for each read the number of its
        step among these, ``terms`` [reads]."""
        sizes = np.diff(self.starts)[members]
        firsts = np.cumsum(sizes) - sizes
        chosen = np.concatenate([np.arange(self.starts[m], self.starts[m + 1]) for m in members])
        own = self.of_read[sequences.reads_of(members)]
        terms = np.repeat(firsts, sequences.n_reads[members]) + own
        return {"terms": terms, "targets": self.targets[chosen], "reference": self.reference[chosen]}


@dataclass(frozen=True, slots=True)
class Rollouts:
    """Encoded rollouts and the examples made of them.

    ``examples`` are rows of rollout indices, (correct, incorrect) pairs or single ones; ``units`` as in
    :func:`reward_models.training.batches.epoch_batches`. What is learnt is each read, where reads have ``targets``;
    each of the ``steps``, where there are any; else each example. ``reference`` is the sum of the reference's
    log-probabilities of each rollout's response. ``mismatched`` has one sequence for each rollout, the same prompt with
    another problem's response (an empty one where none fits), and ``mismatched_terms`` how many terms each counts as.
    """

    sequences: Sequences
    correct: npt.NDArray[np.bool_]
    examples: Indices
    units: Indices
    targets: npt.NDArray[np.float32] | None = None
    steps: Steps | None = None
    reference: npt.NDArray[np.float64] | None = None
    mismatched: Sequences | None = None
    mismatched_terms: Indices | None = None

    @property
    def n_terms(self) -> Indices:
        """Losses that each example has."""
        if self.steps is None and self.targets is None:
            return np.ones(len(self.examples), dtype=np.int64)
        each = self.sequences.n_reads if self.steps is None else np.diff(self.steps.starts)
        counts: Indices = each[self.examples].sum(axis=1)
        return counts


@dataclass(frozen=True, slots=True)
class Prepared:
    """Graded solutions to train on, encoded, and how many were left out for which reason."""

    items: list[GradedSolution]
    encoded: list[Marked]
    dropped: Counter[str]

    @property
    def sequences(self) -> Sequences:
        return Sequences.of([tokens.ids for tokens in self.encoded], [tokens.reads for tokens in self.encoded])

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        return np.array([item.correct for item in self.items], dtype=bool)

    @property
    def problems(self) -> list[int]:
        """The problem of each item, as an integer in order of first appearance."""
        numbers: dict[str, int] = {}
        return [numbers.setdefault(item.solution.problem.problem_id, len(numbers)) for item in self.items]


def prepare(
    data: Sequence[GradedSolution], params: TrainingParams, encode: Callable[[Sequence[Solution]], list[Marked]]
) -> Prepared:
    """Take the wanted share of problems and responses, and leave out what cannot or should not be trained on."""
    chosen = share_of((item.solution.problem.problem_id for item in data), params.instructions, params.seed)
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
    prepared = Prepared([], [], dropped)
    for item, tokens in zip(used, encode([item.solution for item in used]), strict=True):
        if not tokens.reads:
            dropped["empty response"] += 1
        elif len(tokens.ids) > params.max_length:
            dropped["longer than max_length"] += 1
        else:
            prepared.items.append(item)
            prepared.encoded.append(tokens)
    return prepared


def in_pairs(prepared: Prepared, params: TrainingParams, kind: Literal["all", "one"]) -> tuple[Indices, Indices]:
    """Examples and units for objectives on pairs.

    Raises:
        UserError: when there is no pair.
    """
    problems, correct = prepared.problems, prepared.correct
    examples = pair_up(problems, correct.tolist(), kind, params.seed)
    if not len(examples):
        raise UserError(
            f"no pair to train on: none of the {len(set(problems))} problems has both a right and a wrong response "
            f"among its first {params.responses}"
        )
    numbers = np.array(problems)
    units = numbers[examples[:, 0]]
    mixed = np.isin(numbers, units)
    prepared.dropped["all right or all wrong"] = int((~mixed).sum())
    prepared.dropped["no one's counterpart"] = int(mixed.sum()) - len(np.unique(examples))
    return examples, units


def single(prepared: Prepared, params: TrainingParams, balance: Balance = "none") -> tuple[Indices, Indices]:
    """Examples and units for objectives on single responses.

    Raises:
        UserError: when all of them are right, or all wrong.
    """
    correct = prepared.correct
    left = np.array(balanced(prepared.problems, correct.tolist(), balance, params.seed), dtype=np.int64)
    prepared.dropped["balance"] = len(correct) - len(left)
    if len(set(correct.tolist())) < 2:
        kind = "right" if correct.any() else "wrong"
        raise UserError(f"nothing to tell apart: all {len(correct)} responses to train on are {kind}")
    if not len(left):
        raise UserError("balance: nothing is left: no problem has both a right and a wrong response")
    return left[:, None], np.arange(len(left), dtype=np.int64)


def describe(prepared: Prepared, examples: Indices) -> dict[str, object]:
    """Facts about the data for the report: what was trained on, and what was left out (reason -> responses)."""
    members = np.unique(examples)
    correct, problems = prepared.correct[members], prepared.problems
    return {
        "n_examples": len(examples),
        "n_pairs": len(examples) if examples.shape[1] == 2 else 0,
        "n_problems": len({problems[i] for i in members}),
        "n_responses": len(members),
        "n_correct": int(correct.sum()),
        "dropped": {reason: count for reason, count in prepared.dropped.items() if count},
    }
