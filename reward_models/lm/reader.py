"""Rewards read off hidden states, with transformers in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers import PreTrainedModel

from bonbench.reward_models.lm.causal_lm import read
from bonbench.reward_models.text.pieces import Marked
from harness.core.components import ModelFacts


class HiddenStateReader:
    """A :class:`~bonbench.reward_models.reader.Reader`: equal beginnings of texts go through the model once.

    Args:
        head: from hidden states [tokens read, width] of one text to its rewards [steps], or [1] of an ORM.
    """

    def __init__(
        self, lm: PreTrainedModel, head: Callable[[torch.Tensor], torch.Tensor], max_batch_tokens: int | None
    ) -> None:
        self.lm = lm
        self.config = lm.config
        self.limit: int | None = getattr(lm.config.get_text_config(), "max_position_embeddings", None)
        self._head = head
        self._max_batch_tokens = max_batch_tokens

    def rewards(self, readings: Sequence[Marked]) -> list[list[float]]:
        states = read(self.lm, readings, lambda hidden, _: hidden, self._max_batch_tokens)
        with torch.inference_mode():
            return [self._head(hidden).tolist() for hidden in states]

    def facts(self) -> ModelFacts:
        has_head = self.lm.get_output_embeddings() is not None
        return ModelFacts(self.lm.config.to_dict(), str(self.lm.device), output_head=has_head)
