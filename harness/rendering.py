"""Tables as CSV, Markdown and LaTeX text."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from harness.accuracy import AVERAGE
from harness.tables import Row, Table1

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


def table1_markdown(table: Table1) -> str:
    header = ["accuracy (%)", *(column_title(g, n) for g, n in table.columns)]
    rows = [[row.label, *_marked(table, row, "**{}**", " [{:.1f}, {:.1f}]")] for row in table.rows]
    return markdown(header, rows) + f"\n{TABLE1_NOTE}\n"


TABLE1_NOTE = (
    "Accuracy in percent with 95 % bootstrap intervals over problems. avg: mean over generators and the sizes n "
    "above 1. Bold: best in its column, the oracle aside."
)


def table1_latex(table: Table1) -> str:
    """A booktabs table; the widths of the generators' heads follow from the columns."""
    generators = list(dict.fromkeys(g for g, n in table.columns if n is not None))
    sizes = [n for g, n in table.columns if n is not None and g == generators[0]]
    heads = " & ".join(rf"\multicolumn{{{len(sizes)}}}{{c}}{{{latex(g)}}}" for g in generators)
    rules = " ".join(
        rf"\cmidrule(lr){{{2 + i * len(sizes)}-{1 + (i + 1) * len(sizes)}}}" for i in range(len(generators))
    )
    subheads = " & ".join("avg" if n is None else f"@{n}" for _, n in table.columns)
    body = "".join(
        f"{latex(row.label)} & {' & '.join(_marked(table, row, chr(92) + 'textbf{{{}}}', ''))} \\\\\n"
        for row in table.rows
    )
    return (
        f"\\begin{{tabular}}{{l{'r' * len(table.columns)}}}\n\\toprule\n"
        f" & {heads} & \\\\\n{rules}\n & {subheads} \\\\\n\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
    )


def _marked(table: Table1, row: Row, bold: str, interval: str) -> list[str]:
    cells = []
    for column, cell in enumerate(row.cells):
        if cell is None:
            cells.append("–")
            continue
        text = f"{100 * cell.mean:.1f}"
        if round(100 * cell.mean, 1) == table.best(column) and row.label != "pass@n (oracle)":
            text = bold.format(text)
        cells.append(text + (interval.format(100 * cell.low, 100 * cell.high) if interval else ""))
    return cells


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
        lines.setdefault((r["reward_model"], r["against"], n), {})[r["generator"]] = difference(
            r, "difference", "ci_low", "ci_high", "p_permutation"
        )
    rows = [[*key, *(cells.get(g, "–") for g in generators)] for key, cells in lines.items()]
    return markdown(["reward model", "against", "n", *generators], rows, 3) + (
        "\nDifference in points of accuracy, best-of-n minus its rival, with its paired 95 % interval and the p of an "
        "exact or sign-flip permutation test. n = all: mean over generators and the sizes n above 1.\n"
    )


def difference(row: Mapping[Hashable, Any], value: str, low: str, high: str, p: str) -> str:
    return f"{signed(row[value])} [{signed(row[low])}, {signed(row[high])}] p {p_value(row[p])}"
