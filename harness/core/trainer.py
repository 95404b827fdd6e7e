"""The base class of trainers, their parameters, and what a training says of itself."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import Field

from harness.core.components import Component
from harness.core.params import ComponentParams, ModelPath, PassOf
from harness.core.records import GradedSolution
from harness.core.workers import Launcher, Progress, Workers


class TrainerParams(ComponentParams):
    """The parameters that every trainer has: the parameter class of a trainer derives from this class.

    The trainer starts from the model ``base`` and learns from the first ``responses`` rollouts of each problem.
    It runs in ``workers`` processes. Each process has ``cpus_per_worker`` CPUs and ``gpus_per_worker`` GPUs.
    """

    base: ModelPath = Field(description="the model that the training starts from")
    responses: int = Field(8, ge=1, description="learn from the first so many rollouts of each problem")
    workers: int = Field(1, ge=1, description="processes that share every batch")
    cpus_per_worker: int = Field(1, ge=1, description="CPUs of each worker")
    gpus_per_worker: int = Field(0, ge=0, le=1, description="GPUs of each worker")

    def in_workers(self) -> Workers:
        """The workers that these parameters ask for."""
        return Workers(self.workers, self.cpus_per_worker, self.gpus_per_worker)


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What a training did, for the ledger and the report.

    ``config``, ``device`` and ``output_head`` are those of :class:`ModelFacts`. ``train_tokens`` went through forward
    and backward (epochs counted, padding not); ``forward_tokens`` were only read. For causal attention,
    ``train_positions`` and ``forward_positions`` are the sums of l (l + 1) / 2 over the sequences of length l among
    them. Where the weights of the model were frozen, ``adapter_params`` is how many weights beside them multiplied a
    token and were trained; None where the model's own weights were. ``extra`` is whatever else the report should know
    (loss, counts), as JSON; its ``note`` is a line for the user.
    """

    config: Mapping[str, Any]
    device: str
    output_head: bool
    train_tokens: int
    train_positions: int
    forward_tokens: int = 0
    forward_positions: int = 0
    adapter_params: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def saying(self, more: Mapping[str, Any]) -> TrainingFacts:
        """The same facts, with ``more`` added to ``extra``."""
        return replace(self, extra={**self.extra, **more})


@dataclass(frozen=True, slots=True)
class Effort:
    """What a plan assumes of a training.

    ``recomputes`` says whether a forward pass is computed twice to save memory, ``frozen`` that the model's own weights
    are not trained (adapters are), ``sharded`` that the workers share the weights out. ``waiting`` is what padding, and
    waiting for the slowest worker, add to the time, as a share. There is a saved state every ``checkpoint_minutes``.
    """

    recomputes: bool = False
    frozen: bool = False
    sharded: bool = False
    waiting: float = 0.0
    checkpoint_minutes: float = math.inf

    @property
    def work(self) -> float:
        """What is computed, in multiples of what the FLOPs count: three forward passes, or two where weights are
        frozen."""
        return 1 + self.recomputes / (2 if self.frozen else 3)


T = TypeVar("T", bound=TrainerParams)


class Trainer(Component[T]):
    """Trains a model from graded rollouts. Its parameters derive from :class:`TrainerParams`."""

    Params: ClassVar[type[ComponentParams]] = TrainerParams

    @classmethod
    def token_passes(cls, params: T) -> Mapping[str, PassOf]:
        """Token passes over the rollouts needed: role -> model, as for reward models."""
        return {}

    @classmethod
    def method(cls, params: T) -> str:
        """The training method's name in the tables. Trainings that differ only in the amount of data share one name."""
        return cls.__name__.removesuffix("Trainer")

    @classmethod
    def problems(cls, params: T, problem_ids: Sequence[str]) -> Collection[str]:
        """The problems that are trained on, out of ``problem_ids``. The training is charged for their rollouts only."""
        return problem_ids

    @classmethod
    def with_base(cls, entry: dict[str, Any], training: Any) -> dict[str, Any]:
        """The parameters of ``entry`` for a training that starts from the model of another training.

        ``training`` are the parameters of that other training.
        """
        return entry

    @classmethod
    def completions(cls, params: T) -> Sequence[int]:
        """How many completions each round samples after every step of every rollout, for step labels.

        A later round samples only for steps whose earlier completions are all wrong. Without rounds nothing is sampled.
        The generator of the rollouts samples the completions. ``GradedSolution.steps`` then has the share of right
        completions.
        """
        return ()

    @classmethod
    def judges_steps(cls, params: T) -> bool:
        """Whether the model learns a judgement of every step, as the steps of a whole response usually are."""
        return len(cls.completions(params)) > 0

    @classmethod
    def labelled(cls, params: T, problem_ids: Sequence[str]) -> Collection[str]:
        """The problems whose rollouts are completed for step labels, out of ``problem_ids``.

        ``GradedSolution.steps`` is None for rollouts to the other problems.
        """
        return problem_ids

    @classmethod
    def reads_per_rollout(cls, params: T) -> float:
        """A plan's estimate of how often a rollout goes through forward and backward."""
        return 1.0

    @classmethod
    def effort(cls, params: T) -> Effort:
        """What else a plan assumes of the training."""
        return Effort()

    @classmethod
    def rehearse(cls, params: T) -> None:
        """Raise :class:`~harness.core.errors.UserError` where the training could not begin, or its model not be saved.

        Called before anything is computed for the training. Its base may be on no machine yet. It should take seconds:
        weights need not be read.
        """

    @classmethod
    def check_grades(cls, params: T, correct: Mapping[str, Sequence[bool]]) -> None:
        """Raise :class:`~harness.core.errors.UserError` where there is nothing to learn from rollouts so graded.

        Called when all rollouts are graded, before a model reads or completes them. ``correct`` has, by problem,
        whether each of its first ``responses`` rollouts is.
        """

    @abstractmethod
    def train(
        self, data: Sequence[GradedSolution], output: Path, progress: Progress, launch: Launcher
    ) -> TrainingFacts:
        """Write the trained model to the folder ``output``; return facts for the ledger and the report.

        A run gives ``data`` as :class:`~harness.core.rollouts.RolloutShards`: iteration loads them shard by shard, and
        any process loads a shard of its ``shards`` by itself.

        The training must be deterministic. ``progress(done, total, note)`` may be called as often as you like. Work
        that takes long or needs a GPU goes through ``launch``, which runs it in the workers that the parameters ask
        for.
        """
