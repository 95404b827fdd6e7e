"""What rollouts are trained towards: one kind of targets for each of pairs, responses, steps and reads.

Every kind says how many losses an example has (``terms``), and what a micro-batch needs besides its tokens (``batch``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bonbench.reward_models.training.pairs import Indices
from bonbench.reward_models.training.sequences import Sequences

#: Arrays of a micro-batch by name.
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class PairTargets:
    """Of two responses to one problem the first one of an example is to come out higher.

    ``reference`` [rollouts] is the log-probability of each response under the reference model; None where the reward is
    no log-ratio.
    """

    reference: npt.NDArray[np.float64] | None = None

    def terms(self, examples: Indices, sequences: Sequences) -> Indices:
        """Losses of each example [examples]: one."""
        return np.ones(len(examples), dtype=np.int64)

    def batch(self, members: Indices, sequences: Sequences) -> Arrays:
        """``reference`` [members], where there is one."""
        return {} if self.reference is None else {"reference": self.reference[members]}


@dataclass(frozen=True, slots=True)
class ResponseTargets:
    """Each response is to come out right or wrong: ``correct`` [rollouts]. ``reference`` as for pairs."""

    correct: npt.NDArray[np.bool_]
    reference: npt.NDArray[np.float64] | None = None

    def terms(self, examples: Indices, sequences: Sequences) -> Indices:
        """Losses of each example [examples]: one."""
        return np.ones(len(examples), dtype=np.int64)

    def batch(self, members: Indices, sequences: Sequences) -> Arrays:
        """``targets`` [members], and ``reference`` [members], where there is one."""
        reference = {} if self.reference is None else {"reference": self.reference[members]}
        return {"targets": self.correct[members], **reference}


@dataclass(frozen=True, slots=True)
class StepTargets:
    """Each step of a rollout has a target of its own. Rollout i has the steps ``starts[i]`` to ``starts[i + 1]``.

    ``n_reads`` [steps] says how many of its rollout's reads each step has, which are in order; ``values`` [steps] are
    what the steps should come to, ``reference`` [steps] the sums of the reference's log-probabilities over them.
    """

    starts: Indices
    n_reads: Indices
    values: npt.NDArray[np.float32]
    reference: npt.NDArray[np.float64]

    def terms(self, examples: Indices, sequences: Sequences) -> Indices:
        """Losses of each example [examples]: the steps of its rollouts."""
        steps: Indices = np.diff(self.starts)[examples].sum(axis=1)
        return steps

    def batch(self, members: Indices, sequences: Sequences) -> Arrays:
        """``targets`` [steps] and ``reference`` [steps] of the members' steps; for each read the number of its step
        among these, ``terms`` [reads]."""
        steps = np.concatenate([np.arange(self.starts[m], self.starts[m + 1]) for m in members])
        terms = np.repeat(np.arange(len(steps)), self.n_reads[steps])
        return {"terms": terms, "targets": self.values[steps], "reference": self.reference[steps]}


@dataclass(frozen=True, slots=True)
class ReadTargets:
    """What the model makes of each token that is read has a target: ``values`` [reads]."""

    values: npt.NDArray[np.float32]

    def terms(self, examples: Indices, sequences: Sequences) -> Indices:
        """Losses of each example [examples]: the reads of its rollouts."""
        reads: Indices = sequences.n_reads[examples].sum(axis=1)
        return reads

    def batch(self, members: Indices, sequences: Sequences) -> Arrays:
        """``targets`` [reads]."""
        return {"targets": self.values[sequences.reads_of(members)]}


@dataclass(frozen=True, slots=True)
class EveryReadTargets:
    """Whatever the model makes of a response's tokens is to come out right or wrong: ``correct`` [rollouts]."""

    correct: npt.NDArray[np.bool_]

    def terms(self, examples: Indices, sequences: Sequences) -> Indices:
        """Losses of each example [examples]: the reads of its rollouts."""
        reads: Indices = sequences.n_reads[examples].sum(axis=1)
        return reads

    def batch(self, members: Indices, sequences: Sequences) -> Arrays:
        """``targets`` [reads]."""
        return {"targets": np.repeat(self.correct[members], sequences.n_reads[members]).astype(np.float32)}


Targets = PairTargets | ResponseTargets | StepTargets | ReadTargets | EveryReadTargets
