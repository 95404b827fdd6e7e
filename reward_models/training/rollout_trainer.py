"""What the trainers here have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import TypeVar

from bonbench.reward_models.training.integrations import check_integrations
from bonbench.reward_models.training.params import StepLabelParams, TrainingParams
from harness.core.components import Trainer

P = TypeVar("P", bound=TrainingParams)


class RolloutTrainer(Trainer[P]):
    """Base of the trainers here: what follows from their common parameters."""

    shares_process = True

    @classmethod
    def check(cls, params: P) -> None:
        check_integrations(params.report_to)

    @classmethod
    def problems(cls, params: P, problem_ids: Sequence[str]) -> Collection[str]:
        return params.learnt_from(problem_ids)

    @classmethod
    def labelled(cls, params: P, problem_ids: Sequence[str]) -> Collection[str]:
        return params.labelled(problem_ids) if isinstance(params, StepLabelParams) else problem_ids

    @classmethod
    def reads_per_rollout(cls, params: P) -> float:
        return params.passes(cls.reads(params))

    @classmethod
    @abstractmethod
    def reads(cls, params: P) -> float:
        """As :meth:`reads_per_rollout`, of a training of all weights on all problems."""


def share_in_pairs(responses: int) -> float:
    """The expected share of rollouts that are in a pair at all, if each is right or wrong with even odds.

    A rollout goes through the model once per batch, whatever number of pairs it is in and however many workers and
    micro-batches there are, and a problem's pairs share a batch; so this is also how often it is read in an epoch. (The
    pairs with which a batch is full may be one problem's, of which the next batch reads the rollouts again: not counted
    here, and in the ledger it is.)
    """
    return 1 - 2.0 ** (1 - responses)
