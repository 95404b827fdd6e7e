"""Figures made for a page's column are as wide as it."""

from __future__ import annotations

import pytest

from harness.report.figures.panels import LineEnd, new_figure, text_width
from harness.report.figures.style import styled


@pytest.mark.parametrize("column", [3.25, 5.5, 6.75])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 2), (2, 3)])
def test_figures_fill_the_column(column: float, rows: int, columns: int) -> None:
    labels = ["CE", "DPO"]
    with styled(column):
        panels = new_figure((2.5, 2.3), labels, panels=rows * columns, columns=columns)
    width, height = panels.figure.get_size_inches()
    assert width == pytest.approx(column)
    assert len(panels.axes) == rows * columns
    boxes = [axes.get_position() for axes in panels.axes]
    for i, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= 1 - (text_width(labels) + 0.125) / width and 0 <= box.y0 < box.y1 <= 1
        assert box.height * height == pytest.approx(2.3)
        assert not any(box.overlaps(other) for other in boxes[:i])


@pytest.mark.parametrize(("column", "n_panels"), [(2.0, 1), (3.25, 2), (6.75, 4)])
def test_long_names_stand_below_the_panels(column: float, n_panels: int) -> None:
    labels = [f"a rather long name, {i}" for i in range(5)]
    with styled(column):
        panels = new_figure((2.5, 2.3), labels, panels=n_panels, columns=n_panels)
        for axes in panels.axes:
            for label in labels[:0:-1]:  # of some nothing may be drawn
                axes.plot([0, 1], [0, 1], label=label)
        panels.name_lines([[LineEnd(label, 1.0, "black") for label in labels[1:]]] * n_panels)
        panels.figure.draw_without_rendering()
    (legend,) = panels.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == labels[1:]
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= panels.figure.bbox.x1 and box.y0 >= 0
    below = min(axes.get_tightbbox().y0 for axes in panels.axes)
    assert box.y1 <= below
    assert min(axes.get_position().width * column for axes in panels.axes) >= 0.99
    assert not any(axes.texts for axes in panels.axes)


def test_notes_are_wrapped_above_the_panels() -> None:
    note = "as many words as it takes to go on for more than one line of a narrow column"
    with styled(2.5):
        panels = new_figure((2.5, 2.3), ["CE"], notes=[note, "another"])
        figure, (axes,) = panels.figure, panels.axes
        figure.draw_without_rendering()
    (text,) = figure.texts
    assert text.get_text().split() == [*note.split(), "another"]
    assert text.get_text().endswith("\nanother") and text.get_text().count("\n") >= 2
    box = text.get_window_extent()
    assert box.x1 <= figure.bbox.x1 and axes.get_window_extent().y1 < box.y0 and box.y1 <= figure.bbox.y1


def test_without_a_column_figures_are_as_wide_as_suits_them() -> None:
    with styled(3.25):
        pass
    with styled():
        panels = new_figure((2.5, 2.3), panels=4, columns=2)
    assert len(panels.axes) == 4 and panels.figure.get_size_inches()[0] == pytest.approx(2 * (0.55 + 2.5 + 0.3))
