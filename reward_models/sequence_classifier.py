"""Outcome reward models that give a whole response one number."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bonbench.reward_models.hidden_state_model import CONVENTION, Convention, HiddenStateParams, HiddenStateRewardModel
from bonbench.reward_models.text.layouts import acemath_rm, chat_turns, chat_turns_gated, eurus, qwen_rm
from bonbench.reward_models.vllm.params import CLASSIFIER
from harness.core.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from bonbench.reward_models.lm.reader import HiddenStateReader
    from bonbench.reward_models.reader import Reader


_CLASSIFIER = ("transformers:AutoModelForSequenceClassification", CLASSIFIER)


class SequenceClassifierParams(HiddenStateParams):
    """Parameters of :class:`SequenceClassifier`."""

    convention: Literal["chat", "eurus", "armorm", "acemath", "qwen2.5-math-rm", "nemotron"] | None = Field(
        None, description=CONVENTION
    )


class SequenceClassifier(HiddenStateRewardModel[SequenceClassifierParams]):
    """The reward is what the model's head makes of the hidden state at the last token.

    ``chat`` is any `AutoModelForSequenceClassification` of a decoder with one label (Skywork-Reward and most others):
    the chat template is written around problem and response, the end of the assistant's turn included. ``acemath``
    (nvidia/AceMath-7B-RM) is such a model with a system prompt of its own. ``eurus``, ``armorm`` and
    ``qwen2.5-math-rm`` are openbmb/Eurus-RM-7b, RLHFlow/ArmoRM-Llama3-8B-v0.1 and Qwen/Qwen2.5-Math-RM-72B, whose heads
    are in :mod:`reward_models.lm.heads`. ``nemotron`` (nvidia/Llama-3.1-Nemotron-70B-Reward-HF) is a causal language
    model whose logit of the vocabulary's first token is the reward.
    """

    Params = SequenceClassifierParams
    reward = "ORM"
    output_head = False
    puts_in_turns = True
    family = "sequence-classifier"
    conventions: ClassVar = {
        "chat": Convention(chat_turns, *_CLASSIFIER, is_asked=True),
        "acemath": Convention(acemath_rm, *_CLASSIFIER),
        "qwen2.5-math-rm": Convention(qwen_rm, "bonbench.reward_models.lm.heads:QwenOutcomeRewardModel"),
        "nemotron": Convention(chat_turns, "transformers:AutoModelForCausalLM"),
        "eurus": Convention(eurus, "bonbench.reward_models.lm.heads:EurusRewardModel"),
        "armorm": Convention(chat_turns_gated, "bonbench.reward_models.lm.heads:ArmoRewardModel"),
    }

    def __init__(self, params: SequenceClassifierParams, name: str = "", reader: Reader | None = None) -> None:
        super().__init__(params, name, reader)
        if self._is_classifier and self.reader.config.num_labels != 1:
            raise UserError(f"{params.model} has {self.reader.config.num_labels} labels: a reward has one")

    @property
    def _is_classifier(self) -> bool:
        return self.conventions[self.convention].model_class == _CLASSIFIER[0]

    def _loaded(self) -> HiddenStateReader:
        reader = super()._loaded()
        if self._is_classifier and not hasattr(reader.lm, "score"):
            raise UserError(f"{self.params.model}: {type(reader.lm).__name__} is not a decoder")
        if self.convention == "nemotron":
            from bonbench.reward_models.lm.logits import check_head

            check_head(reader.lm, self.params.model)
        return reader

    def _rewards(self, lm: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
        if self.convention == "nemotron":
            from bonbench.reward_models.lm.logits import token_logits

            return token_logits(lm, hidden, [0])[:, 0]
        rewards = lm.score(hidden)[:, 0] if self._is_classifier else lm.rewards(hidden)
        return rewards.float()  # type: ignore[no-any-return]
