"""From the entries of an experiment file to configured components, and what identifies each of them.

A name of a generator, or of a reward model that the experiment trains, may stand wherever a model is asked for.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.core.components import PassOf
from harness.core.errors import UserError, first_error
from harness.core.registry import find
from harness.core.shipped import located
from harness.core.terms import Kind
from harness.data.documents import parse_yaml
from harness.experiment.model_files import check_model
from harness.experiment.spec import Pool, Spec, marked


def build(
    kind: Kind, name: str, entry: Mapping[str, Any], where: str, models: Mapping[str, str], pool: Pool | None = None
) -> Spec:
    """Check an entry against its component's parameters.

    Args:
        models: what a name means where a model is asked for (name -> folder or hub id).
        pool: the defaults of ``replicas``, ``num_cpus`` and ``num_gpus``.

    Raises:
        UserError: naming ``where``, the key and the mistake.
    """
    entry = dict(entry)
    type_ = entry.pop("dataset", None) if kind == "datasets" else None
    type_ = type_ or entry.pop("type", None)
    if not isinstance(type_, str):
        key = "dataset" if kind == "datasets" else "type"
        raise UserError(f"{where}: {key}: missing; `bonbench list` shows the registered ones")
    default = pool or Pool()
    options = {f: entry.pop(f, getattr(default, f)) for f in Pool.__dataclass_fields__}
    for option, value in options.items():
        least = 1 if option == "replicas" else 0
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value < math.inf:
            raise UserError(f"{where}.{option}: a number of at least {least} is expected (it is {value!r})")
    options["replicas"] = int(options["replicas"])
    try:
        cls = find(kind, type_)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    for mark in ("model", "data"):
        for field_name in marked(cls.Params, mark):
            value = entry.get(field_name)
            if isinstance(value, str):
                entry[field_name] = models[value] if mark == "model" and value in models else located(value)
    try:
        params = cls.Params.model_validate(entry)
    except ValidationError as error:
        raise UserError(first_error(error, cls.Params, where)) from None
    if ".py:" in type_:
        file, _, name_in_file = type_.rpartition(":")
        type_ = f"{Path(file).resolve()}:{name_in_file}"
    spec = Spec(kind, name, type_, params, Pool(**options), where)
    for field_name, value in spec.paths("model").items():
        if value not in models.values():
            check_model(value, f"{where}.{field_name}", models)
    for field_name, value in spec.paths("data").items():
        if not Path(value).is_file():
            raise UserError(f"{where}.{field_name}: {value}: no such file")
    try:
        cls.check(params)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return spec


def token_scorer_entry(wanted: PassOf) -> dict[str, Any]:
    """The entry of the token scorer that makes a pass."""
    return {"type": "causal-lm", **({"model": wanted} if isinstance(wanted, str) else wanted)}


def sweep(name: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """One entry for every combination of the lists in ``entry`` and its ``train:`` block.

    ``dpo: {train: {responses: [2, 4]}}`` stands for ``dpo-2`` and ``dpo-4``; null reads ``no-<key>``. The list of sets
    in ``train.rollouts`` is one value.
    """
    lists: list[tuple[tuple[str, ...], list[Any]]] = [((k,), v) for k, v in entry.items() if isinstance(v, list)]
    train = entry.get("train")
    if isinstance(train, Mapping):
        lists += [(("train", k), v) for k, v in train.items() if isinstance(v, list) and k != "rollouts"]
    for values in itertools.product(*(v for _, v in lists)):
        expanded: dict[str, Any] = dict(entry)
        if isinstance(train, Mapping):
            expanded["train"] = dict(train)
        label = name
        for (keys, _), value in zip(lists, values, strict=True):
            (expanded["train"] if len(keys) == 2 else expanded)[keys[-1]] = value
            label += f"-no-{keys[-1]}" if value is None else f"-{value}"
        yield label, expanded


def parse_spec(text: str, option: str = "--reward-model") -> tuple[str, dict[str, Any]]:
    """``name``, ``name:key=value,...`` or ``path.py:Class[:key=value,...]`` -> (name, entry).

    ``option`` is the option of the command line that ``text`` was given to, for the error message.

    Raises:
        UserError: for options that are not ``key=value``.
    """
    match = re.match(r"^(?P<type>.+?\.py:[\w-]+|[^:]+)(?::(?P<options>.*))?$", text)
    if match is None:
        raise UserError(f"{option} {text!r}: expected NAME, NAME:key=value,... or path.py:Class")
    type_, options = match["type"], match["options"]
    entry: dict[str, Any] = {"type": type_}
    for assignment in filter(None, (options or "").split(",")):
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UserError(f"{option} {text}: {assignment!r} is not key=value")
        entry[key] = parse_yaml(value, f"{option} {text}: {key}")
    return type_.rpartition(":")[2], entry
