"""From the entries of an experiment file to configured components, and what identifies each of them.

A name of a generator, or of a reward model that the experiment trains, may stand wherever a model is asked for.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from harness.core.registry import Component, ComponentParams, Kind, PassOf, UserError, find, source_digest, suggest
from harness.experiment.config import first_error

P = TypeVar("P", bound=ComponentParams)
_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
_WEIGHTS = (".safetensors", ".bin")
_LARGE_FILE = 256 << 20


@dataclass(frozen=True)
class Pool:
    """Ray resources of a component: ``replicas`` actors of ``num_cpus`` and ``num_gpus`` each."""

    replicas: int = 1
    num_cpus: float = 1
    num_gpus: float = 0


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
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < least:
            raise UserError(f"{where}.{option}: a number of at least {least} is expected (it is {value!r})")
    options["replicas"] = int(options["replicas"])
    try:
        cls = find(kind, type_)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    for field_name in marked(cls.Params, "model"):
        value = entry.get(field_name)
        if isinstance(value, str):
            entry[field_name] = models.get(value, value)
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


def check_model(model: str, where: str, names: Mapping[str, str]) -> None:
    """Raise :class:`UserError` unless ``model`` is a folder with weights, a convertible file or may be a hub id."""
    folder = Path(model)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"{where}: {model} has no config.json: not a model folder in transformers format")
        if not any(f.suffix in _WEIGHTS for f in folder.iterdir()):
            raise UserError(f"{where}: {model} has no weights ({', '.join(_WEIGHTS)})")
    elif folder.is_file() and _format(folder):
        return
    elif folder.is_file() or model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise UserError(f"{where}: {model}: no such model folder")
    elif not _HUB_ID.match(model):
        raise UserError(f"{where}: {model!r} is neither a folder, a hub id nor a name here{suggest(model, names)}")


def loadable(params: P) -> P:
    """The parameters with every model as libraries load it, a folder or hub id: files are converted here, and once.

    Raises:
        UserError: for a file that its format's converter cannot read.
    """
    converted = {}
    for name in marked(type(params), "model"):
        file = Path(getattr(params, name) or "")
        if file.is_file() and (format_ := _format(file)):
            converted[name] = str(format_.load()(file, Artifacts().id(str(file))))
    return params.model_copy(update=converted)


def _format(file: Path) -> EntryPoint | None:
    """The converter of a model file: (file, digest of its content) -> folder; None for a suffix without one."""
    return next((e for e in entry_points(group="bonbench.model_formats") if f".{e.name}" == file.suffix), None)


def marked(params: type[ComponentParams], mark: str) -> list[str]:
    """Names of the fields annotated with ``mark``, optional ones included."""

    def has(annotation: Any, metadata: Any = ()) -> bool:
        if mark in metadata or mark in getattr(annotation, "__metadata__", ()):
            return True
        return any(has(a) for a in typing.get_args(annotation))

    return [name for name, info in params.model_fields.items() if has(info.annotation, info.metadata)]


@dataclass
class Artifacts:
    """What the content of a model or data file is identified by.

    A model that this run will train is known by its training's key before it exists; a folder or file by a
    digest of its content (of files above 256 MiB: size, first and last MiB); a hub id by itself.
    """

    planned: dict[str, str] = field(default_factory=dict)
    _seen: dict[str, str] = field(default_factory=dict)

    def id(self, path: str) -> str:
        if path in self.planned:
            return self.planned[path]
        if path not in self._seen:
            self._seen[path] = self._digest(Path(path)) if Path(path).exists() else f"hub:{path}"
        return self._seen[path]

    @staticmethod
    def _digest(path: Path) -> str:
        sha = hashlib.sha256()
        for file in sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]:
            size = file.stat().st_size
            sha.update(f"{file.relative_to(path)}\0{size}\0".encode())
            with file.open("rb") as stream:
                if size > _LARGE_FILE:
                    sha.update(stream.read(1 << 20))
                    stream.seek(-(1 << 20), 2)
                while block := stream.read(1 << 20):
                    sha.update(block)
        return sha.hexdigest()

    def identity(self, spec: Spec) -> dict[str, Any]:
        """Everything about a component that determines what it computes, as JSON."""
        params = spec.params.model_dump(mode="json", exclude=set(marked(type(spec.params), "runtime")))
        for name, path in (spec.paths("model") | spec.paths("data")).items():
            params[name] = self.id(path)
        cls: type[Component[Any]] = spec.cls
        return {
            "class": f"{spec.kind}:{cls.__qualname__ if '.py:' in spec.type_ else spec.type_}",
            "source": source_digest(spec.type_),
            "revision": cls.revision,
            "params": params,
        }


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


def parse_spec(text: str) -> tuple[str, dict[str, Any]]:
    """``name``, ``name:key=value,...`` or ``path.py:Class[:key=value,...]`` -> (name, entry).

    Raises:
        UserError: for options that are not ``key=value``.
    """
    import yaml

    match = re.match(r"^(?P<type>.+?\.py:[\w-]+|[^:]+)(?::(?P<options>.*))?$", text)
    if match is None:
        raise UserError(f"--reward-model {text!r}: expected NAME, NAME:key=value,... or path.py:Class")
    type_, options = match["type"], match["options"]
    entry: dict[str, Any] = {"type": type_}
    for option in filter(None, (options or "").split(",")):
        key, equals, value = option.partition("=")
        if not equals:
            raise UserError(f"--reward-model {text}: {option!r} is not key=value")
        entry[key] = yaml.safe_load(value)
    return type_.rpartition(":")[2], entry
