"""Tables as CSV, Markdown and LaTeX text."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.analysis.choosers import AVERAGE, ORACLE
from harness.analysis.cost_ratio import LABELLED, YARDSTICK
from harness.analysis.costs import DEVELOPMENT
from harness.analysis.headline_tables import Table1
from harness.analysis.published_numbers import Index

_LATEX = str.maketrans(
    {
        **{c: f"\\{c}" for c in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
    }
)


def csv(frame: pd.DataFrame) -> str:
    """Eight decimals: enough that nothing is lost to rounding, few enough to be read."""
    return frame.to_csv(index=False, float_format="%.8f", lineterminator="\n")


def signed(value: float) -> str:
    """A difference in points, with a true minus sign and no negative zero."""
    return f"{round(value, 1) + 0.0:+.1f}".replace("-", "−")


def p_value(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def column_title(generator: str, n: int | None) -> str:
    return "avg" if n is None else f"{generator} @{n}"


def markdown(header: list[str], rows: list[list[str]], first_left: int = 1) -> str:
    """A pipe table; columns after the first ``first_left`` are right-aligned."""
    rules = [":--" if i < first_left else "--:" for i in range(len(header))]
    lines = [[h.replace("|", "\\|") for h in header], rules, *[[c.replace("|", "\\|") for c in r] for r in rows]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@dataclass(frozen=True, slots=True)
class _Marks:
    """How a format writes the best of a column, a number that cannot be told from it, and no number."""

    best: str
    tied: str
    none: str
    interval: bool


_MARKDOWN = _Marks("**{}**", "{}†", "–", interval=True)
# The dagger takes no room, so that the column's digits stay below each other.
_BOOKTABS = _Marks(r"\textbf{{{}}}", r"{}\rlap{{$^\dagger$}}", "--", interval=False)


def table1_markdown(table: Table1, note: str | None = None) -> str:
    """A pipe table and, below it, ``note`` (default: :func:`table1_note`)."""
    header = ["accuracy (%)", *(column_title(g, n) for g, n in table.columns)]
    rows = [[row.label, *_cells(table, i, _MARKDOWN)] for i, row in enumerate(table.rows)]
    return markdown(header, rows) + f"\n{table1_note(table) if note is None else note}\n"


def table1_note(table: Table1) -> str:
    """What the marks of a table mean; nothing is said of marks that it does not have."""
    parts = ["Accuracy in percent with 95 % bootstrap intervals over problems.", AVERAGE_NOTE]
    parts.append("Bold: best in its column, the oracle aside.")
    if table.tied:
        parts.append("†: cannot be told from it (the 95 % interval of the paired difference reaches 0).")
    return " ".join(parts)


AVERAGE_NOTE = "avg: mean over generators and the sizes n above 1."


def table1_latex(table: Table1) -> str:
    """A booktabs table and what its marks mean, for a ``table`` environment; needs the package booktabs alone."""
    generators = list(dict.fromkeys(g for g, n in table.columns if n is not None))
    sizes = [n for g, n in table.columns if n is not None and g == generators[0]]
    heads = " & ".join(rf"\multicolumn{{{len(sizes)}}}{{c}}{{{latex(g)}}}" for g in generators)
    rules = " ".join(
        rf"\cmidrule(lr){{{2 + i * len(sizes)}-{1 + (i + 1) * len(sizes)}}}" for i in range(len(generators))
    )
    subheads = " & ".join("avg" if n is None else f"@{n}" for _, n in table.columns)
    body = ""
    for i, row in enumerate(table.rows):
        # Rules without a reward model stand apart, before and after.
        if i and bool(row.chooser.reward_model) != bool(table.rows[i - 1].chooser.reward_model):
            body += "\\midrule\n"
        body += f"{latex(row.label)} & {' & '.join(_cells(table, i, _BOOKTABS))} \\\\\n"
    note = r"Accuracy (\%). Bold: best in its column" + (", the oracle aside." if _has_oracle(table) else ".")
    if table.tied:
        note += (
            r" $^\dagger$: cannot be told from it "
            r"(the 95\,\% bootstrap interval of the paired difference over problems reaches 0)."
        )
    return (
        f"\\begin{{tabular}}{{l{'r' * len(table.columns)}}}\n\\toprule\n"
        f" & {heads} & \\\\\n{rules}\n & {subheads} \\\\\n\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
        f"\\par\\smallskip{{\\footnotesize {note}\\par}}\n"
    )


def _has_oracle(table: Table1) -> bool:
    return any(row.chooser == ORACLE for row in table.rows)


def _cells(table: Table1, row: int, marks: _Marks) -> list[str]:
    found = []
    for column, cell in enumerate(table.rows[row].cells):
        if cell is None:
            found.append(marks.none)
            continue
        text = f"{100 * cell.mean:.1f}"
        if round(100 * cell.mean, 1) == table.best(column) and table.rows[row].chooser != ORACLE:
            text = marks.best.format(text)
        elif (row, column) in table.tied:
            text = marks.tied.format(text)
        if marks.interval and not math.isnan(cell.low):
            text += f" [{100 * cell.low:.1f}, {100 * cell.high:.1f}]"
        found.append(text)
    return found


def latex(text: str) -> str:
    return text.translate(_LATEX)


def place(generator: str, n: object) -> str:
    """Where a row of a comparison was measured."""
    if pd.isna(n):  # type: ignore[call-overload]
        return "avg"
    return f"{'average' if generator == AVERAGE else generator} @{n}"


def weighted_markdown(frame: pd.DataFrame) -> str:
    header = ["generator", "reward model", "best-of-n", "weighted", "majority"]
    header += ["weighted − best-of-n", "weighted − majority"]
    rows = [
        [
            *(place(r["generator"], r["n"]), r["reward_model"]),
            *(f"{r[k]:.1f}" for k in ("best_of_n", "weighted_best_of_n", "majority")),
            *(difference(r, k, f"{k}_low", f"{k}_high", f"{k}_p") for k in ("over_best_of_n", "over_majority")),
        ]
        for r in frame.to_dict("records")
    ]
    return markdown(header, rows, 2)


def comparisons_markdown(frame: pd.DataFrame) -> str:
    """One row per reward model, rival and n; one column per generator."""
    generators = list(dict.fromkeys(frame["generator"]))
    lines: dict[tuple[str, str, str], dict[str, str]] = {}
    for r in frame.to_dict("records"):
        n = "all" if pd.isna(r["n"]) else f"{r['n']}"
        lines.setdefault((r["reward_model"], r["against"], n), {})[r["generator"]] = (
            difference(r, "difference", "ci_low", "ci_high", "p_permutation") + f" ({p_value(r['p_holm'])})"
        )
    rows = [[*key, *(cells.get(g, "–") for g in generators)] for key, cells in lines.items()]
    return markdown(["reward model", "against", "n", *generators], rows, 3) + (
        "\nDifference in points of accuracy, best-of-n minus its rival, with its paired 95 % interval and the p of an "
        "exact McNemar or sign-flip permutation test; in parentheses p after Holm's correction for the comparisons of "
        "that generator and n. n = all: mean over generators and the sizes n above 1.\n"
    )


def difference(row: Mapping[Hashable, Any], value: str, low: str, high: str, p: str) -> str:
    return f"{signed(row[value])} [{signed(row[low])}, {signed(row[high])}] p {p_value(row[p])}"


def cost_ratio_markdown(frame: pd.DataFrame) -> str:
    """The breakdown as counted, and at the largest scale the ratio by steps and completions."""
    counted = frame[frame["counted"]]
    text = f"{LABELLED} against {YARDSTICK}, as counted: FLOPs and, in parentheses, their share of the total.\n\n"
    header = ["convention", "responses", "method", *DEVELOPMENT, "total", "ratio"]
    rows = []
    for r in counted.to_dict("records"):
        for method, prefix in ((LABELLED, ""), (YARDSTICK, "ce_")):
            total = r[f"{prefix}total"]
            amounts = [r[prefix + item] for item in DEVELOPMENT]
            parts = [f"{flops:.2e} ({100 * flops / total:.0f} %)" if flops else "–" for flops in amounts]
            ratio = f"{r['ratio']:.1f}" if method == LABELLED else "1"
            rows.append([_CONVENTION[r["convention"]], str(r["responses"]), method, *parts, f"{total:.2e}", ratio])
    text += markdown(header, rows, 3)
    largest = frame[frame["responses"] == frame["responses"].max()]
    for convention, part in largest.groupby("convention", sort=False):
        own = part[part["counted"]].iloc[0]
        text += (
            f"\nThe ratio with other steps per response (down) and completions per step (across), {own['responses']} "
            f"responses, {_CONVENTION[str(convention)]}; counted here: {own['steps']:.1f} steps, "
            f"{own['completions']} completions.\n\n"
        )
        grid = part.pivot(index="steps", columns="completions", values="ratio")
        rows = [[f"{steps:.3g}", *(f"{ratio:.1f}" for ratio in ratios)] for steps, ratios in grid.iterrows()]
        text += markdown(["steps", *map(str, grid.columns)], rows)
    return text


_CONVENTION = {"flops": "with attention and prompts", "plain_flops": "2 and 6 per weight and token"}


def beside_markdown(frame: pd.DataFrame, index: Index) -> str:
    """A row per published number."""
    header = ["published", "here", "generator", "n", "ours", "95 % interval", "theirs", "difference"]
    rows = [
        [
            *(r["published"], r["reward_model"] or "–", r["generator"]),
            "all" if pd.isna(r["n"]) else str(r["n"]),
            f"{r['ours']:.1f}",
            f"{r['ours_low']:.1f} to {r['ours_high']:.1f}",
            f"{r['theirs']:.1f}",
            signed(r["difference"]),
        ]
        for r in frame.to_dict("records")
    ]
    return markdown(header, rows, 3) + (
        f"\nOurs beside those of {index.source}: accuracy in percent, the difference in points. The interval is that "
        "of ours, over problems; none was published.\n"
    )
