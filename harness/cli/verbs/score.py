"""``bonbench score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import SPEC, Debug, Output

Source = Annotated[Path, typer.Argument(help="JSON lines or Parquet: {problem, response, …}.", metavar="IN.jsonl")]
ScoredBy = Annotated[str, typer.Option("--reward-model", metavar="SPEC", help=f"Who scores: {SPEC}.")]


def score(source: Source, reward_model: ScoredBy, output: Output, debug: Debug = False) -> ExitCode:
    """Score solutions: adds step_rewards, step_ends and score to every line, in order. Needs no experiment.

    Stop it at any time and run it again: it continues. Exit code 2: some lines were bad, or have no
    score. Mend them and run it again: what was scored stays scored.
    """
    from harness.data.lines import check_is_file
    from harness.engine.progress import Board
    from harness.streams.formats import check_output
    from harness.streams.score import score_file
    from harness.streams.scorer import Scorer

    check_is_file(source)
    check_output(output)  # before a model is loaded
    scorer = Scorer(reward_model)
    with Board() as board:
        done = score_file(source, output, scorer, board.line("score", None, "responses").start().advance)
        board.say(str(done))
    return ExitCode.MISTAKE if done.file.bad_lines else ExitCode.DONE
