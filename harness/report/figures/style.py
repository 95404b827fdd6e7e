"""How figures look: fonts, inks and widths; and how they become files whose bytes depend on nothing else.

Colours and markers: ``palette``. Where panels and names stand: ``panels``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from io import BytesIO
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from harness.report.figures.fonts import fonts_cut_once

INK = "#222222"
MUTED = "#6b6b6b"
GRID = "#e4e4e4"
LABEL_SIZE = 7.0

_column_width: ContextVar[float | None] = ContextVar("column_width", default=None)

_RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": 200,
    "text.parse_math": False,  # names come from users and data files
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "bonbench",
}


@contextmanager
def styled(column_width: float | None = None) -> Iterator[None]:
    """Context in which figures are made and saved; the caller's settings are untouched.

    Args:
        column_width: of a page's column, in inches. Figures are as wide, with letters of the usual size; panels that
            do not fit side by side stand below each other. By default each figure is as wide as suits it.
    """
    token = _column_width.set(column_width)
    try:
        with mpl.rc_context(_RC), fonts_cut_once():  # type: ignore[arg-type]
            yield
    finally:
        _column_width.reset(token)


def column_width() -> float | None:
    """The width that :func:`styled` was given, in inches."""
    return _column_width.get()


def encode(figure: Figure, suffix: str) -> bytes:
    """The figure as pdf, png or svg, without clock readings: the same figure gives the same bytes."""
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(suffix)
    buffer = BytesIO()
    figure.savefig(buffer, format=suffix, metadata=metadata)
    return buffer.getvalue()


def figure_files(stem: str, figure: Figure) -> dict[str, bytes]:
    """What is written of a figure, by path in its folder: for papers and for everything else."""
    return {f"figures/{stem}.{suffix}": encode(figure, suffix) for suffix in ("pdf", "png")}
