"""Data sets of the Hugging Face hub, and folders that its `datasets` library reads as one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import Field

from harness.core.errors import Unavailable, cannot_load
from harness.core.params import ComponentParams


class HubSplit(ComponentParams):
    """The rows of a ``split``, as they were at a ``revision`` (a commit or tag; default: the newest).

    ``path`` is a hub id, as ``owner/name``. Results are keyed by the id and the revision, not by the rows.
    """

    path: str = Field(description="a data set's hub id, as owner/name")
    split: str = Field("test", description="the split of the data set")
    config: str | None = Field(default=None, description="the configuration of the data set, where it has several")
    revision: str | None = Field(default=None, description="a commit or tag; null: the newest")


def load_split(of: HubSplit) -> Any:
    """The rows as a `datasets.Dataset`.

    Raises:
        Unavailable: where the data set is not on this machine and cannot be fetched.
        UserError: where the data set cannot be read.
    """
    return _load(of.path, of.config, of.split, of.revision)


@lru_cache(maxsize=4)
def _load(path: str, config: str | None, split: str, revision: str | None) -> Any:
    import datasets

    try:
        return datasets.load_dataset(path, config, split=split, revision=revision)
    except ConnectionError as error:
        raise Unavailable(f"data set {path} is not on this machine and cannot be fetched: {error}") from None
    except Exception as error:
        raise cannot_load(f"data set {path}", error) from None
