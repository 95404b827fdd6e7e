"""What each reward model cost, from the ledger's counted tokens.

Development (paper, Section 5.3): collecting the rollouts, labelling them, reference passes over them, training. Where
one entry scores with the model that another entry trained, it carries the development of the other entry. Scoring: the
scoring stage itself, every token pass that the reward model reads, and the verifications that were written for it. What
several reward models read is charged to each of them in full. An ensemble costs what its members cost, as if each had
been developed alone; what scores two of them is charged once.

FLOPs come in two conventions. ``flops`` is what the work takes (``cost_model.shape``): attention, and every prompt that
is read, once for the responses that share it. ``plain_flops`` is the usual shorthand, 2 per weight and token read or
generated and 6 per token trained on: no attention, a prompt costs nothing to those who generate from it, and each
training pair is two responses even where a response that is in many pairs went through the model once.

Time is in GPU-seconds where GPUs were held, and in seconds of processes elsewhere. The two are never added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.analysis.trainings import TrainedAs
from harness.core.stages import DevelopmentItem, StageKind
from harness.cost_model.shape import plain_flops
from harness.storage.ledger import read_ledger
from harness.storage.manifest import RewardModelFacts
from harness.storage.results import Results
from harness.storage.shards import LEDGER, shard_files, shard_meta

DEVELOPMENT: tuple[str, ...] = tuple(item.value for item in DevelopmentItem)
CONVENTIONS = ("flops", "plain_flops")
TIMES = ("seconds", "gpu_seconds")
_SUMMED = {
    "prompt_tokens": "prompt_tokens",
    "completion_tokens": "completion_tokens",
    "train_tokens": "train_tokens",
    "flops": "flops",
    "plain_flops": "plain_flops",
    "seconds": "seconds",
    "gpu_seconds": "gpu_seconds",
}
_GENERATED = (DevelopmentItem.COLLECTION.stage, DevelopmentItem.LABELS.stage, StageKind.VERIFY)


def reward_model_costs(results: Results) -> pd.DataFrame:
    """Columns reward_model, item, tokens (prompt, completion, train), flops, plain_flops, seconds and gpu_seconds.

    Items without any ledger row are left out; ``plain_flops`` is NaN where a model's size is not stored. For the two
    columns of time see :func:`with_time`.
    """
    ledger, params, models = results.ledger, _params(results), results.manifest.reward_models
    parts = []
    for name in models:
        whole = with_members(name, models)
        developed = {made for one in whole if (made := results.training_model(one)) is not None}
        chosen = {
            item.value: ledger[(ledger["stage"] == item.stage) & ledger["what"].isin(developed)]
            for item in DevelopmentItem
        }
        read = {label for one in whole for label in models[one].token_passes.values()}
        asked = {label for one in whole if (label := models[one].verifications)}
        passes = ledger["stage"].eq(StageKind.TOKEN_PASS) & ledger["what"].isin(read)
        verified = ledger["stage"].eq(StageKind.VERIFY) & ledger["what"].isin(asked)
        chosen["scoring"] = ledger[
            passes | verified | (ledger["stage"].eq(StageKind.SCORE) & ledger["what"].isin(whole))
        ]
        trained = {made: (models[made].train or {}).get("facts", {}) for made in developed if made in models}
        for item, rows in chosen.items():
            if len(rows):
                plain = [_plain(row, params, trained.get(row["what"], {})) for row in rows.to_dict("records")]
                sums = with_time(rows).assign(plain_flops=plain)[list(_SUMMED)].sum(skipna=False)
                parts.append({"reward_model": name, "item": item, **{_SUMMED[k]: sums[k] for k in _SUMMED}})
    frame = pd.DataFrame(parts, columns=["reward_model", "item", *_SUMMED.values()])
    tokens = ["prompt_tokens", "completion_tokens", "train_tokens"]
    return frame.astype(dict.fromkeys(tokens, "int64") | dict.fromkeys([*CONVENTIONS, *TIMES], "float64"))


def with_members(name: str, models: Mapping[str, RewardModelFacts]) -> list[str]:
    """A reward model, and all whose scores it is made of, each once."""
    whole = [name]
    for one in whole:
        whole += [member for member in models[one].members if member in models and member not in whole]
    return whole


def with_time(ledger: pd.DataFrame) -> pd.DataFrame:
    """A ledger with the columns ``seconds``, of actors and workers without GPUs, and ``gpu_seconds`` of the others.

    ``gpu_seconds`` is the number of GPUs held times the seconds; NaN where that number is not known.
    """
    gpus, seconds = ledger["gpus"].astype("float64"), ledger["wall_s"]
    return ledger.assign(seconds=seconds.where(gpus == 0, 0.0), gpu_seconds=seconds * gpus)


def _params(results: Results) -> dict[str, int]:
    """The weights that multiply a token, by the name of what ran and by its model's, as in the ledger."""
    ledgers, weights = results.folder / LEDGER, {}
    folders = sorted({path.parent for path in ledgers.rglob("part-*.parquet")})
    for first in (shards[0] for folder in folders if (shards := shard_files(folder))):
        made = results.folder / first.relative_to(ledgers)
        shape = shard_meta(made).get("shape") if made.exists() else None
        if shape:
            row = read_ledger(first).to_pylist()[0]
            weights[row["what"]] = weights[row["model"]] = shape["matmul_params"]
    return weights


def _plain(row: Mapping[Any, Any], params: Mapping[str, int], facts: Mapping[str, Any]) -> float:
    """A ledger row in the plain convention; ``facts`` are those of the training it belongs to."""
    if not row["flops"]:
        return 0.0  # no model ran
    size = params.get(row["model"], params.get(row["what"]))
    if size is None:
        return float("nan")
    if row["stage"] == DevelopmentItem.TRAINING.stage:
        in_pairs = 2 * facts["n_pairs"] / facts["n_responses"] if facts.get("n_pairs") else 1.0
        read, trained = facts.get("forward_tokens", 0), row["train_tokens"] * in_pairs
        if (adapters := facts.get("adapter_params")) is None:
            return plain_flops(size, read, trained)
        # Frozen weights have no gradients of their own: a token costs them two forwards, not three.
        return plain_flops(size, read + 2 * trained) + plain_flops(adapters, 0, trained)
    prompts = 0 if row["stage"] in _GENERATED else row["prompt_tokens"]
    return plain_flops(size, prompts + row["completion_tokens"])


def development_flops(costs: pd.DataFrame, convention: str = "flops") -> dict[str, float]:
    """Development cost in FLOPs of each reward model that has one."""
    rows = costs[costs["item"].isin(DEVELOPMENT)]
    sums = rows.groupby("reward_model", sort=False)[convention].sum(min_count=1)
    return {str(name): float(flops) for name, flops in sums.items() if not flops <= 0}


def by_scale(trainings: Mapping[str, TrainedAs]) -> dict[str, dict[int, str]]:
    """Training method → responses per problem → the entry that trained so, on the method's usual data."""
    entries: dict[str, dict[int, str]] = {}
    for name, training in trainings.items():
        if training.scale is not None and training.usual and training.trained_by == name:
            entries.setdefault(training.training_method, {}).setdefault(training.scale, name)
    return entries


def size_of(training: TrainedAs, other: TrainedAs) -> float:
    """How many times the problems of ``other`` a training learns from, of one set of problems.

    All parts of a development cost are proportional to the number of problems.
    """
    ours, theirs = (t.data.instructions if t.data else 1.0 for t in (training, other))
    return ours / theirs


def development_table(trainings: Mapping[str, TrainedAs], costs: pd.DataFrame) -> pd.DataFrame:
    """Development cost by method and responses per problem, and relative to CE on as many (the paper's Figure 2).

    Where a method learns from a share of the problems, it is compared with that share of CE's cost.

    Columns method, responses, reward_model, then per convention its FLOPs and, as ``<convention>_of_ce``, the ratio.
    """
    flops = {convention: development_flops(costs, convention) for convention in CONVENTIONS}
    entries = by_scale(trainings)
    rows = []
    for method, scales in entries.items():
        for responses, name in sorted(scales.items()):
            if name not in flops["flops"]:
                continue
            row: dict[str, Any] = {"method": method, "responses": responses, "reward_model": name}
            yardstick = entries.get("CE", {}).get(responses, "")
            size = size_of(trainings[name], trainings[yardstick]) if yardstick else 1.0
            for convention, flops_by_name in flops.items():
                row[convention] = flops_by_name.get(name, float("nan"))
                row[f"{convention}_of_ce"] = row[convention] / (size * flops_by_name.get(yardstick, float("nan")))
            rows.append(row)
    columns = ["method", "responses", "reward_model"]
    return pd.DataFrame(rows, columns=[*columns, *(c + suffix for c in CONVENTIONS for suffix in ("", "_of_ce"))])


def generation_flops(results: Results) -> float:
    """FLOPs of sampling the responses that were compared; 0 for responses that already existed."""
    return float(results.ledger.loc[results.ledger["stage"] == StageKind.SAMPLE, "flops"].sum())
