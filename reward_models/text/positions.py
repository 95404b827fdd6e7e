"""How many tokens a model reads, from its config alone."""

from __future__ import annotations

from transformers import AutoConfig

from harness.core.errors import cannot_load
from harness.core.hub_models import pretrained


def positions(model: str) -> int | None:
    """The tokens that a model's positions reach; None where its config does not say.

    Raises:
        UserError: for a model without a readable config on this machine, where the network is off.
    """
    try:
        config = AutoConfig.from_pretrained(**pretrained(model)).get_text_config()
    except Exception as error:  # a wrong value in a config.json raises whatever the config's code meets first
        raise cannot_load(model, error) from error
    limit: int | None = getattr(config, "max_position_embeddings", None)
    return limit
