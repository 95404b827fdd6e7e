"""The files of a model folder's weights: whether they are there, and whole. No model library is needed to tell."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.core.errors import UserError, shortened

#: What `transformers` looks for, the first one first: a file, or the index of several.
_NAMES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
#: What stands in a repository's checkout in the place of a large file that was not fetched.
_POINTER = b"version https://git-lfs"
#: No header is longer, says the format.
_LONGEST_HEADER = 100_000_000


def refuse_adapter(folder: Path) -> None:
    """Raise :class:`UserError` for an adapter: whoever loads one gets its base with it, of which nothing is known."""
    if (folder / "adapter_config.json").is_file():
        raise UserError(
            f"{folder} is a PEFT adapter (adapter_config.json), which is nothing without its base: add it to the base "
            "(merge_and_unload of PEFT) and save the whole model. Where that is done, remove adapter_config.json"
        )


def check_weights(folder: Path) -> None:
    """Raise :class:`UserError`, naming the file, unless the weights of a model folder can be loaded from it.

    A folder with weights under other names than usual is left to the library that loads it.
    """
    found = [folder / name for name in _NAMES if (folder / name).is_file()]
    if {"model.safetensors", "model.safetensors.index.json"} <= {file.name for file in found}:
        raise UserError(
            f"{folder} has its weights twice, in model.safetensors and in the files of model.safetensors.index.json: "
            "remove one of them"
        )
    for file in _files(found[0]) if found else ():
        _check(file)


def _files(first: Path) -> Iterator[Path]:
    """The files of the weights: ``first``, or what it is the index of."""
    if first.suffix != ".json":
        yield first
        return
    _refuse_pointer(first)
    try:
        weight_map = json.loads(first.read_bytes())["weight_map"]
        names = sorted(set(weight_map.values()))
        files = [first.parent / name for name in names]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{first}: not the index of a model's weights: {_reason(error)}") from None
    for file in files:
        try:
            is_there = file.is_file()
        except (OSError, ValueError):  # no name of a file
            is_there = False
        if not is_there:
            raise UserError(f"{first}: there is no {file.name}: {len(files)} files of weights are to be in the folder")
        yield file


def _check(file: Path) -> None:
    _refuse_pointer(file)
    try:
        with file.open("rb") as stream:
            start = stream.read(8)
            if file.suffix == ".safetensors":
                _check_safetensors(file, start, stream)
            elif start[:2] == b"PK" and not zipfile.is_zipfile(file):
                raise UserError(f"{file} is cut off: copy or download it again")
            elif not start:
                raise UserError(f"{file} is empty")
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None


def _check_safetensors(file: Path, start: bytes, stream: Any) -> None:
    """Raise :class:`UserError` unless the file has as many bytes as its header says."""
    length, size = int.from_bytes(start, "little"), file.stat().st_size
    if len(start) < 8 or length > _LONGEST_HEADER:
        raise UserError(f"{file} is no safetensors file")
    header = stream.read(length)
    if len(header) == length:
        try:
            tensors = [entry for name, entry in json.loads(header).items() if name != "__metadata__"]
            wanted = 8 + length + max((int(entry["data_offsets"][1]) for entry in tensors), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise UserError(f"{file} is no safetensors file: its header is damaged: {_reason(error)}") from None
    else:
        wanted = 8 + length
    if size < wanted:
        raise UserError(f"{file} is cut off: it has {size:,} bytes of {wanted:,}: copy or download it again")
    if size > wanted:
        raise UserError(f"{file} has {size - wanted:,} bytes more than its header says: copy or download it again")


def _refuse_pointer(file: Path) -> None:
    try:
        with file.open("rb") as stream:
            is_pointer = stream.read(len(_POINTER)) == _POINTER
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    if is_pointer:
        raise UserError(f"{file} is a pointer of Git LFS and not the file itself: `git lfs pull` in its repository")


def _reason(error: Exception) -> str:
    return shortened(f"{type(error).__name__} {error}", 120)
