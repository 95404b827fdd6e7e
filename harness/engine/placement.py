"""The warning of a run that large models would run on CPUs though there are GPUs."""

from __future__ import annotations

from collections.abc import Sequence

from harness.cost_model.known_models import model_sizes
from harness.engine.graph import Graph, Node, Stage, Training

#: A model with so many weights is slow on CPUs: it takes hours where a GPU takes minutes.
_LARGE = 10**9


def large_without_gpus(graph: Graph, nodes: Sequence[Node]) -> str | None:
    """A line that names the entries whose large models would run on CPUs; None where no entry has such a model."""
    options: dict[str, None] = {}
    for node in nodes:
        if isinstance(node, Training):
            model, gpus, option = node.params.base, float(node.params.gpus_per_worker), "gpus_per_worker"
        else:
            assert isinstance(node, Stage)
            model, gpus, option = node.model or "", node.spec.pool.num_gpus, "num_gpus"
        if model and gpus == 0 and _is_large(graph.untrained(model)):
            options[f"{_entry(graph, node)}.{option}"] = None
    if not options:
        return None
    return f"There are GPUs, but models of over a billion weights run on CPUs. To use GPUs, set {', '.join(options)}."


def _is_large(model: str) -> bool:
    sizes = model_sizes(model)
    return sizes is not None and sizes.layers * sizes.layer(sizes.experts) > _LARGE


def _entry(graph: Graph, node: Node) -> str:
    """The place of the entry that says where a node runs; a token pass has the first of those that read it."""
    if isinstance(node, Training) or node.spec.kind != "token_scorers":
        return node.spec.where
    reader = next(reader for reader in graph.nodes if node in reader.requires)
    return reader.spec.where.removesuffix(".train")
