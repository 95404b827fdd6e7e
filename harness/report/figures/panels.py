"""Figures of panels: where the panels stand, and how what they show is named.

Names stand at the ends of the lines. Where a page's column is too narrow for that, a legend below the panels has them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from harness.report.figures.style import LABEL_SIZE, MUTED, column_width

_NARROWEST = 1.0  # plot area, in inches
_MOST_LABELS = 0.3  # of a page's column: beyond, names stand below the panels
_LINE = 1.32 * LABEL_SIZE / 72  # of text, in inches
_HANDLE = 0.36  # what a legend shows of a line, with the space around it, in inches


class LineEnd(NamedTuple):
    """Where a line ends on the right: the text that names it, its y in data coordinates, and its colour."""

    text: str
    y: float
    color: str


@dataclass(frozen=True, slots=True)
class Panels:
    """A figure with its panels, row by row. ``below`` are the names for a legend below the panels, in its order."""

    figure: Figure
    axes: list[Axes]
    below: tuple[str, ...] = ()

    def name_lines(self, ends: Sequence[Sequence[LineEnd]]) -> None:
        """Name what the panels show. Call when the y limits are final.

        Args:
            ends: of the lines of each panel. A legend names everything that was drawn under a label.
        """
        if self.below:
            self._add_legend()
        else:
            for axes, of_panel in zip(self.axes, ends, strict=True):
                _name_beside(axes, of_panel)

    def _add_legend(self) -> None:
        drawn = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in self.axes]
        handles = {label: handle for pairs in drawn for handle, label in pairs}
        labels = [label for label in self.below if label in handles]
        self.figure.legend(
            [handles[label] for label in labels],
            labels,
            loc="lower left",
            bbox_to_anchor=(0.0, 0.0),
            ncols=len(_legend_columns(labels, self.figure.get_figwidth())),
            fontsize=LABEL_SIZE,
            labelspacing=0.32,
            handlelength=2.2,
            handletextpad=0.5,
            columnspacing=0.9,
            borderpad=0.3,
            borderaxespad=0.0,
            frameon=False,
        )


@dataclass(frozen=True, slots=True)
class _Layout:
    """A grid of panels. Lengths in inches: of a panel's plot area, of the space around it, and around all of them."""

    rows: int
    columns: int
    width: float
    height: float
    left: float
    right: float
    top: float = 0.3
    bottom: float = 0.5
    above: float = 0.0
    below: float = 0.0

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the figure."""
        return self.columns * self._cell[0], self.rows * self._cell[1] + self.above + self.below

    @property
    def _cell(self) -> tuple[float, float]:
        return self.left + self.width + self.right, self.top + self.height + self.bottom

    def place(self, panel: int) -> tuple[float, float, float, float]:
        """Left, bottom, width and height of a panel's plot area, in fractions of the figure."""
        row, column = divmod(panel, self.columns)
        x = column * self._cell[0] + self.left
        y = (self.rows - 1 - row) * self._cell[1] + self.bottom + self.below
        width, height = self.size
        return x / width, y / height, self.width / width, self.height / height


def new_figure(
    size: tuple[float, float],
    labels: Iterable[str] = (),
    *,
    panels: int = 1,
    columns: int = 1,
    left: float = 0.55,
    notes: Sequence[str] = (),
) -> Panels:
    """A figure on the Agg canvas with its panels; no global state is involved.

    Args:
        size: width and height of a panel's plot area, in inches. In a page's column the width is what fits.
        labels: the names that :meth:`Panels.name_lines` will write.
        panels: how many, row by row.
        columns: of panels; fewer where a page's column is too narrow.
        left: space for the y axis, in inches.
        notes: written above the panels, each from a line of its own.
    """
    labels = tuple(dict.fromkeys(labels))
    layout = _layout(size, labels, panels, columns, left)
    lines = [line for note in notes for line in _wrapped(note, layout.size[0] - left)]
    layout = replace(layout, above=_LINE * max(0, len(lines) - 1))
    figure = Figure(figsize=layout.size)
    FigureCanvasAgg(figure)
    axes = [figure.add_axes(layout.place(panel)) for panel in range(panels)]
    if lines:
        style: dict[str, Any] = {"fontsize": LABEL_SIZE, "color": MUTED, "linespacing": 1.32, "va": "top"}
        figure.text(left / layout.size[0], 1 - 0.05 / layout.size[1], "\n".join(lines), **style)
    return Panels(figure, axes, labels if layout.below else ())


def _layout(size: tuple[float, float], labels: Sequence[str], panels: int, columns: int, left: float) -> _Layout:
    """Names beside the panels; in a page's column below them where they would take too much of it."""
    rows = math.ceil(panels / columns)
    layout = _Layout(rows, columns, *size, left, right=0.3 + text_width(labels))
    column = column_width()
    if column is None:
        return layout

    def fitting(right: float) -> int:
        return max(1, min(columns, int(column / (left + _NARROWEST + right))))

    if fitting(layout.right) * text_width(labels) > _MOST_LABELS * column:
        legend_lines = len(_legend_columns(labels, column)[0])
        layout = replace(layout, right=0.15, below=_LINE * (0.5 + legend_lines))
    columns = fitting(layout.right)
    width = max(_NARROWEST, column / columns - left - layout.right)
    return replace(layout, rows=math.ceil(panels / columns), columns=columns, width=width)


def _wrapped(text: str, width: float) -> list[str]:
    """A text in lines no wider than ``width`` inches, where its words are not."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width([f"{lines[-1]} {word}"]) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _legend_columns(labels: Sequence[str], width: float) -> list[list[str]]:
    """The labels in as many columns as fit, the first the longest."""
    for n in range(len(labels), 0, -1):
        columns = [list(column) for column in np.array_split(labels, n)]
        if n == 1 or sum(_HANDLE + text_width(column) for column in columns) <= width:
            break
    return columns


def text_width(labels: Iterable[str], size: float = LABEL_SIZE) -> float:
    """Width of the longest label, in inches."""
    return max((_width(text, size) for text in labels if text), default=0.0)


@lru_cache(1000)
def _width(text: str, size: float) -> float:
    font = FontProperties(family="DejaVu Sans", size=size)
    return float(TextPath((0, 0), text, prop=font).get_extents().x1) / 72


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


def _name_beside(axes: Axes, ends: Sequence[LineEnd]) -> None:
    """Names to the right of a panel, moved apart vertically where they would overlap, each led to its line's end."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    if not ends:
        return
    # In fractions of the axes, so that it is right on logarithmic ones too.
    corner = axes.get_xlim()[0]
    data = [(corner, end.y) for end in ends]
    heights = axes.transAxes.inverted().transform(axes.transData.transform(data))[:, 1].tolist()
    gap = LABEL_SIZE * 1.32 / (axes.get_window_extent().height / axes.figure.dpi * 72)
    places = spread(heights, gap, gap / 2, 1 - gap / 2)
    inch = axes.figure.dpi / axes.get_window_extent().width
    for end, height, place in zip(ends, heights, places, strict=True):
        leader: dict[str, Any] = {"color": end.color, "linewidth": 0.6, "clip_on": False}
        axes.plot([1 + 0.04 * inch, 1 + 0.1 * inch], [height, place], transform=axes.transAxes, **leader)
        name: dict[str, Any] = {"color": end.color, "fontsize": LABEL_SIZE, "va": "center", "ha": "left"}
        axes.text(1 + 0.125 * inch, place, end.text, transform=axes.transAxes, **name)
