"""Models of the hub whose branch or tag is at another commit than when the results were made."""

from __future__ import annotations

from collections.abc import Iterator

from harness.engine.graph import Graph
from harness.storage.manifest import read_manifest


def moved_models(graph: Graph) -> Iterator[str]:
    """A line for each model that has moved since the last run in the same folder."""
    manifest = read_manifest(graph.results)
    before = manifest.commits if manifest else {}
    for model, now in graph.commits.items():
        then = before.get(model)
        if then is not None and then != now:
            yield (
                f"{model} was {_commit(then)} and is {_commit(now)} now: what it makes is made again. "
                f"`revision: {_commit(then)}` in its entry keeps the earlier one."
            )


def _commit(model: str) -> str:
    return model.partition("@")[2]
