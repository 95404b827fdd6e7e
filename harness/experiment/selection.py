"""The selection rules of an experiment, or of the command line: checked entries, sweeps unrolled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.core.aggregation import known_aggregation
from harness.core.errors import UserError
from harness.core.registry import find
from harness.experiment.entries import build
from harness.experiment.expansion import sequences, sweep
from harness.experiment.names import check_name
from harness.experiment.spec import Pool

#: The rules that are in every table.
_USUAL = ("average", "oracle", "majority", "best_of_n", "weighted_best_of_n")


def selection_entries(
    entries: Iterable[tuple[str, Mapping[str, Any]]], where: str = "evaluation.selection"
) -> dict[str, dict[str, Any]]:
    """The rules that entries (name, entry) stand for: name -> entry with all parameters, and the full path of a file.

    Raises:
        UserError: naming ``where``, for a name that is taken or says something else already, an unknown type, wrong
            parameters, or a file that cannot be imported.
    """
    rules: dict[str, dict[str, Any]] = {}
    for name, entry in entries:
        place = f"{where}.{name}"
        for label, row in _swept(name, entry, place).items():
            _check_label(label, rules, place)
            if resources := [key for key in Pool.model_fields if key in row]:
                raise UserError(f"{place}: {resources[0]}: a selection rule runs in no actors: remove it")
            spec = build("selection_rules", label, row, place, {})
            rules[label] = {"type": spec.type_, **spec.params.model_dump(mode="json")}
    return rules


def _swept(name: str, entry: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    type_ = entry.get("type")
    if not isinstance(type_, str):
        raise UserError(f"{where}: type: missing; `bonbench list` shows the registered ones")
    try:
        return dict(sweep(name, entry, sequences(find("selection_rules", type_).Params)))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _check_label(label: str, taken: Mapping[str, Any], where: str) -> None:
    """Raise :class:`UserError` for a name that a row of the tables cannot have."""
    try:
        check_name(label)
    except ValueError as error:
        raise UserError(f"{where}: {error}; give it another name") from None
    if label in _USUAL:
        raise UserError(f"{where}: {label} is in every table already: remove it, or give it another name")
    if label in taken:
        raise UserError(f"{where}: the name {label!r} is taken by another rule; choose another name")
    try:
        known_aggregation(label)
    except ValueError:
        return
    raise UserError(f"{where}: {label} is the name of an aggregation; choose another name")
