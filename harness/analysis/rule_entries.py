"""The selection rules that a report shows beside the usual ones: from entries to rules.

A results folder is data, and may come from anywhere. So a report runs no file that the manifest names, only one that
the user named: in the experiment that ran, or on the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from harness.core.errors import UserError, first_error
from harness.core.registry import absolute, find, is_file
from harness.core.selection_rules import SelectionRule
from harness.storage.manifest import Manifest

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Rules:
    """Selection rules by name, and why others that were asked for cannot be shown."""

    by_name: Mapping[str, SelectionRule[Any]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Manifest, named: Mapping[str, Entry] | None = None) -> Rules:
        """The rules of a results folder, and those that the user ``named`` (name -> entry) just now."""
        by_name: dict[str, SelectionRule[Any]] = {}
        left_out: dict[str, str] = {}
        named = named or {}
        for name, entry in {**manifest.evaluation.selection, **named}.items():
            type_ = str(entry.get("type", ""))
            if is_file(type_) and name not in named:
                left_out[name] = f"no file that results name is run; ask for it: --rule {type_}"
                continue
            try:
                by_name[name] = rule_of(name, entry)
            except UserError as error:
                left_out[name] = str(error)
        return cls(by_name, left_out)


def adds_rules(manifest: Manifest, named: Mapping[str, Entry] | None) -> bool:
    """Whether rules that the user named are others than those of a results folder."""
    stored = {name: _full(entry) for name, entry in manifest.evaluation.selection.items()}
    return any(stored.get(name) != _full(entry) for name, entry in (named or {}).items())


def _full(entry: Entry) -> Entry:
    return {**entry, "type": absolute(str(entry.get("type", "")))}


def rule_of(name: str, entry: Entry) -> SelectionRule[Any]:
    """The rule that an entry describes.

    Raises:
        UserError: for an unknown type, a file that cannot be imported, or wrong parameters.
    """
    cls = find("selection_rules", str(entry.get("type", "")))
    try:
        params = cls.Params.model_validate({key: value for key, value in entry.items() if key != "type"})
    except ValidationError as error:
        raise UserError(first_error(error, cls.Params, name)) from None
    cls.check(params)
    return cls(params, name)
