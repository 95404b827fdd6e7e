"""``bonbench list``."""

from __future__ import annotations

from harness.cli.exit_codes import ExitCode
from harness.cli.options import Debug


def list_components(debug: Debug = False) -> ExitCode:
    """Show the registered datasets, generators, verifiers, trainers and reward models."""
    from harness.cli.tables.components import show_components

    show_components()
    return ExitCode.DONE
