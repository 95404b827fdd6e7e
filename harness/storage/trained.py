"""Folders of trained models: the key they were made with, and what their trainers reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.core.files import replacing
from harness.data.documents import read_json

_KEY_FILE = "bonbench.json"


def trained_key(folder: Path) -> str | None:
    """The key a trained folder was made with, or None."""
    try:
        content = read_json(folder / _KEY_FILE)
    except UserError:
        return None
    key = content.get("key") if isinstance(content, dict) else None
    return key if isinstance(key, str) else None


def trained_facts(folder: Path) -> dict[str, Any]:
    """What the trainer reported (loss, counts), without the model's config.

    Raises:
        UserError: naming the file, where it does not say.
    """
    content = read_json(folder / _KEY_FILE)
    facts = content.get("facts") if isinstance(content, dict) else None
    if not isinstance(facts, dict):
        raise UserError(f"{folder / _KEY_FILE}: does not say how the model was trained: remove {folder} to train again")
    return facts


def write_trained_key(folder: Path, key: str, facts: dict[str, Any] | None = None) -> None:
    """Write the key of a trained model into its folder. Once the training is finished, write its ``facts`` too."""
    content = {"key": key} | ({} if facts is None else {"facts": facts})
    with replacing(folder / _KEY_FILE) as path:
        path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
