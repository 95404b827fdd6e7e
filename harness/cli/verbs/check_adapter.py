"""``bonbench check-adapter``."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import Debug

Name = Annotated[str, typer.Argument(help="A public reward model (docs/public-reward-models.md).", metavar="NAME")]
Copy = Annotated[str | None, typer.Option("--model", metavar="FOLDER", help="A copy of it. Default: the hub's.")]
Dtype = Annotated[str, typer.Option(help="What it runs in. Cards were printed in bfloat16.")]


def check_adapter(name: Name, model: Copy = None, dtype: Dtype = "auto", debug: Debug = False) -> ExitCode:
    """Does a public reward model give here what its card prints? Scores the card's own example; prints both.

    Exit code 1: some numbers are further apart than rounding takes them.
    """
    from harness.cli.tables.check_adapter import show_compared
    from harness.streams.check_adapter import check_adapter as compared

    rows = compared(name, model, dtype)
    show_compared(name, rows)
    return ExitCode.DONE if all(row.agrees for row in rows) else ExitCode.FAILED
