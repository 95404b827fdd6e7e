"""Entries of selection rules: sweeps, files, and mistakes before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import UserError
from harness.experiment.entries import parse_spec
from harness.experiment.selection import selection_entries


def test_lists_are_sweeps_and_parameters_are_filled_in(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def any_of(scores, among: list[int] = [1], k: int = 2): return scores >= 0")
    file = f"{tmp_path / 'mine.py'}:any_of"
    entries = {"bests": {"type": "majority_of_best", "k": [2, 4]}, "mine": {"type": file, "among": [1, 2]}}
    assert selection_entries(entries.items()) == {
        "bests-2": {"type": "majority_of_best", "k": 2},
        "bests-4": {"type": "majority_of_best", "k": 4},
        "mine": {"type": file, "among": [1, 2], "k": 2},
    }
    specs = [parse_spec(text, "--rule") for text in ("soft_best_of_n:temperature=[0.5,1]", f"{file}:k=3")]
    assert list(selection_entries(specs, "--rule")) == ["soft_best_of_n-0.5", "soft_best_of_n-1", "any_of"]


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("a", {}, "evaluation.selection.a: type: missing"),
        ("a", {"type": "top_k_means"}, "evaluation.selection.a: no selection rule is named .*did you mean top_k_mean"),
        ("a", {"type": "top_k_mean"}, "evaluation.selection.a.k: missing"),
        ("a", {"type": "top_k_mean", "k": []}, "evaluation.selection.a: k: an empty list"),
        ("a", {"type": "top_k_mean", "k": 1, "replicas": 2}, "evaluation.selection.a: replicas: .* remove it"),
        ("a", {"type": "nowhere.py:rule"}, "evaluation.selection.a: .*nowhere.py: no such file"),
        ("majority", {"type": "majority"}, "majority.* already"),
        ("best_of_n", {"type": "best_of_n"}, "best_of_n is in every table already"),
        ("mean", {"type": "top_k_mean", "k": 1}, "mean is the name of an aggregation"),
        ("min_window_3", {"type": "top_k_mean", "k": 1}, "min_window_3 is the name of an aggregation"),
        ("a/b", {"type": "top_k_mean", "k": 1}, "cannot name a folder"),
        ("b", {"type": "top_k_mean", "k": [1, 2]}, "the name 'b-2' is taken by another rule"),
    ],
)
def test_mistakes_are_named_with_their_place(name: str, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        selection_entries([("b-2", {"type": "top_k_mean", "k": 2}), (name, entry)])
