"""The parameters of every training here; their descriptions are what ``bonbench list NAME`` shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from bonbench.reward_models.generative.params import QuestionParams
from bonbench.reward_models.training.subsets import share_of
from harness.core.errors import UserError
from harness.core.params import ComponentParams, ModelPath, Runtime, Unkeyed
from harness.core.prompt import Asked
from harness.core.trainer import TrainerParams

#: Objectives that learn from pairs of a correct and an incorrect response.
PAIRED = ("dpo", "nca", "bradley-terry")

_PAIRS = (
    '"all" pairs of a correct and an incorrect response to one problem (the paper\'s code), or "one" counterpart for '
    "each correct response (the paper's text)"
)


#: About how often the problems that are kept apart are read during a training.
VALIDATIONS = 10


class LoraParams(ComponentParams):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): W + alpha / rank * B A, W frozen, A and B trained."""

    rank: int = Field(16, ge=1, description="rows of A, columns of B")
    alpha: float = Field(32, gt=0, description="the product B A counts alpha / rank times")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of an adapter's inputs that are dropped at random")
    targets: Literal["all-linear"] | tuple[str, ...] = Field(
        "all-linear",
        description="the layers with adapters: every linear layer of the body, or names such as [q_proj, v_proj]",
    )


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class TrainingParams(TrainerParams, Asked):
    """What is trained on, for how long and on what machine."""

    lr: float = Field(1e-6, gt=0, description="highest learning rate; it falls from there on a cosine")
    epochs: int = Field(1, ge=1, description="times that the examples are gone through")
    instructions: float = Field(
        1.0, gt=0, le=1, description="share of the problems to learn from; smaller shares are contained in larger ones"
    )
    dedup: float | None = Field(
        None,
        gt=0,
        le=1,
        description="drop a rollout of which at least this share of the word 8-grams occurs in an earlier one to the "
        "same problem; null drops none",
    )
    batch_size: int = Field(64, ge=1, description="examples per step, over all workers")
    warmup: float = Field(0.03, ge=0, lt=1, description="share of the steps over which the learning rate rises")
    min_lr: float = Field(0.1, ge=0, le=1, description="what the learning rate falls to, as a share of lr")
    max_length: int = Field(8192, ge=2, description="leave out solutions of more tokens, prompt included")
    max_batch_tokens: int = Field(
        16384,
        ge=1,
        description="tokens that a worker has in memory at once, padding included; it decides into how many "
        "micro-batches a batch is cut",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 autocast on GPUs, float32 on CPUs"
    )
    gradient_checkpointing: bool = Field(False, description="compute activations twice to save memory")
    seed: int = Field(
        0,
        ge=0,
        lt=2**32,
        description="decides the order of examples, and which are drawn where some are; seeds: [0, 1, 2] trains with "
        "each, and the tables have their mean",
    )
    fsdp: bool = Field(False, description="shard the model over the workers")
    lora: Annotated[LoraParams | None, Unkeyed((None,))] = Field(
        None,
        description="{rank: 16, alpha: 32, dropout: 0, targets: all-linear}: train low-rank adapters (and a new head) "
        "beside frozen weights and add them up at the end; it takes a fraction of the memory and wants a learning rate "
        "10 to 100 times as high; null trains all weights",
    )
    validation: Annotated[float, Unkeyed((0.0,))] = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the problems that are kept apart: not learnt from, only looked at before, during and "
        "after the training; the same for every seed, smaller shares contained in larger ones; 0 keeps none apart",
    )
    checkpoint_minutes: Runtime[float] = Field(
        20,
        ge=0,
        description="minutes between saved states, from which a killed training goes on; a training that takes less "
        "saves none",
    )
    report_to: Runtime[Annotated[tuple[str, ...], BeforeValidator(_listed)]] = Field(
        (),
        description="where the curves go besides history.jsonl, as transformers names it: wandb, mlflow, tensorboard "
        "(files in tensorboard/ in the trained folder), ...",
    )

    def learnt_from(self, problem_ids: Iterable[str]) -> set[str]:
        """The problems that the training learns from, out of ``problem_ids``."""
        return share_of(problem_ids, self.instructions, self.seed)

    def kept_apart(self, problem_ids: Iterable[str]) -> set[str]:
        """The problems that no training with this ``validation`` learns from, out of all ``problem_ids``."""
        return share_of(problem_ids, self.validation, "validation") if self.validation else set()

    def passes(self, reads: float) -> float:
        """A plan's estimate of the passes forward and backward that cost as much as ``reads`` passes do here.

        With adapters a pass costs two forwards instead of three. A problem that is kept apart is only read.
        """
        apart = self.validation * (VALIDATIONS + 1) / 3
        return reads * (1 - self.validation) * (2 / 3 if self.lora else 1) + apart


class StepLabelParams(TrainingParams):
    """How the steps of rollouts are labelled, for trainings that learn from them."""

    completions: int = Field(
        8, ge=1, description="completions of the rollout to sample after every step, and to grade, for its label"
    )
    labels: Literal["hard", "soft"] = Field(
        "hard",
        description="hard: a step is good if any completion came out right (the paper's main setting); soft: the share "
        "that did is the probability that it is good",
    )
    stop_when_decided: bool = Field(
        False,
        description="a step gets a quarter of its completions first, and the others only if none of these came out "
        "right: the same hard labels from fewer completions (Math-Shepherd itself makes no such saving)",
    )

    label_share: Annotated[float, Unkeyed((1.0,))] = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the problems whose rollouts are completed and labelled; the training learns from these "
        "alone, and instructions is a share of them; the same for every seed, smaller shares contained in larger ones",
    )

    def labelled(self, problem_ids: Iterable[str]) -> set[str]:
        """The problems whose rollouts have step labels, out of ``problem_ids``."""
        return share_of(problem_ids, self.label_share, seed=0)

    def learnt_from(self, problem_ids: Iterable[str]) -> set[str]:
        return super().learnt_from(self.labelled(problem_ids))

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
            raise UserError("stop_when_decided: soft labels need all completions: remove it, or set labels: hard")


class ImplicitTrainerParams(StepLabelParams):
    """Parameters of :class:`~reward_models.training.implicit.ImplicitTrainer`; the defaults are the paper's."""

    reference: ModelPath | None = Field(
        description="the reference model: base if left out, or the reference of base where base is an implicit reward "
        "model that the experiment trains; null trains on log pi alone"
    )
    objective: Literal["dpo", "nca", "kto", "ce"] = Field("dpo", description="the loss; dpo and nca learn from pairs")
    level: Literal["response", "step"] = Field(
        "response",
        description="whether kto and ce learn the correctness of each response or the label of each step; completions, "
        "labels and stop_when_decided are for steps",
    )
    beta: float = Field(0.05, gt=0, description="factor of log pi/pi_ref in the reward")
    lr: float = Field(5e-7, gt=0, description="highest learning rate; it falls from there on a cosine")
    batch_size: int = Field(64, ge=1, description="pairs (dpo, nca) or responses (kto, ce) per step, over all workers")
    pairs: Literal["all", "one"] = Field("all", description=_PAIRS)
    balance: Literal["none", "dataset", "instruction"] = Field(
        "none",
        description="kto and ce: drop responses of the larger class until both are equal, over the dataset or within "
        "each instruction (problem)",
    )
    lambda_correct: float = Field(1.0, gt=0, description="kto: weight of correct responses")
    lambda_incorrect: float = Field(1.0, gt=0, description="kto: weight of incorrect responses")

    @model_validator(mode="before")
    @classmethod
    def _base_is_reference(cls, entry: Any) -> Any:
        return {"reference": entry.get("base"), **entry} if isinstance(entry, dict) else entry


class OutcomeTrainerParams(TrainingParams):
    """Parameters of :class:`~reward_models.training.outcome.OutcomeTrainer`."""

    batch_size: int = Field(64, ge=1, description="responses (bce) or pairs (bradley-terry) per step, over all workers")
    objective: Literal["bce", "bradley-terry"] = Field(
        "bce", description="cross-entropy with correctness, or of which of two responses is correct"
    )
    pairs: Literal["all", "one"] = Field("all", description=f"bradley-terry: {_PAIRS}")


class StepTokenTrainerParams(StepLabelParams):
    """Parameters of :class:`~reward_models.training.step_token.StepTokenTrainer`.

    The learning rate is that of public Math-Shepherd recipes.
    """

    batch_size: int = Field(64, ge=1, description="responses per step, over all workers")


class AutoPSVTrainerParams(TrainingParams):
    """Parameters of :class:`~reward_models.training.autopsv.AutoPSVTrainer`, which trains two verifiers by them."""

    epochs: int = Field(1, ge=1, description="times that the outcome-supervised verifier goes through the examples")
    step_epochs: Annotated[int | None, Unkeyed((None,))] = Field(
        None,
        ge=1,
        description="times that the process-supervised verifier goes through them after that; null: epochs times too",
    )
    batch_size: int = Field(64, ge=1, description="responses per step, over all workers")
    drop: float = Field(
        0.5,
        gt=0,
        le=1,
        description="a step is the first error if the verifier's value falls there by more than this share of itself",
    )

    @property
    def of_steps(self) -> AutoPSVTrainerParams:
        """The parameters of the second training, from the labels of steps."""
        return self.model_copy(update={"epochs": self.step_epochs or self.epochs})


class GenerativeTrainerParams(QuestionParams, TrainingParams):
    """Parameters of :class:`~reward_models.training.generative.GenerativeTrainer`.

    The question is all that is asked: what the rollouts' generator says around problems has no effect.
    """

    batch_size: int = Field(64, ge=1, description="responses per step, over all workers")
    balance: Literal["none", "dataset", "instruction"] = Field(
        "none",
        description="drop responses of the larger class until both are equal, over the dataset or within each "
        "instruction (problem)",
    )
