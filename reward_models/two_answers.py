"""Reward models that read which of two answers a causal LM would give: step-token PRMs, and judges' first tokens."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, TypeVar

from bonbench.reward_models.hidden_state_model import HiddenStateParams, HiddenStateRewardModel

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from bonbench.reward_models.lm.reader import HiddenStateReader
    from bonbench.reward_models.reader import Reader

P = TypeVar("P", bound=HiddenStateParams)


class TwoAnswers(HiddenStateRewardModel[P]):
    """A reward is p(first) / (p(first) + p(second)), from the model's next-token probabilities of two answers."""

    score_type = "probability"

    @property
    @abstractmethod
    def answers(self) -> list[int]:
        """Ids of the two answers, the good one first."""

    def _loaded(self) -> HiddenStateReader:
        from bonbench.reward_models.lm.logits import check_head

        reader = super()._loaded()
        check_head(reader.lm, self.params.model)
        return reader

    def _served(self) -> Reader:
        from bonbench.reward_models.vllm.readers import AnswerReader

        return AnswerReader(self._to_serve(), self.answers)

    def _rewards(self, lm: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
        from bonbench.reward_models.lm.logits import token_logits

        return token_logits(lm, hidden, self.answers).softmax(dim=-1)[:, 0]
