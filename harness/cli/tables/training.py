"""What came of one training, for the terminal: where it is, what it learnt from, how far it got, what it took."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from rich.table import Table

from harness.analysis.costs import with_time
from harness.cli.tables.wide import print_wide
from harness.core.stages import DevelopmentItem
from harness.engine.graph import Graph, Training
from harness.storage.ledger import read_ledger
from harness.storage.trained import trained_facts

_COUNTS = {
    "n_problems": "problems",
    "n_responses": "responses",
    "n_correct": "right",
    "n_pairs": "pairs",
    "n_steps": "steps",
    "n_good_steps": "good steps",
}
_METRICS = {"loss": "loss", "reward_accuracy": "reward accuracy", "margin": "margin"}
_COSTS = {
    "prompt_tokens": "prompt tokens",
    "completion_tokens": "response tokens",
    "train_tokens": "trained tokens",
    "flops": "FLOPs",
    "seconds": "seconds",
    "gpu_seconds": "GPU-seconds",
}


def show_training(training: Training, graph: Graph) -> None:
    """Print what came of a training, and what it took."""
    print("\n".join(_summary(training, graph)))
    print_wide(_costs(training, graph))


def _summary(training: Training, graph: Graph) -> list[str]:
    """Where the model is, what it learnt from and what was left out, and how the training ended, a line each."""
    facts = trained_facts(training.folder)
    lines = [f"{training.who}, {training.method}: {graph.results / 'trained' / training.who}"]
    if counts := [f"{round(facts[key]):,} {label}" for key, label in _COUNTS.items() if facts.get(key)]:
        lines.append(f"learnt from: {', '.join(counts)}")
    if dropped := facts.get("dropped"):
        lines.append("left out: " + ", ".join(f"{count:,} {reason}" for reason, count in dropped.items()))
    if metrics := [f"{label} {facts[key]:.3f}" for key, label in _METRICS.items() if key in facts]:
        lines.append(f"at the end: {', '.join(metrics)}")
    if apart := facts.get("kept_apart"):
        lines.append(f"kept apart: {apart['n_problems']:,} problems, {apart['n_responses']:,} responses")
    if seen := facts.get("validation"):
        before, after = seen["before"], seen["after"]
        changes = [
            f"{label} {before[key]:.3f} -> {after[key]:.3f}"
            for key, label in _METRICS.items()
            if key in before and key in after
        ]
        lines.append(f"on what was kept apart: {', '.join(changes)}")
    if note := facts.get("note"):
        lines.append(note)
    return lines


def _costs(training: Training, graph: Graph) -> Table:
    """What it took to develop, as if it had been alone: from the ledger, by item, and in all.

    Seconds are of processes without GPUs. There are GPU-seconds where GPUs were held.
    """
    frame = with_time(read_ledger(training.ledger(graph.results)).to_pandas())
    columns = {key: head for key, head in _COSTS.items() if key != "gpu_seconds" or (frame["gpus"] != 0).any()}
    frame["stage"] = frame["stage"].map({item.stage: item.value for item in DevelopmentItem})
    # A sum with what is not known is not known.
    groups = {item: of[list(columns)].sum(skipna=False) for item, of in frame.groupby("stage", sort=False)}
    sums = pd.DataFrame(groups.values(), index=list(groups))
    table = Table(title="Development", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for column in columns.values():
        table.add_column(column, justify="right")
    for item, row in sums.iterrows():
        table.add_row(str(item), *_cells(row))
    table.add_section()
    table.add_row("total", *_cells(sums.sum(skipna=False)), style="bold")
    return table


def _cells(row: Any) -> list[str]:
    """A row of the table."""
    cells = []
    for name, value in row.items():
        match name:
            case "flops":
                cells.append(f"{value:.2e}" if value else "")
            case "seconds" | "gpu_seconds":
                cells.append("unknown" if math.isnan(value) else f"{value:,.1f}")
            case _:
                cells.append(f"{int(value):,}" if value else "")
    return cells
