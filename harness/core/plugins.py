"""What packages register by Python entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from harness.core.errors import UserError


def registered(group: str, what: str) -> dict[str, EntryPoint]:
    """The entry points of a group by their names. Nothing is imported.

    Args:
        what: what each of them is, in the singular.

    Raises:
        UserError: where two packages register different things under one name.
    """
    by_name: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=group), key=lambda e: e.name):
        other = by_name.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise UserError(
                f"{what} {entry.name}: registered by {_package(other)} ({other.value}) and by "
                f"{_package(entry)} ({entry.value}): uninstall one of them"
            )
    return by_name


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "a package without a name"
