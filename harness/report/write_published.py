"""The report of published numbers: their table and figures, drawn as a run's, and a page."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from harness.analysis.headline_tables import Table1
from harness.analysis.published_numbers import Published, load_published, published_table1
from harness.core.files import write_files
from harness.report.figures.accuracy import VotingLine, draw_voting
from harness.report.figures.costs import draw_relative_costs
from harness.report.figures.palette import looks
from harness.report.figures.style import encode, figure_files, styled
from harness.report.page.html import cell, data_uri, environment
from harness.report.table_texts import AVERAGE_NOTE, table1_latex, table1_markdown
from harness.report.text import csv, signed


def write_published_report(folder: Path, column_width: float | None = None) -> list[Path]:
    """Write ``tables/``, ``figures/`` and ``report.html`` beside the published files; returns the paths written.

    Raises:
        UserError: for a folder without them.
    """
    published = load_published(folder)
    source, table1 = published.index.source, published_table1(published)
    note = f"Accuracy in percent, as published in {source}. {AVERAGE_NOTE} Bold: best in its column."
    outputs = {
        "tables/table1.csv": csv(table1.frame().dropna(axis="columns", how="all")).encode(),
        "tables/table1.md": table1_markdown(table1, note).encode(),
        "tables/table1.tex": table1_latex(table1).encode(),
    }
    drawn = []
    with styled(column_width):
        for stem, file, figure in (
            ("fig2_development_cost", "figure2.csv", _costs(published)),
            ("fig3_majority", "figure3.csv", _votes(published)),
        ):
            outputs |= figure_files(stem, figure)
            drawn.append((published.index.files[file], data_uri(encode(figure, "svg"))))
    outputs["report.html"] = _page(published, table1, note, drawn).encode()
    return write_files(folder, outputs)


def _costs(published: Published) -> Figure:
    ratios = published.relative_costs()
    return draw_relative_costs(ratios, {name: look.color for name, look in looks([*ratios, "CE"]).items()})


def _votes(published: Published) -> Figure:
    votes = published.votes()
    look = looks(votes)
    lines = [
        VotingLine(method, look[method], plain, weighted, signed(weighted - plain))
        for method, (plain, weighted) in votes.items()
    ]
    return draw_voting(lines, published.majority, "gain")


def _page(published: Published, table1: Table1, note: str, figures: list[tuple[str, str]]) -> str:
    best = [None if (value := table1.best(i)) is None else f"{value:.1f}" for i in range(len(table1.columns))]
    others = published.others.items()
    template = environment().get_template("published.html.j2")
    return template.render(
        index=published.index,
        tables=[
            (published.index.files[name], list(frame.columns), frame.map(cell).to_numpy().tolist(), bold, below)
            for name, frame, bold, below in (
                ("table1.csv", published.table1, best, note),
                *((name, frame, [], "") for name, frame in others),
            )
        ],
        figures=figures,
    )
