"""``bonbench grade``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import SPEC, Debug, Output

Source = Annotated[
    Path,
    typer.Argument(
        help="JSON lines or Parquet. A line has gold (or answer, target; a list: any of them is right), and pred (or "
        "prediction) or response.",
        metavar="IN.jsonl",
    ),
]
VerifiedBy = Annotated[str, typer.Option("--verifier", metavar="SPEC", help=f"Who decides: {SPEC}.")]
VerifierOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Set one of the verifier's options, e.g. --set percent=value. Repeatable."
    ),
]


def grade(
    source: Source, output: Output, verifier: VerifiedBy = "math", set_: VerifierOptions = None, debug: Debug = False
) -> ExitCode:
    """Grade answers: adds extracted, correct and reason to every line, in order. Exit code 2: some lines were bad."""
    from harness.engine.progress import Board
    from harness.streams.grade import Grader, grade_file

    grader = Grader(verifier, set_ or ())
    with Board() as board:
        progress = board.line("grade", None, "lines").start().advance
        summary = grade_file(source, output, grader, progress)
        board.say(f"{summary}\ngraded by {grader.settings}")
    return ExitCode.MISTAKE if summary.file.bad_lines else ExitCode.DONE
