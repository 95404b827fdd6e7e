"""Short names of models and of the stages that use them. The names are folder names, so each name has one meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.core.params import PassOf
from harness.core.prompt import PROMPT
from harness.core.stages import StageKind
from harness.storage.keys import digest
from harness.storage.manifest import portable

_LONGEST = 60


def pass_label(asked: PassOf, models: Mapping[str, str]) -> str:
    """The short name of a token pass: its model's, and the words in which more is asked of it, but for the prompt.

    Args:
        models: what a name means where a model is asked for (name -> folder or hub id).
    """
    if isinstance(asked, str):
        return _model_label(asked, models)
    words = {key: value for key, value in asked.items() if key != "model" and key not in PROMPT}
    rest = (value for _, value in sorted(words.items()) if isinstance(value, str))
    return "-".join([_model_label(asked["model"], models), *rest])


def _model_label(model: str, models: Mapping[str, str]) -> str:
    """The name of a model in the experiment, else what its path ends with."""
    for name, other in models.items():
        if other == model:
            return name
    # The same wherever BonBench is installed, and wherever the folder is that it works in.
    return re.sub(r"[^A-Za-z0-9._-]+", "-", portable(model)).strip("-.")[-_LONGEST:]


class Labels:
    """Which label belongs to what, for every kind of stage."""

    def __init__(self) -> None:
        self._owners: dict[tuple[StageKind, str], str] = {}

    def claim(self, kind: StageKind, label: str, identity: Any) -> str:
        """A label for the stage of ``kind`` that ``identity`` (as JSON) determines.

        The result is ``label``. Where another stage has this label already, a few digits of the identity are added.
        """
        owner = digest(identity)
        if self._owners.setdefault((kind, label), owner) == owner:
            return label
        return self.claim(kind, f"{label}-{owner[:6]}", identity)
