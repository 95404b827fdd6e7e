"""``bonbench export``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import Debug, Results

Folder = Annotated[Path, typer.Option("--output", "-o", help="A new folder: nothing is overwritten.", metavar="FOLDER")]
License = Annotated[
    str, typer.Option("--license", help="The licence that the card names, by the hub's id.", metavar="ID")
]
To = Annotated[
    str | None,
    typer.Option(
        help="Upload the folder too: a data set of the Hugging Face hub, private if new.", metavar="hub:OWNER/NAME"
    ),
]


def export(
    results: Results, output: Folder, license_: License = "unknown", to: To = None, debug: Debug = False
) -> ExitCode:
    """Write responses, grades and scores as Parquet files with a card, for another team to score the same candidates.

    The README.md in FOLDER says what is there and has the experiment that reads it back. In short:
    bonbench run replay --set responses=FOLDER --set output=results/theirs --reward-model my_rm.py:MyRewardModel.
    Exit code 1: something that the experiment asks for is not there yet; what is not is named.
    """
    from harness.engine.progress import Board
    from harness.export.hub import hub_repository, upload
    from harness.export.write import export as write

    repository = None if to is None else hub_repository(to)
    with Board() as board:
        done = write(results, output, license_, board.line("export", None, "responses").start().advance)
        for line in done.lines:
            board.say(line)
        for line in done.missing:
            board.say(f"not there: {line}")
    said = shlex.quote(f"responses={output}")
    print(f"{output}: bonbench run replay --set {said} --set output=results/NAME reads it back")
    if repository is not None:
        print(f"{output}: going to the hub, as {repository}", flush=True)
        print(f"{output}: uploaded to {upload(output, repository)}")
    return ExitCode.FAILED if done.missing else ExitCode.DONE
