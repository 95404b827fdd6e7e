"""Components and where they are found.

A component is a dataset, generator, verifier, token scorer, trainer or reward model. Each is a class
derived from one of the base classes here. Built-in and third-party components are found in the same way: a Python
entry point in the group ``bonbench.<kind>`` names the class; ``path/to/file.py:Class`` names one without
installing anything. Classes are imported when they are first used, so this module, and any component
module, must be cheap to import: torch, transformers and the like are imported inside methods.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from harness.core.components import (
    Component,
    Dataset,
    Generator,
    RewardModel,
    TokenScorer,
    Trainer,
    TrainerParams,
    Verifier,
)
from harness.core.errors import UserError, suggest
from harness.core.terms import Kind

C = TypeVar("C", bound=Component[Any])

BASES: dict[str, type[Component[Any]]] = {
    "datasets": Dataset,
    "generators": Generator,
    "verifiers": Verifier,
    "token_scorers": TokenScorer,
    "trainers": Trainer,
    "reward_models": RewardModel,
}


def register(name: str) -> Callable[[type[C]], type[C]]:
    """Class decorator: the class is found as ``path.py:name``, and goes by that name in an experiment."""

    def named(cls: type[C]) -> type[C]:
        cls.registered_name = name
        return cls

    return named


@cache
def available(kind: Kind) -> dict[str, EntryPoint]:
    """Registered names of a kind, with their entry points (nothing is imported)."""
    return {e.name: e for e in sorted(entry_points(group=f"bonbench.{kind}"), key=lambda e: e.name)}


@cache
def find(kind: Kind, type_: str) -> type[Any]:
    """The class that ``type_`` (a registered name or ``path.py:Class``) stands for.

    Raises:
        UserError: for an unknown name (near matches are suggested), a file that cannot be imported, or a
            class of another kind, or one whose parameters are those of another kind.
    """
    if ".py:" in type_:
        cls = _from_file(*type_.rsplit(":", 1))
    else:
        names = available(kind)
        if type_ not in names:
            raise UserError(f"no {kind[:-1].replace('_', ' ')} is named {type_!r}{suggest(type_, names)}")
        try:
            cls = names[type_].load()
        except ImportError as error:
            raise UserError(f"{type_} ({names[type_].value}) cannot be imported: {error}") from error
    base = BASES[kind]
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise UserError(f"{type_} is not a {base.__name__}: derive it from harness.core.registry.{base.__name__}")
    if base is Trainer and not issubclass(cls.Params, TrainerParams):
        raise UserError(f"{type_}: its Params ({cls.Params.__name__}) must derive from harness.TrainerParams")
    return cls


def source_digest(type_: str) -> str | None:
    """SHA-256 of the file behind ``path.py:Class``, so that editing it invalidates its results; else None."""
    if ".py:" not in type_:
        return None
    return hashlib.sha256(Path(type_.rsplit(":", 1)[0]).read_bytes()).hexdigest()


def _from_file(file: str, name: str) -> type[Any]:
    path = Path(file)
    if not path.is_file():
        raise UserError(f"{file}: no such file")
    module_name = f"bonbench_file_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise UserError(f"{file} cannot be imported: {type(error).__name__}: {error}") from error
    classes = {n: v for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, Component)}
    classes |= {v.registered_name: v for v in classes.values() if v.__dict__.get("registered_name")}
    if name not in classes:
        own = [n for n, v in classes.items() if v.__module__ == module_name]
        raise UserError(f"{file} has no component {name}{suggest(name, own)}")
    return classes[name]
