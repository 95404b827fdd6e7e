"""Numbers, CSV, Markdown and LaTeX as text: the one writer of each, for all tables."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.analysis.choosers import AVERAGE
from harness.analysis.inference import Difference

_LATEX = str.maketrans(
    {
        **{c: f"\\{c}" for c in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        # What plain LaTeX does not set.
        "−": "$-$",
        "–": "--",
        "<": "$<$",
    }
)


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction in percent, without the sign."""
    return f"{100 * fraction:.{digits}f}"


def signed(points: float) -> str:
    """A difference in points, with a true minus sign and no negative zero."""
    return f"{round(points, 1) + 0.0:+.1f}".replace("-", "−")


def signed_percent(fraction: float) -> str:
    """A difference of fractions in points (see :func:`signed`)."""
    return signed(100 * fraction)


def p_value(p: float) -> str:
    """A p with three decimals; below 0.001 that alone."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def difference(d: Difference, with_holm: bool = False) -> str:
    """A difference in points with its interval and its p; in parentheses, where asked for, the corrected p."""
    text = f"{signed_percent(d.mean)} [{signed_percent(d.low)}, {signed_percent(d.high)}] p {p_value(d.p_permutation)}"
    return f"{text} ({p_value(d.p_holm)})" if with_holm else text


def place(generator: str, n: int | None) -> str:
    """Where a row of a comparison was measured; without n in the average over generators and n."""
    if n is None:
        return "avg"
    return f"{'average' if generator == AVERAGE else generator} @{n}"


def csv(frame: pd.DataFrame) -> str:
    """Eight decimals: enough that nothing is lost to rounding, few enough to be read."""
    return frame.to_csv(index=False, float_format="%.8f", lineterminator="\n")


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], first_left: int = 1) -> str:
    """A pipe table; columns after the first ``first_left`` are right-aligned."""
    rules = [":--" if i < first_left else "--:" for i in range(len(header))]
    lines = [[h.replace("|", "\\|") for h in header], rules, *[[c.replace("|", "\\|") for c in r] for r in rows]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex(text: str) -> str:
    """Plain text as LaTeX sets it."""
    return text.translate(_LATEX)


def latex_row(cells: Sequence[str]) -> str:
    """A line of a LaTeX table, from cells in LaTeX."""
    return f"{' & '.join(cells)} \\\\\n"


def booktabs(alignment: str, head: str, body: str, note: str) -> str:
    """A booktabs table and a note below it, for a ``table`` environment; needs the package booktabs alone.

    Args:
        alignment: a letter per column.
        head, body: lines in LaTeX (see :func:`latex_row`).
        note: in LaTeX.
    """
    return (
        f"\\begin{{tabular}}{{{alignment}}}\n\\toprule\n{head}\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
        f"\\par\\smallskip{{\\footnotesize {note}\\par}}\n"
    )
