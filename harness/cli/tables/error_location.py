"""What ProcessBench measures, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.streams.processbench import SubsetResult

_COLUMNS = ("", "solutions", "accuracy, wrong", "accuracy, right", "F1", "F1, own threshold (upper bound)")


_SHOWN_BAD_LINES = 20


def show_error_location(
    threshold: float, results: Sequence[SubsetResult], given: float | None = None, complaints: Sequence[str] = ()
) -> None:
    """Print a row for each subset, and the threshold, which was tuned on the first; the same at the ``given`` one;
    and the bad lines."""
    table = Table(box=None, pad_edge=False)
    at_given = () if given is None else tuple(f"{what} at {given:g}" for what in ("wrong", "right", "F1"))
    for column in (*_COLUMNS, *at_given):
        table.add_column(column, justify="right" if column else "left", overflow="fold")
    for r in results:
        values = [r.scores.wrong, r.scores.right, r.scores.f1, r.best.f1]
        if r.given is not None:
            values += [r.given.wrong, r.given.right, r.given.f1]
        table.add_row(Path(r.name).name, str(r.n), *(f"{100 * value:.1f}" for value in values))
    Console().print(table)
    for r in results:
        if r.unscored:
            name = Path(r.name).name
            print(f"{r.unscored} of the {r.n} solutions of {name} have no score and count as judged wrongly")
    if complaints:
        more = f"; and {n} more" if (n := len(complaints) - _SHOWN_BAD_LINES) > 0 else ""
        print(f"{len(complaints)} bad lines: {'; '.join(complaints[:_SHOWN_BAD_LINES])}{more}")
    print(f"threshold {threshold:.6g}, tuned on {results[0].name}")
