"""The report: tables, figures and one self-contained page, from stored results alone.

The same results give the same bytes. Files appear whole or not at all; an output whose inputs are not in
the results is left out (and removed if an earlier report left it), and the page says what would make it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from harness import figures, rendering, tables
from harness.accuracy import MAJORITY, ORACLE, PASS_AT_1, Accuracies, Method, compute_accuracies
from harness.costs import generation_flops, reward_model_costs
from harness.examples import find_examples
from harness.families import instances
from harness.figure_style import encode, styled
from harness.inference import Difference
from harness.results import Results, load_results
from harness.store import replacing

_FORMATS = ("pdf", "png")


@dataclass(frozen=True, slots=True)
class FigureOutput:
    """A figure file: its title and caption on the page, and what is needed where it cannot be drawn."""

    stem: str
    title: str
    caption: str
    needs: str
    draw: Callable[[Results, Accuracies], Figure | None]


_FIGURES = (
    FigureOutput(
        "curves",
        "Accuracy against n",
        "Expected accuracy when choosing among n samples. One line per method, at its largest data scale; bands are "
        "95 % bootstrap intervals over problems (where there are many lines, of the best one only).",
        "",
        figures.curves,
    ),
    FigureOutput(
        "fig1_cost_accuracy",
        "Development cost against accuracy",
        "Best-of-n accuracy, averaged over generators, against what it took to develop the reward model: rollouts, "
        "labels, reference passes and training, in FLOPs from counted tokens. Bars are 95 % intervals; horizontal "
        "lines cost nothing to develop.",
        "reward models trained in this experiment: give entries a train: block, with several sizes of responses:",
        figures.cost_accuracy,
    ),
    FigureOutput(
        "fig3_majority",
        "Voting with the scores",
        "From taking the best-scored response (bar) to voting with the scores as weights (marker); mean over "
        "generators and the sizes n above 1. The gain is paired, with its 95 % interval.",
        "at least one reward model with scores",
        figures.weighted_voting,
    ),
)


def write_report(folder: Path) -> list[Path]:
    """Write ``tables/``, ``figures/`` and ``report.html`` of a results folder; returns the paths written.

    Raises:
        UserError: for a folder without results, or incomplete ones.
    """
    results = load_results(folder)
    accuracies = compute_accuracies(results)
    texts, frames, missing = _tables(results, accuracies)
    outputs = {f"tables/{name}": text.encode() for name, text in texts.items()}
    drawn = []
    with styled():
        for output in _FIGURES:
            figure = output.draw(results, accuracies)
            if figure is None:
                missing.append((output.title, output.needs))
                continue
            outputs |= {f"figures/{output.stem}.{suffix}": encode(figure, suffix) for suffix in _FORMATS}
            drawn.append((output, _data_uri(encode(figure, "svg"))))
    outputs["report.html"] = _page(results, accuracies, frames, drawn, missing).encode()

    for stale in [*folder.glob("tables/*"), *folder.glob("figures/*")]:
        if stale.is_file() and str(stale.relative_to(folder)) not in outputs:
            stale.unlink()
    for name, data in outputs.items():
        with replacing(folder / name) as path:
            path.write_bytes(data)
    return [folder / name for name in outputs]


@dataclass(frozen=True)
class _Frames:
    table1: tables.Table1
    weighted: pd.DataFrame
    comparisons: pd.DataFrame
    costs: pd.DataFrame
    answers: pd.DataFrame
    breakdown: pd.DataFrame


def _tables(results: Results, accuracies: Accuracies) -> tuple[dict[str, str], _Frames, list[tuple[str, str]]]:
    """Table files by name, their frames, and what is left out with what it needs."""
    table1 = tables.table1(results, accuracies)
    frames = _Frames(
        table1=table1,
        weighted=tables.weighted_table(results, accuracies),
        comparisons=tables.comparisons(results, accuracies),
        costs=reward_model_costs(results),
        answers=tables.answers(results),
        breakdown=tables.breakdown(results, accuracies),
    )
    texts = {
        "accuracy.csv": rendering.csv(accuracies.table()),
        "table1.csv": rendering.csv(table1.frame()),
        "table1.md": rendering.table1_markdown(table1),
        "table1.tex": rendering.table1_latex(table1),
        "answers.csv": rendering.csv(frames.answers),
    }
    missing = []
    if len(frames.weighted):
        texts["weighted.csv"] = rendering.csv(frames.weighted)
        texts["weighted.md"] = rendering.weighted_markdown(frames.weighted)
        texts["comparisons.csv"] = rendering.csv(frames.comparisons)
        texts["comparisons.md"] = rendering.comparisons_markdown(frames.comparisons)
    else:
        missing.append(("Comparisons and weighted voting", "at least one reward model with scores"))
    if len(frames.costs):
        texts["costs.csv"] = rendering.csv(frames.costs)
    else:
        missing.append(("Costs", "reward models that compute their scores in the run; recorded scores have no ledger"))
    if len(frames.breakdown):
        texts["breakdown.csv"] = rendering.csv(frames.breakdown)
    else:
        missing.append(("Accuracy by subject and level", "problems with a subject or a level"))
    return texts, frames, missing


def _page(
    results: Results,
    accuracies: Accuracies,
    frames: _Frames,
    drawn: list[tuple[FigureOutput, str]],
    missing: list[tuple[str, str]],
) -> str:
    environment = Environment(
        loader=PackageLoader("harness", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"signed": rendering.signed, "p_value": rendering.p_value, "quantity": _quantity}
    environment.tests["absent"] = pd.isna
    best = _best(results, accuracies)
    manifest = results.manifest
    return environment.get_template("report.html.j2").render(
        manifest=manifest,
        accuracies=accuracies,
        n_problems=len(results.problems),
        n_samples=int(results.grades["sample"].max()) + 1,
        summary=_summary(results, accuracies, best),
        table1=frames.table1,
        table1_note=rendering.TABLE1_NOTE,
        oracle=ORACLE,
        figures=drawn,
        weighted=frames.weighted.to_dict("records"),
        comparisons=frames.comparisons.to_dict("records"),
        rivals=_rivals(frames.comparisons),
        place=rendering.place,
        costs=frames.costs.to_dict("records"),
        generation_flops=generation_flops(results),
        answers=frames.answers.to_dict("records"),
        breakdown=_wide(frames.breakdown),
        best=best,
        examples=find_examples(results, best[1]) if best else [],
        missing=missing,
        config=yaml.safe_dump(manifest.config, sort_keys=False, allow_unicode=True),
        machine=json.dumps(manifest.machine, ensure_ascii=False),
    )


def _best(results: Results, accuracies: Accuracies) -> tuple[str, Method] | None:
    """(label, method) of the reward model with the highest mean over generators and sizes."""
    found = []
    for label, method in tables.labelled_methods(results, accuracies):
        values = accuracies.overall(method)
        if values is not None:
            found.append((accuracies.interval(values).mean, label, method))
    return max(found)[1:] if found else None


def _summary(results: Results, accuracies: Accuracies, best: tuple[str, Method] | None) -> list[str]:
    """What the data say, in sentences; every figure in them is computed here."""
    sizes = [n for n in accuracies.headline_n if n > 1] or [1]
    over = f"n = {sizes[0]}" if len(sizes) == 1 else f"n = {', '.join(map(str, sizes[:-1]))} and {sizes[-1]}"
    where = f"Averaged over {len(accuracies.generators)} generators and" if accuracies.averaged else "Averaged over"
    floor, votes, top = (accuracies.overall(m) for m in (PASS_AT_1, MAJORITY, ORACLE))
    assert floor is not None and votes is not None and top is not None
    percent = [f"{100 * accuracies.interval(v).mean:.1f} %" for v in (floor, votes, top)]
    lines = [
        f"{where} {over}, a response drawn at random is right in {percent[0]} of the cases (pass@1), the majority's "
        f"answer in {percent[1]}, and a perfect choice would be in {percent[2]} (pass@n)."
    ]
    if best is None:
        return lines
    values = accuracies.overall(best[1])
    assert values is not None
    interval = accuracies.interval(values)
    text = (
        f"The best reward model by this average is {best[0]}: {100 * interval.mean:.1f} % "
        f"(95 % interval {100 * interval.low:.1f} to {100 * interval.high:.1f})."
    )
    found = instances(results)
    rivals = [("pass@1", PASS_AT_1), ("majority vote", MAJORITY)]
    if found[best[1].reward_model].trained:
        labelled = tables.labelled_methods(results, accuracies)
        rivals += [(label, m) for label, m in labelled if not found[m.reward_model].trained]
    for name, method in rivals:
        theirs = accuracies.overall(method)
        if theirs is not None:
            text += f" {_against(accuracies.difference(values, theirs), name)}"
    lines.append(text)
    if len(results.variants()) > 1:
        lines.append("It is the best of several on these problems, which flatters its lead over the others.")
    return lines


def _against(d: Difference, name: str) -> str:
    change = f"{abs(100 * d.mean):.1f} points {'above' if d.mean >= 0 else 'below'} {name}"
    verdict = "" if d.low > 0 or d.high < 0 else ", a difference that may be chance"
    bounds = f"{rendering.signed(100 * d.low)} to {rendering.signed(100 * d.high)}"
    return f"It is {change} ({bounds}, p {rendering.p_value(d.p_permutation)}){verdict}."


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
    if value == 0:
        return "0"
    if value < 1e6:
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return Markup("{}&thinsp;×&thinsp;10<sup>{}</sup>").format(mantissa, int(exponent))


def _data_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
