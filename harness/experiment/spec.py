"""A component as an experiment configures it: its class, its checked parameters, its resources."""

from __future__ import annotations

import math
import typing
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator

from harness.core.components import Component
from harness.core.params import ComponentParams, Mark, Unkeyed
from harness.core.prompt import asks
from harness.core.registry import find
from harness.core.terms import Kind

C = TypeVar("C", bound=Component[Any])


class Pool(BaseModel):
    """Ray resources of a component: ``replicas`` actors of ``num_cpus`` and ``num_gpus`` each; ``auto``: as many as the
    cluster holds."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    replicas: int | Literal["auto"] = 1
    num_cpus: float = Field(default=1, ge=0, allow_inf_nan=False)
    num_gpus: float = Field(default=0, ge=0, allow_inf_nan=False)

    @field_validator("replicas", mode="before")
    @classmethod
    def _check_replicas(cls, replicas: object) -> object:
        if replicas != "auto" and (type(replicas) is not int or replicas < 1):
            raise ValueError("a whole number from 1 on, or auto")
        return replicas

    @property
    def holds_resources(self) -> bool:
        """Whether a replica keeps CPUs or GPUs from others while it waits for work."""
        return self.num_cpus > 0 or self.num_gpus > 0

    def at_least(self, other: Pool) -> Pool:
        """A pool with the larger value of two pools for each resource; ``auto`` is the largest of ``replicas``."""
        return Pool(
            replicas=max(self.replicas, other.replicas, key=lambda n: math.inf if n == "auto" else n),
            num_cpus=max(self.num_cpus, other.num_cpus),
            num_gpus=max(self.num_gpus, other.num_gpus),
        )


@dataclass(frozen=True)
class Spec(Generic[C]):
    """A checked entry: everything that another process needs to build the component.

    ``commits`` are the commits of its models of the hub, as ``owner/name@commit`` by the parameter's name, where they
    are known. They are in the component's keys, so they are what is loaded, whatever a node's cache has.
    """

    kind: Kind
    name: str
    type_: str
    params: ComponentParams
    pool: Pool
    where: str  # the entry's place in the experiment file, for error lines
    commits: tuple[tuple[str, str], ...] = ()

    @property
    def loads(self) -> ComponentParams:
        """The parameters to build the component with: models of the hub at their commits."""
        return self.params.model_copy(update=dict(self.commits))

    @property
    def cls(self) -> type[C]:
        return cast(type[C], find(self.kind, self.type_))

    @property
    def asks(self) -> dict[str, Any]:
        """What the component's parameters say of the prompt (see :func:`harness.core.prompt.asks`)."""
        return asks(self.params)

    @property
    def component(self) -> Hashable:
        """What a replica has loaded, and on what, whatever it is called: equal where one can do the work of another."""
        pool = self.pool.num_cpus, self.pool.num_gpus
        return self.kind, self.type_, self.loads.model_dump_json(), *pool

    def paths(self, mark: Mark) -> dict[str, str]:
        """Values of the parameters with a mark, by the parameter's name: models, or data files."""
        return {f: v for f in marked(type(self.params), mark) if (v := getattr(self.params, f)) is not None}


def marked(params: type[ComponentParams], mark: Mark) -> list[str]:
    """Names of the fields annotated with ``mark``, optional ones included."""

    def has(annotation: Any, metadata: Any = ()) -> bool:
        if mark in metadata or mark in getattr(annotation, "__metadata__", ()):
            return True
        return any(has(a) for a in typing.get_args(annotation))

    return [name for name, info in params.model_fields.items() if has(info.annotation, info.metadata)]


def unkeyed(params: ComponentParams) -> list[str]:
    """Names of the parameters whose values enter no key (see :class:`harness.core.components.Unkeyed`)."""
    return [
        name
        for name, info in type(params).model_fields.items()
        if any(isinstance(mark, Unkeyed) and getattr(params, name) in mark.values for mark in info.metadata)
    ]
