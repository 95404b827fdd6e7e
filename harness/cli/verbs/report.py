"""``bonbench report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import Debug, Results, Rule

Beside = Annotated[
    Path | None,
    typer.Option(metavar="PUBLISHED", help="Published numbers to lay this run's beside, e.g. results/paper."),
]
ColumnWidth = Annotated[
    float | None, typer.Option(min=2, help="Make figures for a column of so many inches, e.g. 3.25 or 6.75.")
]


def report(
    results: Results,
    beside: Beside = None,
    column_width: ColumnWidth = None,
    rule: Rule = None,
    debug: Debug = False,
) -> ExitCode:
    """Redraw tables, figures and report.html from stored results, or from published numbers. Loads no model."""
    from harness.analysis.published_numbers import is_published
    from harness.cli.experiments import selection_rules
    from harness.cli.tables.accuracy import show_accuracy
    from harness.report.write import write_report
    from harness.report.write_published import write_published_report

    if is_published(results):
        write_published_report(results, column_width)
    else:
        write_report(results, beside, column_width, selection_rules(rule))
    show_accuracy(results)
    return ExitCode.DONE
