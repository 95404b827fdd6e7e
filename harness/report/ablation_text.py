"""Tables 2 to 5 as text: cells for Markdown and the page, and booktabs for LaTeX."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from harness.analysis.ablation_tables import AnalysisTable
from harness.report.text import difference, latex, markdown, p_value

_SET = str.maketrans({"−": "$-$", "–": "--", "<": "$<$", "\0": r"\textbf{", "\1": "}"})
_HEADS = {"training_data": "training data", "reward_model": "reward model"}


def shown(table: AnalysisTable, bold: str = "{}") -> pd.DataFrame:
    """The table as text, a column per column of the table; the best accuracy of each in ``bold``."""
    frame = table.frame
    cells = {_HEADS.get(name, name): frame[name].astype(str) for name in table.labels}
    for column in table.values:
        best = round(frame[column].max(), 1) if table.compares else None
        cells[column] = pd.Series([_value(row, column, best, bold) for row in frame.to_dict("records")])
    if table.compares:
        cells["difference"] = pd.Series([_difference(row) for row in frame.to_dict("records")])
    return pd.DataFrame(cells)


def analysis_markdown(table: AnalysisTable) -> str:
    cells = shown(table, "**{}**")
    return markdown([str(c) for c in cells], cells.to_numpy().tolist(), len(table.labels)) + f"\n{table.note}\n"


def analysis_latex(table: AnalysisTable) -> str:
    """A booktabs table and its note, for a ``table`` environment; needs the package booktabs alone."""
    marker = "\0{}\1"  # where bold goes, through escaping
    cells = shown(table, marker)
    lines = [[str(c) for c in cells], *cells.to_numpy().tolist()]
    head, *rows = (" & ".join(_latex(text) for text in line) + " \\\\\n" for line in lines)
    columns = "l" * len(table.labels) + "r" * (len(cells.columns) - len(table.labels))
    return (
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{head}\\midrule\n{''.join(rows)}\\bottomrule\n\\end{{tabular}}\n"
        f"\\par\\smallskip{{\\footnotesize {_latex(table.note)}\\par}}\n"
    )


def _latex(text: str) -> str:
    """Escaped, with what plain LaTeX does not set and the markers of bold replaced."""
    return latex(text).translate(_SET)


def _value(row: Mapping[Hashable, Any], column: str, best: float | None, bold: str) -> str:
    if pd.isna(row[column]):
        return "–"
    text = f"{row[column]:.1f}"
    text = bold.format(text) if round(row[column], 1) == best else text
    return text + (f" [{row[f'{column}_low']:.1f}, {row[f'{column}_high']:.1f}]" if f"{column}_low" in row else "")


def _difference(row: Mapping[Hashable, Any]) -> str:
    if pd.isna(row["difference"]):
        return "–"
    text = difference(row, "difference", "difference_low", "difference_high", "p")
    return f"{text} ({p_value(row['p_holm'])})"
