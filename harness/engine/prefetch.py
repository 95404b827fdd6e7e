"""Fetches what an experiment needs from the hub, so that its run can be on machines without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from harness.core.errors import UserError
from harness.core.hub_models import is_hub_model
from harness.core.params import Mark
from harness.data.hub_snapshots import fetch_model
from harness.engine.graph import Node


def hub_models(nodes: Iterable[Node]) -> list[str]:
    """The models of the hub that some nodes load, each once, in the order of the nodes."""
    paths = (path for node in nodes for path in node.spec.paths(Mark.MODEL).values())
    return [path for path in dict.fromkeys(paths) if is_hub_model(path) and not Path(path).exists()]


def prefetch(nodes: Iterable[Node], say: Callable[[str], None]) -> list[str]:
    """Fetch the models of some nodes, one after the other.

    Data sets are fetched when a graph is made. A model that cannot be fetched does not keep the others from it.

    Returns:
        The models that could not be fetched.
    """
    failed = []
    for model in hub_models(nodes):
        try:
            say(f"{model}: {fetch_model(model) / 1e9:.1f} GB")
        except UserError as error:
            say(str(error))
            failed.append(model)
    return failed
