"""Outcome reward models that give a whole response one number."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bonbench.reward_models.hidden_state_model import CONVENTION, Convention, HiddenStateParams, HiddenStateRewardModel
from bonbench.reward_models.text.layouts import chat_turns, chat_turns_gated, eurus
from bonbench.reward_models.vllm.params import CLASSIFIER
from harness.core.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from bonbench.reward_models.lm.reader import HiddenStateReader
    from bonbench.reward_models.reader import Reader


class SequenceClassifierParams(HiddenStateParams):
    """Parameters of :class:`SequenceClassifier`."""

    convention: Literal["chat", "eurus", "armorm"] | None = Field(None, description=CONVENTION)


class SequenceClassifier(HiddenStateRewardModel[SequenceClassifierParams]):
    """The reward is what the model's head makes of the hidden state at the last token.

    ``chat`` is any `AutoModelForSequenceClassification` of a decoder with one label (Skywork-Reward and most others):
    the chat template is written around problem and response, the end of the assistant's turn included. ``eurus`` and
    ``armorm`` are openbmb/Eurus-RM-7b and RLHFlow/ArmoRM-Llama3-8B-v0.1, whose heads are in
    :mod:`reward_models.lm.heads`.
    """

    Params = SequenceClassifierParams
    reward = "ORM"
    output_head = False
    puts_in_turns = True
    family = "sequence-classifier"
    conventions: ClassVar = {
        "chat": Convention(chat_turns, "transformers:AutoModelForSequenceClassification", CLASSIFIER, is_asked=True),
        "eurus": Convention(eurus, "bonbench.reward_models.lm.heads:EurusRewardModel"),
        "armorm": Convention(chat_turns_gated, "bonbench.reward_models.lm.heads:ArmoRewardModel"),
    }

    def __init__(self, params: SequenceClassifierParams, name: str = "", reader: Reader | None = None) -> None:
        super().__init__(params, name, reader)
        if self.convention == "chat" and self.reader.config.num_labels != 1:
            raise UserError(f"{params.model} has {self.reader.config.num_labels} labels: a reward has one")

    def _loaded(self) -> HiddenStateReader:
        reader = super()._loaded()
        if self.convention == "chat" and not hasattr(reader.lm, "score"):
            raise UserError(f"{self.params.model}: {type(reader.lm).__name__} is not a decoder")
        return reader

    def _rewards(self, lm: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
        rewards = lm.score(hidden)[:, 0] if self.convention == "chat" else lm.rewards(hidden)
        return rewards.float()  # type: ignore[no-any-return]
