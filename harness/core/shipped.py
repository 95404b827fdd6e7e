"""What BonBench ships besides code: the folder ``experiments``, with YAML files and the models that they name.

In a checkout it is the folder ``experiments`` itself, in an installed BonBench a folder of the package.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from harness.core.errors import UserError


def experiments() -> dict[str, Path]:
    """The experiments that BonBench ships: name -> file, in the order of their names."""
    return {file.stem: file for file in sorted(_folder().glob("*.yaml"))}


def located(path: str) -> str:
    """Where the file or folder of a path is.

    A relative path is looked for below the working directory first. A path that begins with ``experiments/`` is then
    looked for among the files that BonBench ships. A path that is nowhere is returned as it is.

    Raises:
        UserError: for a text that cannot be a path: it is too long, or contains a null character.
    """
    shipped = _folder().parent / path
    try:
        is_here = Path(path).exists()
    except (OSError, ValueError) as error:
        raise UserError(f"{path!r} is not a valid path: {getattr(error, 'strerror', None) or error}") from None
    if is_here or not shipped.is_relative_to(_folder()) or ".." in shipped.parts or not shipped.exists():
        return path
    return str(shipped)


def shipped_path(path: Path) -> Path | None:
    """The path of a shipped file or folder as :func:`located` finds it anywhere; None for any other file."""
    return path.relative_to(_folder().parent) if path.is_relative_to(_folder()) else None


@cache
def _folder() -> Path:
    return Path(str(files("bonbench") / "experiments")).resolve()
