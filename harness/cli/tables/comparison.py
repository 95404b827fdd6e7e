"""A comparison for the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.analysis.choosers import AVERAGE
from harness.analysis.compare import Comparison
from harness.report.text import p_value, signed

_MOST = 999_999
_ENOUGH = (
    "shows: the smallest difference that so many problems show with 80 % power",
    "needs: how many would show A − B so; won : lost: problems on which A is better, and B",
)


def render(comparison: Comparison) -> RenderableType:
    """One screen for the terminal, at most 100 columns wide (problems are cut to the width there is)."""
    c = comparison
    rule = c.strategy.replace("_", "-")
    head = Text(f"A: {c.a}    B: {c.b}\n", style="bold")
    head.append(f"{rule} accuracy in percent, protocol {c.protocol}", style="not bold")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("generator", overflow="ellipsis", no_wrap=True)
    for name in ("n", "A", "B", "A − B", "95 % interval", "p", "shows", "needs", "won : lost"):
        table.add_column(name, justify="right", no_wrap=True)
    shown = ""
    for row in c.rows:
        d, where = row.difference, f"set {row.set}" if row.set else row.generator
        table.add_row(
            Text("" if where == shown else where),
            "all" if row.n is None else f"{row.n}",
            f"{100 * row.a:.1f}",
            f"{100 * row.b:.1f}",
            Text(signed(100 * d.mean), style="bold" if d.low > 0 or d.high < 0 else ""),
            f"{signed(100 * d.low)} to {signed(100 * d.high)}",
            p_value(d.p_permutation),
            "–" if row.power.detectable is None else f"{100 * row.power.detectable:.1f}",
            _count(row.power.needed),
            f"{d.won} : {d.lost} of {d.n_problems}",
        )
        shown = where
    parts: list[RenderableType] = [head, Text(), table]
    if any(row.n is None for row in c.rows):
        parts.append(Text("all: mean over these sizes, and over generators where there are several", style="dim"))
    parts += [Text(line, style="dim") for line in (*_ENOUGH, *c.notes)]
    if any(row.set for row in c.rows):
        parts.append(Text("Accuracies are means over the sets, each of which counts the same.", style="dim"))
    if c.problems:
        where = "averaged over generators" if any(row.generator == AVERAGE for row in c.rows) else c.rows[0].generator
        parts += [Text(), Text(f"Problems that differ most at n = {c.n}, {where} (A : B)", style="bold")]
        for p in c.problems:
            # Problems are data: shown as plain text, on one line, never as markup.
            line = f"{100 * p.a:3.0f} : {100 * p.b:<3.0f}  {p.problem_id}  {' '.join(p.problem.split())}"
            parts.append(Text(line, overflow="ellipsis", no_wrap=True))
    return Group(*parts)


def _count(problems: int | None) -> str:
    if problems is None:
        return "–"
    return f"{problems:,}" if problems <= _MOST else f"> {_MOST:,}"
