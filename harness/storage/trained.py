"""Folders of trained models: the key they were made with, and what their trainers reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.core.files import replacing

_KEY_FILE = "bonbench.json"


def trained_key(folder: Path) -> str | None:
    """The key a trained folder was made with, or None."""
    try:
        return json.loads((folder / _KEY_FILE).read_text())["key"]  # type: ignore[no-any-return]
    except (OSError, ValueError, KeyError):
        return None


def trained_facts(folder: Path) -> dict[str, Any]:
    """What the trainer reported (loss, counts), without the model's config."""
    return json.loads((folder / _KEY_FILE).read_text())["facts"]  # type: ignore[no-any-return]


def write_trained_key(folder: Path, key: str, facts: dict[str, Any] | None = None) -> None:
    """Write the key of a trained model into its folder. Once the training is finished, write its ``facts`` too."""
    content = {"key": key} | ({} if facts is None else {"facts": facts})
    with replacing(folder / _KEY_FILE) as path:
        path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
