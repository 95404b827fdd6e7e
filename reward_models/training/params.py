"""What every training has in common."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, TypeVar

from pydantic import Field

from harness.core.components import Runtime, Trainer, TrainerParams
from harness.core.errors import UserError


class TrainingParams(TrainerParams):
    """What is trained on, for how long and on what machine.

    ``responses`` takes the first so many rollouts of each problem, ``instructions`` that share of the problems: smaller
    shares are contained in larger ones. ``dedup`` drops rollouts of which at least that share of the word 8-grams
    occurs in an earlier one to the same problem (see :func:`reward_models.training.subsets.near_duplicates`). Solutions
    longer than ``max_length`` tokens with their prompt are left out.

    ``batch_size`` counts examples per step, over all workers. The learning rate rises over the first ``warmup`` (share
    of the steps), then falls on a cosine to ``min_lr`` (share of ``lr``). ``max_batch_tokens`` is what goes through a
    worker at once, padding included: it sets gradient accumulation. ``fsdp`` shards the model over the workers.
    Precision "auto" is bfloat16 autocast on GPUs, float32 on CPUs.

    Every ``checkpoint_steps`` steps the state is saved, from which a killed training goes on; ``tensorboard`` also
    writes the curves as TensorBoard event files to ``tensorboard/`` in the trained folder.
    """

    lr: float = Field(1e-6, gt=0)
    epochs: int = Field(1, ge=1)
    instructions: float = Field(1.0, gt=0, le=1)
    dedup: float | None = Field(None, gt=0, le=1)
    batch_size: int = Field(64, ge=1)
    warmup: float = Field(0.03, ge=0, lt=1)
    min_lr: float = Field(0.1, ge=0, le=1)
    max_length: int = Field(8192, ge=2)
    max_batch_tokens: int = Field(16384, ge=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    gradient_checkpointing: bool = False
    seed: int = 0
    fsdp: bool = False
    checkpoint_steps: Runtime[int] = Field(100, ge=1)
    tensorboard: Runtime[bool] = False


class StepLabelParams(TrainingParams):
    """How the steps of rollouts are labelled, for trainings that learn from them.

    ``completions`` of the rollout are sampled after every step and graded. ``labels``: "hard" calls a step good if any
    of them came out right (the paper's main setting), "soft" takes the share that did as the probability that it is
    good. ``stop_when_decided`` saves completions without changing a hard label: a step gets a quarter of them first,
    and the rest only if none of these came out right. Math-Shepherd itself makes no such saving.
    """

    completions: int = Field(8, ge=1)
    labels: Literal["hard", "soft"] = "hard"
    stop_when_decided: bool = False

    def rounds(self) -> tuple[int, ...]:
        """How many completions in each round."""
        if not self.stop_when_decided or self.completions == 1:
            return (self.completions,)
        # Every round reads its prompts anew: more rounds save completions and cost reading (docs/training.md).
        first = max(1, self.completions // 4)
        return first, self.completions - first

    def how_labelled(self) -> str:
        """What a method's name says of labels that are not the paper's, or not had in its way."""
        if self.labels == "soft":
            return ", soft labels"
        return ", decided early" if self.stop_when_decided else ""

    def check_labels(self) -> None:
        """Raise :class:`harness.core.errors.UserError` for settings that contradict each other."""
        if self.stop_when_decided and self.labels == "soft":
            raise UserError("stop_when_decided: soft labels take the share of all completions: it is for hard ones")


def share_in_pairs(responses: int) -> float:
    """The expected share of rollouts that are in a pair at all, if each is right or wrong with even odds.

    A rollout goes through the model once per batch, whatever number of pairs it is in, and a problem's pairs share a
    batch; so this is also how often it is read in an epoch.
    """
    return 1 - 2.0 ** (1 - responses)


P = TypeVar("P", bound=TrainingParams)


class RolloutTrainer(Trainer[P]):
    """Base of the trainers here: what follows from their common parameters."""

    @classmethod
    def problems(cls, params: P, problem_ids: Sequence[str]) -> Collection[str]:
        from bonbench.reward_models.training.subsets import share_of

        return share_of(problem_ids, params.instructions, params.seed)
