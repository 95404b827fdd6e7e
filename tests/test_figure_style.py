"""Figures made for a page's column are as wide as it."""

from __future__ import annotations

import pytest

from harness.figure_style import new_figure, styled, text_width


@pytest.mark.parametrize("column", [3.25, 5.5, 6.75])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 2), (2, 3)])
def test_figures_fill_the_column(column: float, rows: int, columns: int) -> None:
    labels = ["majority", "log-likelihood"]
    with styled(column):
        figure, panels = new_figure(2.5, 2.3, labels, rows, columns)
    width, height = figure.get_size_inches()
    assert width == pytest.approx(column)
    assert len(panels) == rows * columns
    boxes = [axes.get_position() for axes in panels]
    for i, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= 1 - (text_width(labels) + 0.125) / width and 0 <= box.y0 < box.y1 <= 1
        assert box.height * height == pytest.approx(2.3)
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_a_column_narrower_than_its_labels_leaves_room_to_draw() -> None:
    with styled(2.0):
        figure, (axes,) = new_figure(2.5, 2.3, ["a reward model with a rather long name, and more of it"])
    assert axes.get_position().width * figure.get_size_inches()[0] == pytest.approx(1.0)


def test_without_a_column_figures_are_as_wide_as_suits_them() -> None:
    with styled(3.25):
        pass
    with styled():
        figure, panels = new_figure(2.5, 2.3, (), 2, 2)
    assert len(panels) == 4 and figure.get_size_inches()[0] == pytest.approx(2 * (0.55 + 2.5 + 0.3))
