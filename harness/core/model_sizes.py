"""The sizes of a decoder-only transformer, read from its config. Only this module knows how families name the sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: The MLPs of these families have two matrices. All others here are gated and have three.
_UNGATED = {"gpt2", "gpt_neox", "opt", "phi", "starcoder2", "falcon", "gptj", "gpt_neo"}


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """Layers, widths and heads of a model.

    ``intermediate`` is the width of an MLP. Where a layer has ``experts``, it is the width of each expert, and every
    token goes through ``experts_per_token`` experts. ``tied``: the table of embeddings is the output head too.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    mlp_matrices: int = 3
    experts: int = 0
    experts_per_token: int = 0
    tied: bool = False

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ModelSizes:
        """Sizes from a `transformers` config as a dict. Of a multimodal model, the sizes of its language model.

        Raises:
            KeyError: if the config lacks the sizes of a decoder-only transformer.
        """
        config = {**config, **(config.get("text_config") or {})}
        hidden = config.get("hidden_size") or config["n_embd"]
        heads = config.get("num_attention_heads") or config["n_head"]
        intermediate = config.get("intermediate_size") or config.get("n_inner") or 4 * hidden
        experts = config.get("num_local_experts") or config.get("num_experts") or 0
        gated = experts or config.get("model_type") not in _UNGATED
        return cls(
            layers=config.get("num_hidden_layers") or config["n_layer"],
            hidden=hidden,
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or hidden // heads,
            intermediate=(config.get("moe_intermediate_size") if experts else None) or intermediate,
            vocabulary=config["vocab_size"],
            mlp_matrices=3 if gated else 2,
            experts=experts,
            experts_per_token=config["num_experts_per_tok"] if experts else 0,
            tied=bool(config.get("tie_word_embeddings", False)),
        )

    @property
    def embedding(self) -> int:
        """Weights of the table of embeddings. An output head has as many weights."""
        return self.hidden * self.vocabulary

    @property
    def cache_per_token(self) -> int:
        """Numbers that the key-value cache holds of one token."""
        return 2 * self.layers * self.kv_heads * self.head_dim

    def layer(self, experts: int) -> int:
        """Weights of a layer's matrices with so many of its experts, if it has any; norms and biases left out."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        mlp = self.mlp_matrices * self.hidden * self.intermediate
        router = self.hidden * self.experts
        return attention + (mlp * experts + router if self.experts else mlp)
