"""The report: tables, figures and one self-contained page, from stored results alone.

The same results give the same bytes. Files appear whole or not at all. An output whose inputs are not in the results is
left out, and its file from an earlier report is removed; the page says what would make it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.analysis.evaluation import Evaluation
from harness.analysis.published_numbers import beside, load_published
from harness.analysis.rows import to_frame
from harness.analysis.rule_entries import Entry, adds_rules
from harness.core.files import write_files
from harness.report.figures.palette import Palette
from harness.report.figures.style import encode, figure_files, styled
from harness.report.freshness import mark_report
from harness.report.outputs import FIGURES, TABLES
from harness.report.page.page import LeftOut, PageFigure, render_page
from harness.report.table_texts import beside_markdown
from harness.report.text import csv
from harness.storage.results import load_results


def write_report(
    folder: Path,
    published: Path | None = None,
    column_width: float | None = None,
    rules: Mapping[str, Entry] | None = None,
) -> list[Path]:
    """Write ``tables/``, ``figures/`` and ``report.html`` of a results folder; returns the paths written.

    Without options this is the standard report, which counts as fresh until the results change; but not where a
    selection rule of the results is left out.

    Args:
        published: a folder of published numbers (``harness.analysis.published_numbers``) to lay these beside.
        column_width: of the figures, in inches (see :func:`harness.report.figures.style.styled`).
        rules: selection rules (name -> entry) that the user asked for, beside those of the results.

    Raises:
        UserError: for a folder without results, or incomplete ones.
    """
    results = load_results(folder)
    evaluation = Evaluation.of(results, rules)
    tables, tables_left_out, files = _tables(evaluation)
    if published is not None:
        files |= _beside(evaluation, published)
    palette = Palette.of(evaluation)
    figures, figures_left_out, figure_data = _figures(evaluation, palette, column_width)
    files |= figure_data
    page = render_page(evaluation, palette, tables, figures, [*tables_left_out, *figures_left_out])
    files["report.html"] = page.encode()

    mark_report(folder, None)
    for earlier in [*folder.glob("tables/*"), *folder.glob("figures/*")]:
        if earlier.is_file() and str(earlier.relative_to(folder)) not in files:
            earlier.unlink()
    paths = write_files(folder, files)
    as_run = not evaluation.accuracies.rules_left_out and not adds_rules(results.manifest, rules)
    if published is None and column_width is None and as_run:
        mark_report(folder, results.manifest.results_key)
    return paths


def _tables(evaluation: Evaluation) -> tuple[dict[str, Any], list[LeftOut], dict[str, bytes]]:
    """The tables that can be made, by name, the others, and files."""
    tables: dict[str, Any] = {}
    left_out: list[LeftOut] = []
    files: dict[str, bytes] = {}
    for output in TABLES:
        table = output.make(evaluation)
        frame = None if table is None else output.frame(table)
        if frame is None or frame.empty:
            left_out.append(LeftOut(output.title, output.needs))
            continue
        tables[output.name] = table
        files[f"tables/{output.name}.csv"] = csv(frame).encode()
        for suffix, text in output.texts.items():
            files[f"tables/{output.name}.{suffix}"] = text(table).encode()
    return tables, left_out, files


def _beside(evaluation: Evaluation, folder: Path) -> dict[str, bytes]:
    """The files that lay a run beside published numbers."""
    published = load_published(folder)
    rows = beside(evaluation, published)
    return {
        "tables/beside_paper.csv": csv(to_frame(rows)).encode(),
        "tables/beside_paper.md": beside_markdown(rows, published.index).encode(),
    }


def _figures(
    evaluation: Evaluation, palette: Palette, column_width: float | None
) -> tuple[list[PageFigure], list[LeftOut], dict[str, bytes]]:
    """The figures that can be drawn and that the page shows, those that cannot be drawn, and files."""
    figures: list[PageFigure] = []
    left_out: list[LeftOut] = []
    files: dict[str, bytes] = {}
    with styled(column_width):
        for output in FIGURES:
            figure = output.draw(evaluation, palette)
            if figure is None:
                left_out.append(LeftOut(output.title, output.needs))
                continue
            files |= figure_files(output.name, figure)
            if output.on_page:
                figures.append(PageFigure(output.name, output.title, output.caption, encode(figure, "svg")))
    return figures, left_out, files
