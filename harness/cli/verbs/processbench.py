"""``bonbench processbench``."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import SPEC, Debug
from harness.core.errors import UserError

Sources = Annotated[
    list[str],
    typer.Argument(
        help="JSON lines or Parquet: {problem, steps, label}; or owner/name:split of the hub, as "
        "Qwen/ProcessBench:gsm8k. The threshold is tuned on the first.",
        metavar="FILE…",
    ),
]
ScoredBy = Annotated[
    str | None,
    typer.Option(
        "--reward-model",
        metavar="SPEC",
        help=f"Who scores the steps: {SPEC}. Default: the step_rewards that the lines have.",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        metavar="REWARD",
        help="Judge at this threshold too, beside the tuned one: 0.5 for models that predict a label for each step.",
    ),
]


def processbench(
    sources: Sources, reward_model: ScoredBy = None, threshold: Threshold = None, debug: Debug = False
) -> ExitCode:
    """Does a process reward model find the first wrong step? F1 by ProcessBench's protocol.

    Exit code 2: some lines were bad.
    """
    from harness.cli.tables.error_location import show_error_location
    from harness.engine.progress import Board
    from harness.streams.processbench import evaluate, load, recorded_rewards, step_rewards
    from harness.streams.scorer import Scorer

    _check_finite(threshold)
    complaints: list[str] = []
    subsets = {source: load(source, complaints.append) for source in sources}
    scorer = Scorer(reward_model) if reward_model else None
    with Board() as board:
        rewards = {
            source: step_rewards(
                data, scorer, board.line(source, len(data), "solutions").start().advance, complaints.append
            )
            if scorer
            else recorded_rewards(data, source)
            for source, data in subsets.items()
        }
    judged = [(s, rewards[s], [item.label for item in data]) for s, data in subsets.items()]
    show_error_location(*evaluate(judged, threshold), threshold, complaints)
    return ExitCode.MISTAKE if complaints else ExitCode.DONE


def _check_finite(threshold: float | None) -> None:
    """Raise :class:`UserError` for a threshold that no reward is below, or all are."""
    if threshold is not None and not math.isfinite(threshold):
        raise UserError(f"--threshold {threshold}: a finite number is expected")
