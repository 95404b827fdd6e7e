"""The names that entries of an experiment may have. A name becomes a folder of the results and a row of tables."""

from __future__ import annotations

_TAKEN = {"average", "majority", "oracle"}


def check_name(name: str) -> None:
    """Raise :class:`ValueError` for a name that cannot name a folder, or that has another meaning in the tables.

    Names come from the experiment file, from the values of a sweep and from files of responses.
    """
    if not name or name[0] == "." or not all(c.isalnum() or c in "._-" for c in name):
        raise ValueError(f"{name!r} cannot name a folder: use letters, digits, '.', '_' and '-' only")
    if name in _TAKEN:
        raise ValueError(f"{name!r} already has a meaning in the tables")
