"""A component as an experiment configures it: its class, its checked parameters, its resources."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Any

from harness.core.components import ComponentParams
from harness.core.registry import find
from harness.core.terms import Kind


@dataclass(frozen=True)
class Pool:
    """Ray resources of a component: ``replicas`` actors of ``num_cpus`` and ``num_gpus`` each."""

    replicas: int = 1
    num_cpus: float = 1
    num_gpus: float = 0

    @property
    def holds_resources(self) -> bool:
        """Whether a replica keeps CPUs or GPUs from others while it waits for work."""
        return self.num_cpus > 0 or self.num_gpus > 0


@dataclass(frozen=True)
class Spec:
    """A component that an experiment configures: enough to build it in another process."""

    kind: Kind
    name: str
    type_: str
    params: ComponentParams
    pool: Pool
    where: str  # the entry's place in the experiment file, for error lines

    @property
    def cls(self) -> type[Any]:
        return find(self.kind, self.type_)

    def paths(self, mark: str) -> dict[str, str]:
        """Values of the parameters marked ``ModelPath`` ("model") or ``DataPath`` ("data")."""
        return {f: v for f in marked(type(self.params), mark) if (v := getattr(self.params, f)) is not None}


def marked(params: type[ComponentParams], mark: str) -> list[str]:
    """Names of the fields annotated with ``mark``, optional ones included."""

    def has(annotation: Any, metadata: Any = ()) -> bool:
        if mark in metadata or mark in getattr(annotation, "__metadata__", ()):
            return True
        return any(has(a) for a in typing.get_args(annotation))

    return [name for name, info in params.model_fields.items() if has(info.annotation, info.metadata)]
