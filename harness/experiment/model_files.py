"""Model and data files: whether they can be loaded, and the identity of their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from harness.core.chat_template import CLOCK, THOUGHTS, mentions
from harness.core.components import ComponentParams, Mark
from harness.core.errors import UserError, suggest
from harness.core.hub_models import is_hub_model
from harness.core.prompt import DAY
from harness.core.registry import is_file, source_digest
from harness.data.documents import read_json
from harness.experiment.spec import Spec, marked, unkeyed

P = TypeVar("P", bound=ComponentParams)

_WEIGHTS = (".safetensors", ".bin")

#: Of files larger than this, blocks are read: one of every stretch, and the first and the last stretch whole.
_LARGE_FILE, _STRETCH, _BLOCK = 256 << 20, 1 << 20, 64 << 10


def check_model(model: str, where: str, names: Mapping[str, str], has_weights: bool = True) -> None:
    """Raise :class:`UserError` unless ``model`` is a folder with weights, a convertible file or may be a hub id.

    Args:
        has_weights: whether a folder must have weights.
    """
    folder = Path(model)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"{where}: {model} has no config.json: not a model folder in transformers format")
        try:
            config = read_json(folder / "config.json")
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
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
    of a hub id is the id. The identity of a folder or file is a digest of the names, sizes and contents of its files.

    Of a file above 256 MiB, the first and the last MiB are read, and the first 64 KiB of every MiB between them. So
    every change of the size changes the digest, and every change of a whole MiB in one piece, such as the training of a
    weight matrix. A smaller change may lie between the blocks that are read.
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
                    sha.update(stream.read(_STRETCH))
                    for start in range(_STRETCH, size - _STRETCH, _STRETCH):
                        stream.seek(start)
                        sha.update(stream.read(_BLOCK))
                    stream.seek(-_STRETCH, os.SEEK_END)
                while block := stream.read(_STRETCH):
                    sha.update(block)
        return sha.hexdigest()

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
