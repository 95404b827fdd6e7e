"""What each reward model cost, from the ledger's counted tokens.

Development (paper, Section 5.3): collecting the rollouts, labelling them, reference passes over them, training. An
entry that scores with a model that another entry trained carries that entry's development. Scoring: its own
stage and every token pass it reads, in full even where other reward models read the same pass.
"""

from __future__ import annotations

import pandas as pd

from harness.results import Results

DEVELOPMENT = ("collection", "labels", "reference", "training")
_SUMMED = {
    "prompt_tokens": "prompt_tokens",
    "completion_tokens": "completion_tokens",
    "train_tokens": "train_tokens",
    "flops": "flops",
    "wall_s": "seconds",
}


def reward_model_costs(results: Results) -> pd.DataFrame:
    """Columns reward_model, item, prompt_tokens, completion_tokens, train_tokens, flops, seconds; items without
    any ledger row are left out."""
    ledger = results.ledger
    parts = []
    for name, facts in results.manifest.reward_models.items():
        developed = results.training_model(name)
        chosen = {
            item: ledger[(ledger["stage"] == f"development/{item}") & (ledger["what"] == developed)]
            for item in DEVELOPMENT
        }
        passes = ledger["stage"].eq("token-pass") & ledger["what"].isin(set(facts.token_passes.values()))
        chosen["scoring"] = ledger[passes | (ledger["stage"].eq("score") & ledger["what"].eq(name))]
        for item, rows in chosen.items():
            if len(rows):
                sums = rows[list(_SUMMED)].sum()
                parts.append({"reward_model": name, "item": item, **{_SUMMED[k]: sums[k] for k in _SUMMED}})
    frame = pd.DataFrame(parts, columns=["reward_model", "item", *_SUMMED.values()])
    tokens = ["prompt_tokens", "completion_tokens", "train_tokens"]
    return frame.astype(dict.fromkeys(tokens, "int64") | dict.fromkeys(["flops", "seconds"], "float64"))


def development_flops(costs: pd.DataFrame) -> dict[str, float]:
    """Development cost in FLOPs of each reward model that has one."""
    rows = costs[costs["item"].isin(DEVELOPMENT)]
    sums = rows.groupby("reward_model", sort=False)["flops"].sum()
    return {str(name): float(flops) for name, flops in sums.items() if flops > 0}


def generation_flops(results: Results) -> float:
    """FLOPs of sampling the responses that were compared; 0 for responses that already existed."""
    return float(results.ledger.loc[results.ledger["stage"] == "sample", "flops"].sum())
