"""Finds components by name.

A component is a dataset, generator, verifier, token scorer, trainer, reward model or selection rule: a class derived
from a base class of :mod:`harness.core.components`; a selection rule may be a function. Built-in and third-party
components are found in the same way: a Python entry point in the group ``bonbench.<kind>`` names the class.
``path/to/file.py:Class`` names a class that is not installed. A class is imported when it is first used. The import
must be cheap, so torch, transformers and the like are imported inside methods.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar, overload

from harness.core.components import Component, Dataset, Generator, RewardModel, TokenScorer, Verifier
from harness.core.errors import UserError, one_line, suggest
from harness.core.plugins import registered
from harness.core.selection_rules import SelectionRule, rule_of_function
from harness.core.terms import Kind
from harness.core.trainer import Trainer, TrainerParams

C = TypeVar("C", bound=Component[Any])

BASES: dict[str, type[Component[Any]]] = {
    "datasets": Dataset,
    "generators": Generator,
    "verifiers": Verifier,
    "token_scorers": TokenScorer,
    "trainers": Trainer,
    "reward_models": RewardModel,
    "selection_rules": SelectionRule,
}


def register(name: str) -> Callable[[type[C]], type[C]]:
    """Class decorator: the class is found as ``path.py:name``, and goes by that name in an experiment."""

    def named(cls: type[C]) -> type[C]:
        cls.registered_name = name
        return cls

    return named


@cache
def available(kind: Kind) -> dict[str, EntryPoint]:
    """Registered names of a kind, with their entry points (nothing is imported).

    Raises:
        UserError: where two packages register different classes under one name.
    """
    return registered(f"bonbench.{kind}", _singular(kind))


@overload
def find(kind: Literal["datasets"], type_: str) -> type[Dataset[Any]]: ...
@overload
def find(kind: Literal["generators"], type_: str) -> type[Generator[Any]]: ...
@overload
def find(kind: Literal["verifiers"], type_: str) -> type[Verifier[Any]]: ...
@overload
def find(kind: Literal["token_scorers"], type_: str) -> type[TokenScorer[Any]]: ...
@overload
def find(kind: Literal["trainers"], type_: str) -> type[Trainer[Any]]: ...
@overload
def find(kind: Literal["reward_models"], type_: str) -> type[RewardModel[Any]]: ...
@overload
def find(kind: Literal["selection_rules"], type_: str) -> type[SelectionRule[Any]]: ...
@overload
def find(kind: Kind, type_: str) -> type[Component[Any]]: ...
def find(kind: Kind, type_: str) -> type[Component[Any]]:
    """The class that ``type_`` (a registered name or ``path.py:Class``) stands for.

    A file is executed once in a process: every path that leads to it gives the same class.

    Raises:
        UserError: for an unknown name (near matches are suggested), a file that cannot be imported, or a
            class of another kind, or one whose parameters are those of another kind.
    """
    return _find(kind, absolute(type_))


def absolute(type_: str) -> str:
    """``type_`` with the path of its file resolved, where it names a class in a file."""
    file, _, name = type_.rpartition(":")
    return f"{Path(file).resolve()}:{name}" if is_file(type_) else type_


def is_file(type_: str) -> bool:
    """Whether ``type_`` names a class in a file, not a registered one."""
    return ".py:" in type_


def source_digest(type_: str) -> str | None:
    """SHA-256 of the file behind ``path.py:Class``, so that editing it invalidates its results; else None."""
    if not is_file(type_):
        return None
    return hashlib.sha256(Path(type_.rpartition(":")[0]).read_bytes()).hexdigest()


@cache
def _find(kind: Kind, type_: str) -> type[Component[Any]]:
    functions = kind == "selection_rules"
    cls = _in_file(type_, functions) if is_file(type_) else _registered(kind, type_)
    if functions and inspect.isfunction(cls):
        cls = rule_of_function(cls, type_)
    base = BASES[kind]
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise UserError(f"{type_} is not a {base.__name__}: derive it from harness.{base.__name__}")
    if base is Trainer and not issubclass(cls.Params, TrainerParams):
        raise UserError(f"{type_}: its Params ({cls.Params.__name__}) must derive from harness.TrainerParams")
    return cls


def _registered(kind: Kind, name: str) -> Any:
    names = available(kind)
    if name not in names:
        raise UserError(f"no {_singular(kind)} is named {name!r}{suggest(name, names)}")
    try:
        return names[name].load()
    except ImportError as error:
        raise UserError(f"{name} ({names[name].value}) cannot be imported: {error}") from error


def _in_file(type_: str, functions: bool) -> Any:
    file, _, name = type_.rpartition(":")
    module = _executed(Path(file))
    classes: dict[str, Any] = {
        n: v for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, Component)
    }
    classes |= {v.registered_name: v for v in classes.values() if v.__dict__.get("registered_name")}
    if functions:
        classes |= {n: v for n, v in vars(module).items() if inspect.isfunction(v)}
    if name not in classes:
        defined_here = [n for n, v in classes.items() if v.__module__ == module.__name__]
        raise UserError(f"{file} has no component {name}{suggest(name, defined_here)}")
    return classes[name]


@cache
def _executed(file: Path) -> ModuleType:
    """The module that a file is."""
    if not file.is_file():
        raise UserError(f"{file}: no such file")
    module_name = f"bonbench_file_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise UserError(f"{file} cannot be imported: {one_line(error)}") from error
    return module


def _singular(kind: Kind) -> str:
    return kind.removesuffix("s").replace("_", " ")
