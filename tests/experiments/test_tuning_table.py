"""The table of a grid, from the files of a report."""

from __future__ import annotations

import json
from pathlib import Path

from bonbench.experiments.pocket.tuning_table import tuning_table


def test_points_of_a_method_are_in_order_of_their_means(tmp_path: Path) -> None:
    head = "generator,reward_model,strategy,aggregation,protocol,n,accuracy\n"
    accuracies = {
        ("ce-1", "min"): (40, 50, 60),
        ("ce-1", "mean"): (41, 54, 60),
        ("ce-2", "min"): (99, 55, 62),
        ("orm", "min"): (45, 70, 80),
    }
    rows = [
        f"{generator},{name},{strategy},{aggregation},subsets,{n},{value + more}\n"
        for (name, aggregation), values in accuracies.items()
        for n, value in zip((2, 4, 16), values, strict=True)
        for generator, strategy, more in (
            ("average", "best_of_n", 0),
            ("average", "weighted_best_of_n", 7),
            ("weak", "best_of_n", -7),
        )
    ]
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "accuracy.csv").write_text(head + "".join(rows))
    models = {name: {"reward": "PRM", "train": {"method": "CE"}} for name in ("ce-1", "ce-2")}
    models["orm"] = {"reward": "ORM", "train": {"method": "ORM"}}
    (tmp_path / "manifest.json").write_text(json.dumps({"evaluation": {"n": [1, 4, 16]}, "reward_models": models}))
    assert tuning_table(tmp_path).splitlines() == [
        "| method | entry | aggregation | @4 | @16 | mean |",
        "| --- | --- | --- | --: | --: | --: |",
        "| CE | `ce-2` | min | 55.0 | 62.0 | 58.5 |",
        "| CE | `ce-1` | mean | 54.0 | 60.0 | 57.0 |",
        "| CE | `ce-1` | min | 50.0 | 60.0 | 55.0 |",
        "| ORM | `orm` |  | 70.0 | 80.0 | 75.0 |",
    ]
