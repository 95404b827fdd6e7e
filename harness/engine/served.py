"""Reward models behind a server: which model the server has is found out before keys are made."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.core.components import RewardModel
from harness.core.errors import Unavailable, UserError
from harness.core.stages import StageKind
from harness.experiment.spec import Spec
from harness.storage.shards import shard_files, shard_meta


def with_served(spec: Spec[RewardModel[Any]], results: Path) -> Spec[RewardModel[Any]]:
    """An entry with what its server says of its model.

    Where no server answers, it is what was stored with the entry's scores: what is complete needs no server. Where
    nothing is stored, the entry stays as it is, and its stage will fail, alone.

    Raises:
        UserError: where the server does not have the model.
    """
    try:
        params = spec.cls.ask_server(spec.params)
    except Unavailable:
        params = spec.params.model_copy(update={"served": _remembered(spec.name, results)})
    except UserError as error:
        raise UserError(f"{spec.where}: {error}") from None
    return dataclasses.replace(spec, params=params)


def _remembered(name: str, results: Path) -> Any:
    for folder in sorted((results / StageKind.SCORE.folder / name).glob("*/")):
        for path in shard_files(folder):
            with suppress(UserError):  # a damaged shard, which is made again
                if (served := shard_meta(path).get("served")) is not None:
                    return served
    return None
