"""What is learnt: which head a model gets, what is computed from a micro-batch with it, and the losses of that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from bonbench.generators.loading import load_model
from bonbench.generators.tokenizers import tokenizer_of
from bonbench.reward_models.generative.first_token import answer_ids
from bonbench.reward_models.lm.body import body
from bonbench.reward_models.lm.logits import LOGITS_BLOCK, check_head, target_logprobs, token_logits
from bonbench.reward_models.step_token import ANSWERS
from bonbench.reward_models.text.pieces import PieceEncoder
from bonbench.reward_models.training import objectives
from bonbench.reward_models.training.params import (
    PAIRED,
    GenerativeTrainerParams,
    ImplicitTrainerParams,
    OutcomeTrainerParams,
    TrainingParams,
)
from harness.core.errors import UserError

P = TypeVar("P", bound=TrainingParams)

Batch = dict[str, Any]  # tensors

#: The sum of a tensor over the workers, on the same device.
Summed = Callable[[torch.Tensor], torch.Tensor]

_OF_PAIRS = {"dpo": objectives.dpo, "nca": objectives.nca, "bradley-terry": objectives.dpo}


@dataclass(frozen=True, slots=True)
class Judgement:
    """``losses`` [terms]; whether each term is judged rightly [terms]; the values given to right and to wrong ones."""

    losses: torch.Tensor
    rightly: torch.Tensor
    right: torch.Tensor
    wrong: torch.Tensor


class ModelLoss(ABC, Generic[P]):
    """One kind of training: a model with its head, and the losses of micro-batches under it.

    :meth:`forward` takes the place of the model's own, so that whatever wraps the model (data parallelism, sharding,
    autocast) wraps all that touches its weights. ``head`` names the layer that it puts on a base model, if it does.
    """

    kind: ClassVar[Any] = AutoModelForCausalLM
    config: ClassVar[dict[str, Any]] = {}
    head: ClassVar[str | None] = None

    def __init__(self, params: P) -> None:
        self.params = params

    @property
    def with_reference(self) -> bool:
        """Whether a reference model takes part."""
        return False

    def load(self, model: str, dtype: str | torch.dtype = "auto") -> PreTrainedModel:
        """The model with its head, which is a new one where the model has none of its kind.

        Raises:
            UserError: for a model that lacks weights, or has a head that is not read here.
        """
        loaded = savable(load_model(self.kind, model, self.head, dtype=dtype, **self.config))
        if self.head is None:
            check_head(loaded, model)
        elif not hasattr(loaded, self.head):
            raise UserError(f"{model}: {type(loaded).__name__} is not a decoder")
        return loaded

    def finish(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Make the model's config ready to be saved."""

    def forward(
        self, model: PreTrainedModel, input_ids: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
    ) -> torch.Tensor:
        """Float32 outputs for the tokens of ``input_ids`` [rows, tokens] at (``rows``, ``columns``) [reads]."""
        hidden = body(model)(input_ids=input_ids, use_cache=False).last_hidden_state[rows, columns]
        return self.read(model, hidden, input_ids.roll(-1, dims=1)[rows, columns])

    @abstractmethod
    def read(self, model: PreTrainedModel, hidden: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        """Outputs [reads, ...] from hidden states [reads, width] and the tokens that follow there [reads]."""

    @property
    def paired(self) -> bool:
        """Whether each loss is of the rewards of two rollouts, which may be in different micro-batches.

        If so a step needs :meth:`rewards` and :meth:`compare`, else :meth:`judge`.
        """
        return False

    def before_step(self, call: Callable[[Batch], torch.Tensor], step: Batch, summed: Summed) -> None:
        """Add to the micro-batches of a step what takes all of them; ``call`` gives a batch's outputs [reads, ...]."""

    def judge(self, outputs: torch.Tensor, batch: Batch) -> Judgement:
        """The losses of a micro-batch from its outputs [reads, ...], and what they say of right and wrong.

        Raises:
            NotImplementedError: for losses of pairs.
        """
        raise NotImplementedError

    def rewards(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """z of each rollout [rows] of a micro-batch from its outputs [reads, ...].

        Raises:
            NotImplementedError: for losses that are not of pairs.
        """
        raise NotImplementedError

    def compare(self, z: torch.Tensor, examples: torch.Tensor) -> Judgement:
        """The losses of pairs of rollouts ``examples`` [pairs, 2], the right one first, by their rewards z [rollouts].

        Raises:
            NotImplementedError: for losses that are not of pairs.
        """
        raise NotImplementedError


Q = TypeVar("Q", ImplicitTrainerParams, OutcomeTrainerParams)


class ObjectiveLoss(ModelLoss[Q]):
    """Losses by an ``objective``, some of which are of pairs."""

    @property
    def paired(self) -> bool:
        return self.params.objective in PAIRED

    def compare(self, z: torch.Tensor, examples: torch.Tensor) -> Judgement:
        """By the rewards z [rollouts] of ``examples`` [pairs, 2]."""
        return _judge_pairs(self.params.objective, z, examples)


class ImplicitLoss(ObjectiveLoss[ImplicitTrainerParams]):
    """z = beta * sum over the tokens of the response, or of each step, of log pi/pi_ref."""

    @property
    def with_reference(self) -> bool:
        return self.params.reference is not None

    def read(self, model: PreTrainedModel, hidden: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        """log p of each response token [reads], with one block of logits in memory at a time, backward included."""
        size = max(1, LOGITS_BLOCK // model.config.get_text_config().vocab_size)
        if len(hidden) <= size or not torch.is_grad_enabled():
            return target_logprobs(model, hidden, following)
        blocks: list[torch.Tensor] = [
            checkpoint(target_logprobs, model, *block, use_reentrant=False)
            for block in zip(torch.split(hidden, size), torch.split(following, size), strict=True)
        ]
        return torch.cat(blocks)

    def before_step(self, call: Callable[[Batch], torch.Tensor], step: Batch, summed: Summed) -> None:
        """KTO's point of reference z0, a scalar that all examples of a step share, whatever micro-batch they are in.

        z0 = max(0, mean over mismatched responses of beta * log pi/pi_ref), the estimate of beta * KL(pi || pi_ref) of
        Ethayarajh et al. 2024 (arXiv 2402.01306), section 4; :mod:`reward_models.training.mismatched` says which
        responses these are.
        """
        if self.params.objective != "kto":
            return
        sums = []
        for batch in step["mismatched"]:
            with torch.no_grad():
                z = self._z(row_sums(call(batch), batch), batch)
            sums.append(torch.stack([z.double().sum(), batch["n_terms"].double().sum()]) * batch["counts"])
        total = summed(torch.stack(sums).sum(dim=0))
        z0 = (total[0] / total[1]).clamp(min=0).float()
        for batch in step["micro"]:
            batch["z0"] = z0

    def judge(self, outputs: torch.Tensor, batch: Batch) -> Judgement:
        """From log p of each response token [reads]."""
        params, targets = self.params, batch["targets"]
        z = self._z((step_sums if params.level == "step" else row_sums)(outputs, batch), batch)
        if params.objective == "ce":
            return _judge_singles(objectives.ce(z, targets), z, targets)
        losses = objectives.kto(z, targets, batch["z0"], params.lambda_correct, params.lambda_incorrect)
        return _judge_singles(losses, z, targets, batch["z0"])

    def rewards(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """From log p of each response token [reads]."""
        return self._z(row_sums(outputs, batch), batch)

    def _z(self, logprobs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """z from the log-probabilities of responses [rows], or of steps [steps]."""
        reference: torch.Tensor = batch["reference"].float()
        return self.params.beta * (logprobs - reference)


class OutcomeLoss(ObjectiveLoss[OutcomeTrainerParams]):
    """z is a value head's output at the last token."""

    kind = AutoModelForSequenceClassification
    config: ClassVar = {"num_labels": 1}
    head = "score"

    def finish(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """`transformers` reads the last token that is not padding: padding must not look like the end of a turn.

        Without a pad token of its own the model is for one sequence at a time there (not so in BonBench).
        """
        pad = tokenizer.pad_token_id
        model.config.pad_token_id = None if pad == tokenizer.eos_token_id else pad

    def read(self, model: PreTrainedModel, hidden: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        """The head's output [reads]."""
        return model.score(hidden)[:, 0].float()  # type: ignore[no-any-return]

    def judge(self, outputs: torch.Tensor, batch: Batch) -> Judgement:
        """From z of each response [rows]."""
        return _judge_singles(objectives.ce(outputs, batch["targets"]), outputs, batch["targets"])

    def rewards(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The outputs themselves: there is one for each response [rows]."""
        return outputs


class ValueLoss(ModelLoss[TrainingParams]):
    """A value head's output is regressed to the target at each token that is read."""

    kind = AutoModelForTokenClassification
    config: ClassVar = {"num_labels": 1}
    head = "score"

    def read(self, model: PreTrainedModel, hidden: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        """The head's output [reads]."""
        return model.score(hidden)[:, 0].float()  # type: ignore[no-any-return]

    def judge(self, outputs: torch.Tensor, batch: Batch) -> Judgement:
        """From the values of what is read [reads]: their squared distance from the targets."""
        return _judge_reads((outputs - batch["targets"]) ** 2, outputs, batch["targets"])


class StepTokenLoss(ModelLoss[TrainingParams]):
    """Cross-entropy of the two answers' probabilities against the target (the first one's) where a step is judged."""

    def __init__(self, params: TrainingParams) -> None:
        super().__init__(params)
        encoder = PieceEncoder(tokenizer_of(params.base), params.base)
        self._answers = [encoder.only_token(answer) for answer in ANSWERS]

    def read(self, model: PreTrainedModel, hidden: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        """Logits of the two answers [reads, 2]."""
        return token_logits(model, hidden, self._answers)

    def judge(self, outputs: torch.Tensor, batch: Batch) -> Judgement:
        """From the logits of the two answers [reads, 2]."""
        targets = batch["targets"]
        losses = -(torch.stack([targets, 1 - targets], dim=-1) * F.log_softmax(outputs, dim=-1)).sum(dim=-1)
        return _judge_reads(losses, outputs.softmax(dim=-1)[:, 0], targets)


class VerdictLoss(ModelLoss[GenerativeTrainerParams]):
    """-log p of the answer that is right, at the token where a question about the response is answered."""

    def __init__(self, params: GenerativeTrainerParams) -> None:
        super().__init__(params)
        encoder = PieceEncoder(tokenizer_of(params.base), params.base)
        self._answers = answer_ids(encoder, params, params.base)

    def read(self, model: PreTrainedModel, hidden: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        """log p of the answers yes and no [reads, 2], of all tokens."""
        answers = (torch.full_like(following, answer) for answer in self._answers)
        return torch.stack([target_logprobs(model, hidden, answer) for answer in answers], dim=-1)

    def judge(self, outputs: torch.Tensor, batch: Batch) -> Judgement:
        """From log p of the two answers [rows, 2]; z is the log-ratio of yes to no."""
        yes, no = outputs.unbind(dim=-1)
        return _judge_singles(-torch.where(batch["targets"] >= 0.5, yes, no), yes - no, batch["targets"])


MODEL_LOSSES: dict[str, type[ModelLoss[Any]]] = {
    "implicit": ImplicitLoss,
    "outcome": OutcomeLoss,
    "value": ValueLoss,
    "step-token": StepTokenLoss,
    "verdict": VerdictLoss,
}


def savable(model: PreTrainedModel) -> PreTrainedModel:
    """A model that `transformers` will save: without what it would refuse to write into a ``generation_config.json``.

    It loads such a file with a warning, and refuses to save it (huggingface/transformers#29988). Nothing here samples
    by it: of a file that is refused, the numbers of the special tokens are kept.
    """
    if (before := getattr(model, "generation_config", None)) is not None:
        try:
            before.validate(strict=True)
        except ValueError:
            ids = {name: id_ for name, id_ in before.to_dict().items() if name.endswith("_token_id")}
            model.generation_config = GenerationConfig(**ids)
    return model


def row_sums(values: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Sums of values [reads] over the rows of the batch [rows]."""
    return _sums(values, batch["rows"], batch["columns"], batch["input_ids"].shape)


def step_sums(values: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Sums of values [reads] over the steps of the batch [steps]; 0 for a step without tokens."""
    return _sums(values, batch["terms"], batch["columns"], (len(batch["targets"]), batch["input_ids"].shape[1]))


def _sums(values: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    # Each value to a place of its own: adding up scattered values would depend on their order on a GPU.
    spread = values.new_zeros(shape)
    spread[rows, columns] = values
    return spread.sum(dim=-1)


def _judge_pairs(objective: str, z: torch.Tensor, examples: torch.Tensor) -> Judgement:
    """By the rewards z [rows] of the two responses of each example [pairs, 2], the right one first."""
    right, wrong = z[examples].unbind(dim=-1)
    return Judgement(_OF_PAIRS[objective](right, wrong), right > wrong, right, wrong)


def _judge_singles(
    losses: torch.Tensor, z: torch.Tensor, targets: torch.Tensor, zero: torch.Tensor | float = 0.0
) -> Judgement:
    """By rewards z [terms] that should be above ``zero`` where ``targets`` [terms] say so."""
    correct = targets >= 0.5
    return Judgement(losses, (z > zero) == correct, z[correct], z[~correct])


def _judge_reads(losses: torch.Tensor, values: torch.Tensor, targets: torch.Tensor) -> Judgement:
    right = targets >= 0.5
    return Judgement(losses, (values >= 0.5) == right, values[right], values[~right])
