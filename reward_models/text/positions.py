"""How many tokens a model reads, from its config alone."""

from __future__ import annotations

from transformers import AutoConfig

from harness.core.hub_models import pretrained


def positions(model: str) -> int | None:
    """The tokens that a model's positions reach; None where its config does not say.

    Raises:
        OSError: for a model without a config on this machine, where the network is off.
    """
    config = AutoConfig.from_pretrained(**pretrained(model)).get_text_config()
    limit: int | None = getattr(config, "max_position_embeddings", None)
    return limit
