"""Model and data files: whether they can be loaded, and the identity of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from harness.core.chat_template import CLOCK, THOUGHTS, mentions
from harness.core.components import Component
from harness.core.digests import file_digest
from harness.core.errors import UserError, suggest
from harness.core.files import no_file
from harness.core.hub_models import at_commit, canonical, is_hub_model
from harness.core.params import ComponentParams, Mark
from harness.core.prompt import DAY
from harness.core.registry import is_file, source_digest
from harness.core.weight_files import refuse_adapter
from harness.data.documents import read_json
from harness.data.export_facts import exported_files, is_export
from harness.experiment.spec import Spec, marked, unkeyed

P = TypeVar("P", bound=ComponentParams)
C = TypeVar("C", bound=Component[Any])

_WEIGHTS = (".safetensors", ".bin")

#: Files larger than this are read once, and their digest is remembered.
LARGE_FILE = 256 << 20


def check_model(model: str, where: str, names: Mapping[str, str], has_weights: bool = True) -> None:
    """Raise :class:`UserError` unless ``model`` is a folder with weights, a convertible file or may be a hub id.

    Args:
        has_weights: whether a folder must have weights.
    """
    folder = Path(model)
    if folder.is_dir():
        with named(where):
            _refuse_pipes(folder)
            refuse_adapter(folder)
        if not (folder / "config.json").is_file():
            raise UserError(f"{where}: {model} has no config.json: not a model folder in transformers format")
        with named(where):
            config = read_json(folder / "config.json")
        if not isinstance(config, dict):
            raise UserError(f"{where}: {folder / 'config.json'} is not a JSON object")
        if has_weights and not any(f.suffix in _WEIGHTS for f in folder.iterdir()):
            raise UserError(f"{where}: {model} has no weights ({', '.join(_WEIGHTS)})")
    elif folder.is_file() and _format(folder):
        return
    elif folder.is_file() or model.startswith((".", "/", "~")) or model.partition("@")[0].count("/") > 1:
        raise UserError(f"{where}: {model}: no such model folder")
    elif not is_hub_model(model):
        raise UserError(
            f"{where}: {model!r} is no model folder, no hub id and no name in this experiment{suggest(model, names)}"
        )


def _refuse_pipes(folder: Path) -> None:
    """Raise :class:`UserError` where something in a model's folder would be waited for. (Where nothing is at the end of
    a link, nothing is read.)"""
    for file in folder.iterdir():
        if file.exists() and not file.is_dir() and (reason := no_file(file)):
            raise UserError(f"{file}: {reason}")


@contextmanager
def named(where: str) -> Iterator[None]:
    """Add the place of an entry to the error line of a mistake that is found inside.

    Raises:
        UserError: the same, with the place.
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def loadable(params: P) -> P:
    """The parameters, with every model as a folder or a hub id, which libraries can load.

    A model file (such as a GGUF file) is converted to a folder, once.

    Raises:
        UserError: for a file that its format's converter cannot read.
    """
    converted = {}
    for name in marked(type(params), Mark.MODEL):
        file = Path(getattr(params, name) or "")
        if file.is_file() and (format_ := _format(file)):
            converted[name] = str(format_.load()(file, Artifacts().id(str(file))))
    return params.model_copy(update=converted)


def _format(file: Path) -> EntryPoint | None:
    """The converter of a model file: (file, digest of its content) -> folder; None for a suffix without one."""
    return next((e for e in entry_points(group="bonbench.model_formats") if f".{e.name}" == file.suffix), None)


@dataclass
class Artifacts:
    """The identities of models and data files, which enter keys.

    The identity of a model that this run will train is the key of its training, before the model exists. The identity
    of a model of the hub is its id with the commit that is loaded, and the id alone where no commit is known. The
    identity of a folder or file is a digest of the names, sizes and contents of its files. A model has one identity,
    however it is spelled.
    """

    planned: dict[str, str] = field(default_factory=dict)
    _seen: dict[str, str] = field(default_factory=dict)
    _commits: dict[str, str | None] = field(default_factory=dict)

    def id(self, path: str) -> str:
        """The identity of a model or a data file.

        Raises:
            UserError: for a file that cannot be read.
        """
        path = canonical(path)
        if path in self.planned:
            return self.planned[path]
        if path not in self._seen:
            if pinned := self._at_commit(path):
                self._seen[path] = f"hub:{pinned}"
            else:
                self._seen[path] = _digest(Path(path)) if Path(path).exists() else f"hub:{path}"
        return self._seen[path]

    def pinned(self, spec: Spec[C]) -> Spec[C]:
        """The component with the commits of its models of the hub."""
        models = {f: path for f, path in spec.paths(Mark.MODEL).items() if not Path(path).exists()}
        commits = tuple((f, pinned) for f, path in models.items() if (pinned := self._at_commit(path)))
        return replace(spec, commits=commits)

    def _at_commit(self, path: str) -> str | None:
        if path not in self._commits:
            self._commits[path] = at_commit(path)
        return self._commits[path]

    def identity(self, spec: Spec[Any]) -> dict[str, Any]:
        """Everything about a component that determines what it computes, as JSON."""
        dates = marked(type(spec.params), Mark.DATE)
        left_out = {*marked(type(spec.params), Mark.RUNTIME), *unkeyed(spec.params), *dates}
        params = spec.params.model_dump(mode="json", exclude=left_out)
        for name, path in (spec.paths(Mark.MODEL) | spec.paths(Mark.DATA)).items():
            params[name] = self.id(path)
        folders = self._folders(spec)
        for name in dates:
            day = getattr(spec.params, name)
            # The template of a model that is not there yet may ask: then the day that is given counts.
            may_ask = day is not None and len(folders) < len(spec.paths(Mark.MODEL))
            if getattr(spec.params, "template", None) is None and (
                may_ask or any(mentions(folder, CLOCK) for folder in folders)
            ):
                params[name] = str(day or DAY)
        # Results of earlier versions are of thoughts in a frame that was found without any.
        if spec.cls.puts_in_turns and any(mentions(folder, THOUGHTS) for folder in folders):
            params["thoughts"] = "as rendered"
        return {
            "class": f"{spec.kind}:{spec.cls.__qualname__ if is_file(spec.type_) else spec.type_}",
            "source": source_digest(spec.type_),
            "revision": spec.cls.revision,
            "params": params,
        }

    def _folders(self, spec: Spec[Any]) -> list[Path]:
        """The models of a component that can be looked at: not those that this run trains, nor those of the hub. What
        is in a key must not change once a model is there. (The key of a training has its base's.)"""
        models = (Path(path) for path in spec.paths(Mark.MODEL).values() if path not in self.planned)
        return [model for model in models if model.is_dir()]


def _digest(path: Path) -> str:
    """Of a folder with files up to 256 MiB, the digest of their names, sizes and bytes, one after the other.

    Of an exported folder only those count that are read: results may lie in it, and its card may be edited.
    """
    sha = hashlib.sha256()
    if not path.is_dir() and (reason := no_file(path)):
        raise UserError(f"{path}: {reason}")
    try:
        files = exported_files(path) if is_export(path) else path.rglob("*") if path.is_dir() else [path]
        for file in sorted(f for f in files if f.is_file()):
            size = file.stat().st_size
            sha.update(f"{file.relative_to(path)}\0{size}\0".encode(errors="surrogateescape"))
            if size > LARGE_FILE:
                sha.update(file_digest(file).encode())
                continue
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    sha.update(block)
    except OSError as error:
        raise UserError(f"{error.filename or path}: cannot be read: {error.strerror}") from error
    return sha.hexdigest()
