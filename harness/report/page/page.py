"""report.html: one file that holds everything it shows, asks the network for nothing and runs no script but its own.

Text that a model or a data set wrote reaches the page in two ways only: through Jinja's escaping, or inside compressed
blocks that the page's script turns into text nodes, and formulas into elements from a list of harmless ones. A content
security policy names the script and the style by their hashes, so markup that slipped through would still not run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pandas as pd
import yaml
from markupsafe import Markup

from harness.analysis.costs import generation_flops
from harness.analysis.evaluation import Evaluation
from harness.analysis.findings import by_finding, overall_verdict
from harness.analysis.headline_tables import BreakdownRow, RivalRow
from harness.analysis.inference import Difference, Interval
from harness.analysis.smaller_generator import at_most_responses
from harness.report import text
from harness.report.figures.palette import Palette
from harness.report.outputs import TABLES
from harness.report.page.blocks import encode_block
from harness.report.page.chart import curve_data
from harness.report.page.explorer import collect
from harness.report.page.html import data_uri, environment
from harness.report.page.mathematics import render_mathematics
from harness.report.summary import best_chooser, summary
from harness.report.table_texts import FINDINGS_NOTE, ablation_cells, finding_number, sets_cells, table1_note

_SCRIPTS = ("page.js", "sorting.js", "curves.js", "formulas.js", "steps.js", "problem.js", "explorer.js")


@dataclass(frozen=True, slots=True)
class PageFigure:
    """A figure as it is: an SVG file's bytes."""

    name: str
    title: str
    caption: str
    svg: bytes


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An output that the results lack the inputs of. Where nothing is said of its ``needs``, the page leaves it out."""

    title: str
    needs: str


def render_page(
    evaluation: Evaluation,
    palette: Palette,
    tables: Mapping[str, Any],
    figures: Sequence[PageFigure],
    left_out: Sequence[LeftOut],
) -> str:
    """The page's HTML.

    Args:
        palette: of the interactive chart.
        tables: what ``harness.report.outputs.TABLES`` made of the results, by name.
        figures: shown as they are, in this order.
        left_out: the outputs that could not be made.
    """
    templates = environment()
    templates.filters |= {
        "percent": text.percent,
        "points": text.signed_percent,
        "p_value": text.p_value,
        "quantity": _quantity,
        "svg_uri": lambda figure: data_uri(figure.svg),
        "numeric": _numeric,
        "wide": _wide,
        "rivals": _rivals,
        "ablation_cells": ablation_cells,
        "table1_note": table1_note,
        "sets_cells": sets_cells,
        "finding_number": finding_number,
        "by_finding": by_finding,
        "overall_verdict": overall_verdict,
        "at_most_responses": at_most_responses,
        "as_json": lambda value: json.dumps(value, ensure_ascii=False),
        "as_yaml": lambda value: yaml.safe_dump(value, sort_keys=False, allow_unicode=True),
    }
    templates.tests["absent"] = pd.isna
    templates.globals |= {"place": text.place, "findings_note": FINDINGS_NOTE}
    script, style = _script(), _resource("report.css")
    best = best_chooser(evaluation)
    # A response has the scores of trainings, not of a mean over seeds.
    explorer = collect(evaluation, best and best._replace(reward_model=evaluation.entry(best)))
    return templates.get_template("report.html.j2").render(
        evaluation=evaluation,
        manifest=evaluation.results.manifest,
        accuracies=evaluation.accuracies,
        tables=tables,
        titles={output.name: output.title for output in TABLES},
        figures=figures,
        missing=[output for output in left_out if output.needs],
        summary=summary(evaluation, best),
        generation_flops=generation_flops(evaluation.results),
        policy=_policy(script, style),
        script=Markup(script),
        style=Markup(style),
        explorer=explorer,
        mathematics=render_mathematics(explorer.index, explorer.blocks),
        # What the script needs at once comes before it, what it reads on demand after.
        first_blocks={
            "curve-data": encode_block(curve_data(evaluation, palette)),
            "explorer-index": encode_block(explorer.index),
        },
    )


def _resource(name: str) -> str:
    return (files("harness.report.page") / "templates" / name).read_text(encoding="utf-8")


def _script() -> str:
    return "(() => {\n" + "\n".join(_resource(name) for name in _SCRIPTS) + "})();\n"


def _policy(script: str, style: str) -> str:
    """No network, no frames, no forms; of scripts and styles only these two."""
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (script, style)]
    return (
        f"default-src 'none'; img-src data:; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _rivals(rows: Sequence[RivalRow]) -> dict[str, Any]:
    """The overall differences: rivals' names, and for each reward model a difference, or None, per rival."""
    overall = [row for row in rows if row.n is None]
    names = list(dict.fromkeys(row.against for row in overall))
    cells: dict[str, dict[str, Difference]] = {}
    for row in overall:
        cells.setdefault(row.reward_model, {})[row.against] = row.difference
    return {"names": names, "rows": [(label, [by_rival.get(n) for n in names]) for label, by_rival in cells.items()]}


def _wide(rows: Sequence[BreakdownRow]) -> list[dict[str, Any]]:
    """Per subject or level: the groups' names and sizes, and for each chooser an interval, or None, per group."""
    parts = []
    for by in dict.fromkeys(row.by for row in rows):
        part = [row for row in rows if row.by == by]
        sizes: dict[str, int] = {}
        cells: dict[str, dict[str, Interval]] = {}
        for row in part:
            sizes[row.group] = max(sizes.get(row.group, 0), row.accuracy.n_problems)
            cells.setdefault(row.row, {})[row.group] = row.accuracy
        lines = [(label, [by_group.get(group) for group in sizes]) for label, by_group in cells.items()]
        parts.append({"by": by, "n": part[0].n, "groups": list(sizes.items()), "rows": lines})
    return parts


def _quantity(value: float) -> str:
    """A count or an amount of FLOPs for people: three digits and a power of ten, or a plain number."""
    if pd.isna(value):
        return "–"
    if value == 0:
        return "0"
    if value < 1e6:
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return Markup("{}&thinsp;×&thinsp;10<sup>{}</sup>").format(mantissa, int(exponent))


def _numeric(rows: Sequence[Sequence[str]]) -> list[bool]:
    """Per column, whether all its cells start as numbers do or are dashes: such columns are aligned on the right."""
    return [all(re.match(r"[+−-]?\d|–$", cell) for cell in column) for column in zip(*rows, strict=True)]
