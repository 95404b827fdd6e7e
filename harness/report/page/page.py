"""report.html: one file that holds everything it shows, asks the network for nothing and runs no script but its own.

Text that a model or a data set wrote reaches the page in two ways only: through Jinja's escaping, or inside compressed
blocks that the page's script turns into text nodes. A content security policy names the script and the style by their
hashes, so markup that slipped through would still not run.
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

from harness.analysis.choosers import ORACLE
from harness.analysis.costs import generation_flops
from harness.analysis.evaluation import Evaluation
from harness.analysis.headline_tables import Table1
from harness.report import text as rendering
from harness.report.page.blocks import encode_block
from harness.report.page.explorer import Explorer
from harness.report.page.html import cell, data_uri, environment

_SCRIPTS = ("page.js", "sorting.js", "curves.js", "problem.js", "explorer.js")


@dataclass(frozen=True, slots=True)
class PageTable:
    """A table as it is: a row of ``frame`` per row, the first column as its head.

    Floats get one decimal, NaN and None a dash; text stays as it is.
    """

    stem: str
    title: str
    frame: pd.DataFrame
    note: str = ""


@dataclass(frozen=True, slots=True)
class PageFigure:
    """A figure as it is: an SVG file's bytes."""

    stem: str
    title: str
    caption: str
    svg: bytes


@dataclass(frozen=True)
class Frames:
    """The tables that the page lays out in its own way, and others that it shows as they are."""

    table1: Table1
    weighted: pd.DataFrame
    comparisons: pd.DataFrame
    costs: pd.DataFrame
    answers: pd.DataFrame
    breakdown: pd.DataFrame
    others: list[PageTable]


def render_page(
    evaluation: Evaluation,
    *,
    summary: Sequence[str],
    frames: Frames,
    figures: Sequence[PageFigure],
    curves: Mapping[str, Any],
    explorer: Explorer,
    missing: Sequence[tuple[str, str]],
) -> str:
    """The page's HTML.

    Args:
        summary: paragraphs.
        figures: shown as they are, in this order.
        curves: what the interactive chart draws (``harness.report.page.chart``).
        missing: what is left out, with what it needs.
    """
    templates = environment()
    templates.filters |= {"signed": rendering.signed, "p_value": rendering.p_value, "quantity": _quantity}
    templates.filters["numeric"] = _numeric
    templates.tests["absent"] = pd.isna
    results = evaluation.results
    manifest = results.manifest
    script, style = _script(), _resource("report.css")
    return templates.get_template("report.html.j2").render(
        manifest=manifest,
        policy=_policy(script, style),
        script=Markup(script),
        style=Markup(style),
        accuracies=evaluation.accuracies,
        n_problems=len(results.problems),
        n_samples=int(results.grades["sample"].max()) + 1,
        summary=summary,
        table1=frames.table1,
        table1_note=rendering.table1_note(frames.table1),
        oracle=ORACLE,
        figures=[(figure, data_uri(figure.svg)) for figure in figures],
        weighted=frames.weighted.to_dict("records"),
        comparisons=frames.comparisons.to_dict("records"),
        rivals=_rivals(frames.comparisons),
        place=rendering.place,
        costs=frames.costs.to_dict("records"),
        generation_flops=generation_flops(results),
        answers=frames.answers.to_dict("records"),
        breakdown=_wide(frames.breakdown),
        others=frames.others,
        missing=missing,
        config=yaml.safe_dump(manifest.config, sort_keys=False, allow_unicode=True),
        machine=json.dumps(manifest.machine, ensure_ascii=False),
        left_out=explorer.left_out,
        # What the script needs at once comes before it, what it reads on demand after.
        first_blocks={"curve-data": encode_block(curves), "explorer-index": encode_block(explorer.index)},
        blocks=explorer.blocks,
    )


def _resource(name: str) -> str:
    return (files("harness.report.page") / "templates" / name).read_text(encoding="utf-8")


def _script() -> str:
    return "(() => {\n" + "\n".join(_resource(name) for name in _SCRIPTS) + "})();\n"


def _policy(script: str, style: str) -> str:
    """No network, no frames, no forms; of scripts and styles only these two."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
    return (
        f"default-src 'none'; img-src data:; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _rivals(comparisons: pd.DataFrame) -> dict[str, Any]:
    """The overall differences: rivals' names, and a row of cells (or None) per reward model."""
    overall = comparisons[comparisons["n"].isna()]
    names = list(dict.fromkeys(overall["against"]))
    cells: dict[str, dict[str, Any]] = {}
    for row in overall.to_dict("records"):
        cells.setdefault(row["reward_model"], {})[row["against"]] = row
    return {"names": names, "rows": [(label, [found.get(n) for n in names]) for label, found in cells.items()]}


def _wide(breakdown: pd.DataFrame) -> list[dict[str, Any]]:
    """Per subject or level: the groups' names and sizes, and a row of cells per method."""
    found = []
    for by, frame in breakdown.groupby("by", sort=False):
        groups = list(dict.fromkeys(frame["group"]))
        sizes = {group: int(rows["n_problems"].max()) for group, rows in frame.groupby("group")}
        rows = [
            (label, [next(iter(cells[cells["group"] == group].to_dict("records")), None) for group in groups])
            for label, cells in frame.groupby("row", sort=False)
        ]
        found.append({"by": by, "n": int(frame["n"].iloc[0]), "groups": [(g, sizes[g]) for g in groups], "rows": rows})
    return found


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


def _numeric(frame: pd.DataFrame) -> list[bool]:
    """Per column, whether all its cells start as numbers do or are dashes: such columns are aligned on the right."""
    return [
        all(re.match(r"[+−-]?\d|–$", cell(value)) for value in frame.iloc[:, i].tolist()) for i in range(frame.shape[1])
    ]
