"""``bonbench copy``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import Debug

Name = Annotated[str, typer.Argument(help="An experiment that `bonbench list` shows.", metavar="NAME")]
Target = Annotated[Path | None, typer.Argument(help="Where it goes. Default: NAME.yaml.", metavar="[FILE]")]


def copy(name: Name, file: Target = None, debug: Debug = False) -> ExitCode:
    """Write an experiment that BonBench ships to a file of yours, to edit and run. Replaces no file."""
    from harness.cli.experiments import copy_experiment

    target = copy_experiment(name, file or Path(f"{name}.yaml"))
    print(f"{target}: edit it, then bonbench run {target}")
    return ExitCode.DONE
