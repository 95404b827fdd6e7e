"""How figures look: one colour and marker per method in all of them, direct labels, reproducible files.

Colours are Okabe and Ito's, which survive the common colour-vision deficiencies; markers and dashes repeat what
colour says, so that the figures read in grey.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

INK = "#222222"
MUTED = "#6b6b6b"
GRID = "#e4e4e4"
LABEL_SIZE = 7.0

_SLOTS = (
    ("#0072B2", "o"),
    ("#D55E00", "s"),
    ("#009E73", "^"),
    ("#AA4A85", "D"),
    ("#B37A00", "v"),
    ("#332288", "X"),
    ("#882255", ">"),
    ("#7A7A1F", "<"),
    ("#2F8FC4", "P"),
    ("#4D4D4D", "h"),
)
# The paper's methods keep their colours whatever else a run compares.
_RESERVED = {"DPO": 0, "CE": 1, "NCA": 2, "KTO": 3, "Math-Shepherd": 4, "AutoPSV": 5}

_NARROWEST = 1.0  # plot area, in inches
_MOST_LABELS = 0.3  # of a page's column: beyond, names stand below the panels
_LINE = 1.32 * LABEL_SIZE / 72  # of text, in inches
_HANDLE = 0.36  # what a legend shows of a line, with the space around it, in inches
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
        with mpl.rc_context(_RC):  # type: ignore[arg-type]
            yield
    finally:
        _column_width.reset(token)


@dataclass(frozen=True, slots=True)
class Look:
    """A method's colour and marker; ``hollow`` ones are dashed with empty markers."""

    color: str
    marker: str
    hollow: bool = False

    def line(self) -> dict[str, Any]:
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": (0, (4, 1.6)) if self.hollow else "-",
            "markerfacecolor": "white" if self.hollow else self.color,
            "markeredgecolor": self.color,
            "markeredgewidth": 1.1,
        }


def looks(families: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each family, in order of appearance; colours repeat after ten."""
    names = list(dict.fromkeys(families))
    taken = {_RESERVED[name] for name in names if name in _RESERVED}
    # Untrained reward models start after the paper's methods, so that both keep their colours side by side.
    free = [i for i in (*range(6, len(_SLOTS)), *range(6)) if i not in taken] or list(range(len(_SLOTS)))
    others = [name for name in names if name not in _RESERVED]
    slots = {name: _RESERVED[name] for name in names if name in _RESERVED}
    slots |= {name: free[i % len(free)] for i, name in enumerate(others)}
    return {name: _SLOTS[slot] for name, slot in slots.items()}


def new_figure(
    width: float,
    height: float,
    labels: Iterable[str] = (),
    rows: int = 1,
    columns: int = 1,
    left: float = 0.55,
    notes: Sequence[str] = (),
) -> tuple[Figure, list[Axes]]:
    """A figure on the Agg canvas with its panels, row by row; no global state is involved.

    Args:
        width, height: of a panel's plot area, in inches.
        labels: what :func:`label_ends` will write, to the right of each panel or, where that would leave too little of
            a page's column to the panels, below all of them.
        left: space for the y axis, in inches.
        notes: written above the panels, each from a line of its own.
    """
    labels = list(dict.fromkeys(labels))
    right, top, bottom, below = 0.3 + text_width(labels), 0.3, 0.5, 0.0
    n_panels = rows * columns
    if column := _column_width.get():

        def fitting(right: float) -> int:
            return max(1, min(columns, int(column / (left + _NARROWEST + right))))

        if fitting(right) * text_width(labels) > _MOST_LABELS * column:
            right, below = 0.15, _LINE * (0.5 + len(_legend_columns(labels, column)[0]))
        columns = fitting(right)
        rows, width = math.ceil(n_panels / columns), max(_NARROWEST, column / columns - left - right)
    cell = (left + width + right, top + height + bottom)
    lines = [line for note in notes for line in _wrapped(note, cell[0] * columns - left)]
    size = (cell[0] * columns, cell[1] * rows + below + _LINE * max(0, len(lines) - 1))
    figure = _LegendFigure(labels, figsize=size) if below else Figure(figsize=size)
    FigureCanvasAgg(figure)
    panels = []
    for i in range(n_panels):
        x, y = i % columns * cell[0] + left, (rows - 1 - i // columns) * cell[1] + bottom + below
        panels.append(figure.add_axes((x / size[0], y / size[1], width / size[0], height / size[1])))
    if lines:
        style: dict[str, Any] = {"fontsize": LABEL_SIZE, "color": MUTED, "linespacing": 1.32, "va": "top"}
        figure.text(left / size[0], 1 - 0.05 / size[1], "\n".join(lines), **style)
    return figure, panels


def _wrapped(text: str, width: float) -> list[str]:
    """A text in lines no wider than ``width`` inches, where its words are not."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width([f"{lines[-1]} {word}"]) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


class _LegendFigure(Figure):
    """One whose names stand in a legend below the panels, in the order of ``labels``."""

    def __init__(self, labels: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.labels = labels


def _legend_columns(labels: Sequence[str], width: float) -> list[list[str]]:
    """The labels in as many columns as fit, the first the longest."""
    for n in range(len(labels), 0, -1):
        columns = [list(column) for column in np.array_split(labels, n)]
        if n == 1 or sum(_HANDLE + text_width(column) for column in columns) <= width:
            break
    return columns


def text_width(labels: Iterable[str], size: float = LABEL_SIZE) -> float:
    """Width of the longest label, in inches."""
    font = FontProperties(family="DejaVu Sans", size=size)
    return max((TextPath((0, 0), text, prop=font).get_extents().x1 for text in labels if text), default=0.0) / 72


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions at least ``gap`` apart, near the given ones and within [low, high] where they fit."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    # Neighbours that are too close merge into clusters that sit around their members' mean.
    clusters: list[list[int]] = []
    centres: list[float] = []
    for i in order:
        clusters.append([i])
        centres.append(positions[i])
        while len(clusters) > 1 and centres[-1] - centres[-2] < gap * (len(clusters[-1]) + len(clusters[-2])) / 2:
            merged = clusters.pop()
            clusters[-1] += merged
            centres.pop()
            half = gap * (len(clusters[-1]) - 1) / 2
            mean = sum(positions[k] for k in clusters[-1]) / len(clusters[-1])
            centres[-1] = min(max(mean, low + half), high - half)
    placed = [0.0] * len(positions)
    for members, centre in zip(clusters, centres, strict=True):
        for k, i in enumerate(members):
            placed[i] = centre + gap * (k - (len(members) - 1) / 2)
    return placed


def label_ends(axes: Axes, ends: Sequence[tuple[str, float, str]], size: float = LABEL_SIZE) -> None:
    """Names at the right-hand ends of lines, moved apart vertically where they would overlap.

    Where a figure has no room for them, it gets a legend below its panels of what was drawn under these names.

    Args:
        ends: (text, y in data coordinates, colour). Call when the y limits are final.
    """
    if isinstance(axes.figure, _LegendFigure):
        _legend(axes.figure)
        return
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    # In fractions of the axes, so that it is right on logarithmic ones too.
    corner = axes.get_xlim()[0]
    data = [(corner, y) for _, y, _ in ends]
    heights = axes.transAxes.inverted().transform(axes.transData.transform(data))[:, 1].tolist()
    gap = size * 1.32 / (axes.get_window_extent().height / axes.figure.dpi * 72)
    places = spread(heights, gap, gap / 2, 1 - gap / 2)
    inch = axes.figure.dpi / axes.get_window_extent().width
    for (text, _, color), height, place in zip(ends, heights, places, strict=True):
        line = [1 + 0.04 * inch, 1 + 0.1 * inch]
        axes.plot(line, [height, place], transform=axes.transAxes, color=color, linewidth=0.6, clip_on=False)
        axes.text(
            1 + 0.125 * inch, place, text, transform=axes.transAxes, va="center", ha="left", fontsize=size, color=color
        )


def _legend(figure: _LegendFigure) -> None:
    """What the panels show so far, by its names."""
    for legend in list(figure.legends):
        legend.remove()
    drawn = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in figure.axes]
    handles = {label: handle for pairs in drawn for handle, label in pairs}
    labels = [label for label in figure.labels if label in handles]
    figure.legend(
        [handles[label] for label in labels],
        labels,
        loc="lower left",
        bbox_to_anchor=(0.0, 0.0),
        ncols=len(_legend_columns(labels, figure.get_figwidth())),
        fontsize=LABEL_SIZE,
        labelspacing=0.32,
        handlelength=2.2,
        handletextpad=0.5,
        columnspacing=0.9,
        borderpad=0.3,
        borderaxespad=0.0,
        frameon=False,
    )


def encode(figure: Figure, suffix: str) -> bytes:
    """The figure as pdf, png or svg, without clock readings: the same figure gives the same bytes."""
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(suffix)
    buffer = BytesIO()
    figure.savefig(buffer, format=suffix, metadata=metadata)
    return buffer.getvalue()


def figure_files(stem: str, figure: Figure) -> dict[str, bytes]:
    """What is written of a figure, by path in its folder: for papers and for everything else."""
    return {f"figures/{stem}.{suffix}": encode(figure, suffix) for suffix in ("pdf", "png")}
