"""``bonbench grade``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import Debug

Source = Annotated[Path, typer.Argument(help="JSONL: {pred or response, gold, …} per line.", metavar="IN.jsonl")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Where the graded lines go.", metavar="OUT.jsonl")]


def grade(source: Source, output: Output, debug: Debug = False) -> ExitCode:
    """Grade answers: adds extracted, correct and reason to every line, in order. Exit code 2: some lines were bad."""
    from harness.engine.progress import Board
    from harness.experiment.entries import build
    from harness.streams.grade import grade_file

    spec = build("verifiers", "verifier", {"type": "math"}, "verifier", {})
    with Board() as board:
        progress = board.line("grade", None, "lines").start().advance
        summary = grade_file(source, output, spec.cls(spec.params, "math"), progress)
        board.say(str(summary))
    return ExitCode.MISTAKE if summary.file.bad_lines else ExitCode.DONE
