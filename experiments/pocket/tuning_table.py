"""The table of a grid: ``python -m bonbench.experiments.pocket.tuning_table results/pocket-tuning``.

A row per reward model and aggregation: the accuracy of best of n, mean over the generators, for each size n above 1
that the experiment names, and the mean over these sizes. The rows of a training method are in the order of this mean.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd


def tuning_table(results: Path) -> str:
    """The table as Markdown, from the files of a report."""
    accuracy = pd.read_csv(results / "tables" / "accuracy.csv", keep_default_na=False)
    manifest = json.loads((results / "manifest.json").read_text())
    models, sizes = manifest["reward_models"], [n for n in manifest["evaluation"]["n"] if n > 1]
    chosen = accuracy[(accuracy["generator"] == "average") & (accuracy["strategy"] == "best_of_n")]
    by_n = chosen.pivot_table(index=["reward_model", "aggregation"], columns="n", values="accuracy")[sizes]
    by_n["mean"] = by_n[sizes].mean(axis="columns")
    rows = by_n.reset_index()
    rows["method"] = [_method(models[name]) for name in rows["reward_model"]]
    order = {method: k for k, method in enumerate(dict.fromkeys(_method(facts) for facts in models.values()))}
    rows = rows.assign(place=rows["method"].map(order)).sort_values(["place", "mean"], ascending=[True, False])
    lines = [["method", "entry", "aggregation", *(f"@{n}" for n in sizes), "mean"]]
    for row in rows.to_dict("records"):
        numbers = [f"{row[column]:.1f}" for column in [*sizes, "mean"]]
        aggregation = "" if _is_orm(models[row["reward_model"]]) else row["aggregation"]
        lines.append([row["method"], f"`{row['reward_model']}`", aggregation, *numbers])
    lines.insert(1, ["---"] * 3 + ["--:"] * (len(sizes) + 1))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _method(facts: dict[str, Any]) -> str:
    return str((facts.get("train") or {}).get("method", "untrained"))


def _is_orm(facts: dict[str, Any]) -> bool:
    return facts.get("reward") == "ORM"


def main(arguments: Sequence[str]) -> None:
    (results,) = arguments
    print(tuning_table(Path(results)), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
