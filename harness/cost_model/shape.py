"""Analytic FLOPs of decoder-only transformers, from a model's config and counted tokens.

Conventions (a multiply-add is 2 FLOPs):

- forward over a token: ``2 * P`` for the weights that multiply it (layers, and the output head where there is one;
  active experts only; the embedding table is a look-up) plus ``4 * layers * heads * head_dim`` per position it attends
  to;
- training: 3 x forward (backward costs twice the forward, Kaplan et al. 2020, section 2.1: once for the gradients of
  activations, once for those of weights); frozen weights beside adapters (LoRA, Hu et al. 2021, arXiv 2106.09685) have
  no gradients of their own, so they cost 2 x forward, adapters and attention 3 x theirs;
- generation: one forward per token, the prompt once per problem when its prefix is shared.

:func:`plain_flops` is the coarser convention of most papers, to be shown beside this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.model_sizes import ModelSizes


@dataclass(frozen=True)
class ModelShape:
    """What of a model's architecture decides its FLOPs."""

    matmul_params: int  # weights that multiply every token, the output head's included where there is one
    attention_width: int  # layers * heads * head_dim

    @classmethod
    def of(cls, sizes: ModelSizes, output_head: bool = True) -> ModelShape:
        """The shape of a model of these sizes.

        Args:
            output_head: whether the model multiplies hidden states by a head over the vocabulary. The head of a
                classifier has few outputs; it is not counted.
        """
        return cls(
            matmul_params=sizes.layers * sizes.layer(sizes.experts_per_token) + output_head * sizes.embedding,
            attention_width=sizes.layers * sizes.heads * sizes.head_dim,
        )

    @classmethod
    def from_config(cls, config: Mapping[str, Any], output_head: bool = True) -> ModelShape:
        """As :meth:`of`, from a `transformers` config as a dict.

        Raises:
            KeyError: if the config lacks the sizes of a decoder-only transformer.
        """
        return cls.of(ModelSizes.from_config(config), output_head)

    def forward(self, tokens: int, past: int = 0) -> int:
        """FLOPs of a causal forward over ``tokens`` tokens that follow ``past`` cached ones."""
        return self.reading(tokens, tokens * past + tokens * (tokens + 1) // 2)

    def training(self, tokens: int, positions: int, adapter_params: int | None = None) -> int:
        """FLOPs of forward and backward over sequences of ``tokens`` tokens in all.

        ``positions`` is the sum of l (l + 1) / 2 over their lengths l. With ``adapter_params`` only so many weights of
        adapters are trained, and the model's own are frozen.
        """
        if adapter_params is None:
            return 3 * self.reading(tokens, positions)
        return 3 * self.reading(tokens, positions) - 2 * self.matmul_params * tokens + 6 * adapter_params * tokens

    def reading(self, tokens: int, positions: int) -> int:
        """FLOPs of forward alone, as for :meth:`training`."""
        return 2 * self.matmul_params * tokens + 4 * self.attention_width * positions


def plain_flops(params: int, read: float, trained: float = 0.0) -> float:
    """2 FLOPs per parameter and token read or generated, 6 per token trained on, attention left out.

    Kaplan et al. 2020, section 2.1. ``params`` are the weights that multiply a token.
    """
    return params * (2.0 * read + 6.0 * trained)
