"""Analytic FLOPs of decoder-only transformers, from a model's config and counted tokens.

Conventions (a multiply-add is 2 FLOPs):

- forward over a token: ``2 * P`` for the weights that multiply it (layers and output head, active experts only;
  the embedding table is a look-up) plus ``4 * layers * heads * head_dim`` per position it attends to;
- training: 3 x forward (backward costs twice the forward, Kaplan et al. 2020, section 2.1);
- generation: one forward per token, the prompt once per problem when its prefix is shared.

:func:`plain_flops` is the coarser convention of most papers, to be shown beside this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: MLPs of these families have two matrices; all others here are gated and have three.
_UNGATED = {"gpt2", "gpt_neox", "opt", "phi", "starcoder2", "falcon", "gptj", "gpt_neo"}


@dataclass(frozen=True)
class ModelShape:
    """What of a model's architecture decides its FLOPs."""

    matmul_params: int  # weights that multiply every token, the output head's included where there is one
    attention_width: int  # layers * heads * head_dim

    @classmethod
    def from_config(cls, config: Mapping[str, Any], output_head: bool = True) -> ModelShape:
        """Shape from a `transformers` config as a dict.

        Args:
            output_head: whether the model multiplies hidden states by a head over the vocabulary.

        Raises:
            KeyError: if the config lacks the sizes of a decoder-only transformer.
        """
        config = {**config, **(config.get("text_config") or {})}
        hidden = config.get("hidden_size") or config["n_embd"]
        layers = config.get("num_hidden_layers") or config["n_layer"]
        heads = config.get("num_attention_heads") or config["n_head"]
        kv_heads = config.get("num_key_value_heads") or heads
        head_dim = config.get("head_dim") or hidden // heads
        inner = config.get("intermediate_size") or config.get("n_inner") or 4 * hidden
        attention = hidden * head_dim * (2 * heads + 2 * kv_heads)
        mlp = (2 if config.get("model_type") in _UNGATED else 3) * hidden * inner
        experts = config.get("num_local_experts") or config.get("num_experts")
        if experts:
            inner = config.get("moe_intermediate_size") or inner
            mlp = 3 * hidden * inner * config["num_experts_per_tok"] + hidden * experts
        head = hidden * config["vocab_size"] if output_head else 0
        return cls(
            matmul_params=layers * (attention + mlp) + head,
            attention_width=layers * heads * head_dim,
        )

    def forward(self, tokens: int, past: int = 0) -> int:
        """FLOPs of a causal forward over ``tokens`` tokens that follow ``past`` cached ones."""
        return self._forward(tokens, tokens * past + tokens * (tokens + 1) // 2)

    def training(self, tokens: int, positions: int) -> int:
        """FLOPs of forward and backward over sequences of ``tokens`` tokens in all.

        ``positions`` is the sum of l (l + 1) / 2 over their lengths l.
        """
        return 3 * self._forward(tokens, positions)

    def _forward(self, tokens: int, positions: int) -> int:
        return 2 * self.matmul_params * tokens + 4 * self.attention_width * positions


def plain_flops(params: int, read: float, trained: float = 0.0) -> float:
    """2 FLOPs per parameter and token read or generated, 6 per token trained on, attention left out.

    Kaplan et al. 2020, section 2.1. ``params`` are the weights that multiply a token.
    """
    return params * (2.0 * read + 6.0 * trained)
