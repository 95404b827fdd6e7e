"""A model of the hub at one of its revisions: ``owner/name@revision``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from harness.core.errors import UserError

_ID = r"[A-Za-z0-9][\w.-]*/[\w.-]+"
_HUB_ID = re.compile(_ID)
_AT_REVISION = re.compile(rf"({_ID})@([\w.-][\w./-]*)")


def is_hub_model(model: str) -> bool:
    """Whether a model can be one of the hub, with or without a revision; no folder of that name is looked for."""
    return bool(_HUB_ID.fullmatch(model) or _AT_REVISION.fullmatch(model))


def at_revision(model: str, revision: str) -> str:
    """A model of the hub as it is, or was, at a commit, a tag or a branch.

    Raises:
        UserError: for a model that can have no revision.
    """
    pinned = f"{model}@{revision}"
    if Path(model).exists() or not _HUB_ID.fullmatch(model) or not _AT_REVISION.fullmatch(pinned):
        raise UserError(f"revision: {revision!r} is for a hub id, and the model is {model}: remove one of them")
    return pinned


def hub_id(model: str) -> str:
    """A model without its revision; any other model is itself."""
    return str(pretrained(model)["pretrained_model_name_or_path"])


def pretrained(model: str) -> dict[str, Any]:
    """The arguments of `from_pretrained` for a model: which it is, and that no code of its folder is run.

    The model is a folder, or a hub id and any revision it has. Unless told otherwise, `transformers` asks at a terminal
    whether it may run a model's own code.
    """
    match = _AT_REVISION.fullmatch(model)
    if match is None or Path(model).exists():
        return {"pretrained_model_name_or_path": model, "trust_remote_code": False}
    return {"pretrained_model_name_or_path": match[1], "revision": match[2], "trust_remote_code": False}


def config_file(model: str) -> Path | None:
    """The ``config.json`` of a model folder, or of a model in the hub's cache; None for a model not on this machine.

    The network is never asked. A folder need not hold the file.
    """
    if Path(model).exists():
        return Path(model) / "config.json"
    from huggingface_hub import try_to_load_from_cache

    which = pretrained(model)
    cached = try_to_load_from_cache(
        which["pretrained_model_name_or_path"], "config.json", revision=which.get("revision")
    )
    return Path(cached) if isinstance(cached, str) else None
