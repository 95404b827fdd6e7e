"""``bonbench list``."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import Debug

Name = Annotated[str | None, typer.Argument(help="Show this one's parameters.", metavar="[NAME]")]


def list_components(name: Name = None, debug: Debug = False) -> ExitCode:
    """Show the shipped experiments and the registered components, or the parameters of one: type, default, meaning."""
    from harness.cli.tables.components import show_all, show_component

    show_component(name) if name else show_all()
    return ExitCode.DONE
