"""A model of the hub at one of its revisions: ``owner/name@revision``."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.core.errors import UserError

_ID = r"[A-Za-z0-9][\w.-]*/[\w.-]+"
_HUB_ID = re.compile(_ID)
#: A model's folder in the hub's cache.
_CACHED = re.compile(r"models--((?:(?!--)[\w.-])+)--((?:(?!--)[\w.-])+)")
#: Seconds in which the hub says which commit a branch is at.
_ANSWERS_WITHIN_S = 10
_reachable = True
_COMMIT = re.compile(r"[0-9a-f]{40}")
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


def canonical(model: str) -> str:
    """The one spelling of a model, however it is spelled.

    Of a folder or file the absolute path: ``~``, links, ``..`` and a slash at the end resolved. A model of the hub, or
    one that is nowhere, is itself.
    """
    try:
        path = Path(model).expanduser()
        return str(path.resolve()) if path.exists() else model
    except (OSError, ValueError, RuntimeError):  # no path at all, or of nobody's home
        return model


def hub_id(model: str) -> str:
    """A model without its revision; a snapshot in the hub's cache is the model that it is of; any other is itself."""
    return str(pretrained(snapshot_id(model) or model)["pretrained_model_name_or_path"])


def snapshot_id(model: str) -> str | None:
    """``owner/name@commit`` of a folder in the hub's cache; None for anything else."""
    folder = Path(canonical(model))
    match = _CACHED.fullmatch(folder.parent.parent.name)
    if match is None or folder.parent.name != "snapshots" or not (folder.parent.parent / "refs").is_dir():
        return None
    pinned = f"{match[1]}/{match[2]}@{folder.name}"
    return pinned if folder.is_dir() and _AT_REVISION.fullmatch(pinned) else None


def at_commit(model: str) -> str | None:
    """``owner/name@commit``: what a model of the hub is now, or None where neither the hub nor its cache knows.

    The hub is asked, unless its library is told to stay off the network, and its cache where the hub does not answer.
    Then the branch or tag of the model is in the cache as this commit. A snapshot in the cache is of its own commit.
    """
    if snapshot := snapshot_id(model):
        return snapshot
    if Path(model).exists() or not is_hub_model(model):
        return None
    which = pretrained(model)
    repo, revision = which["pretrained_model_name_or_path"], which.get("revision")
    if revision is not None and _COMMIT.fullmatch(revision):
        return model
    cached = config_file(model)
    commit = cached.parent.name if cached else None
    if (newest := _newest(repo, revision)) and newest != commit:
        from huggingface_hub import hf_hub_download

        commit = newest
        with suppress(Exception):  # as below
            hf_hub_download(repo, "config.json", revision=revision)  # with it the cache learns which commit it is
    return commit and f"{repo}@{commit}"


def _newest(repo: str, revision: str | None) -> str | None:
    """The commit of a branch or tag on the hub; None where the hub does not say.

    It is asked once. Where it cannot be reached, it is not asked again in this process.
    """
    global _reachable
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    if constants.is_offline_mode() or not _reachable:
        return None
    try:
        return HfApi().model_info(repo, revision=revision, timeout=_ANSWERS_WITHIN_S).sha
    except HfHubHTTPError:  # no such model or revision, or not for everyone
        return None
    except Exception:  # its HTTP library's own, and the system's
        _reachable = False
        return None


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
