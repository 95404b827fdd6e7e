"""Rows that fall with n: found, and told what is chosen there."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plain import plain_best_of_n
from results_folder import N_SAMPLES, write_results

from harness.analysis.evaluation import Evaluation
from harness.analysis.falls import falls
from harness.analysis.selection import unshared
from harness.core.records import Grade, StepScores
from harness.report.write import write_report
from harness.storage.arrow import to_records, to_table
from harness.storage.results import load_results
from harness.storage.shards import read_shard, write_shard


def misled(folder: Path) -> Path:
    """Lets ce-4 know every right response of "strong", and prefer to all of them one that is wrong in its own way."""
    right = set()
    for path in (folder / "grades" / "strong").glob("part-*.parquet"):
        rows = to_records(Grade, read_shard(path))
        rows = [
            replace(row, correct=False, extracted="99", reason="different", answer_class=99)
            if row.sample == N_SAMPLES - 1
            else row
            for row in rows
        ]
        right |= {(row.problem_id, row.sample) for row in rows if row.correct}
        write_shard(path, to_table(Grade, rows), "key")
    for path in (folder / "scores" / "ce-4" / "strong").glob("part-*.parquet"):
        rows = to_records(StepScores, read_shard(path))
        scores = [2.0 if r.sample == N_SAMPLES - 1 else float((r.problem_id, r.sample) in right) for r in rows]
        rows = [replace(row, step_rewards=(score, score)) for row, score in zip(rows, scores, strict=True)]
        write_shard(path, to_table(StepScores, rows), "key")
    return folder


def test_a_fall_is_found_and_explained(tmp_path: Path) -> None:
    folder = misled(write_results(tmp_path / "tiny"))
    results = load_results(folder)
    evaluation = Evaluation.of(results)
    (row,) = (row for row in falls(evaluation) if row.reward_model == "ce-4")
    means = {n: plain_best_of_n(results, "ce-4", "strong", n).mean() for n in evaluation.accuracies.ns("strong")}
    assert (row.generator, row.n, row.last) == ("strong", N_SAMPLES, 0.0)
    assert row.best == pytest.approx(max(means.values()))
    assert means[row.best_n] == max(means.values())
    assert row.change.mean == pytest.approx(-row.best)
    grades = results.grades[results.grades["generator"] == "strong"]
    counts = Counter(zip(grades["problem_id"], grades["answer_class"], strict=True))
    alone = [counts[p, c] == 1 for p, c in zip(grades["problem_id"], grades["answer_class"], strict=True) if c >= 0]
    assert row.unshared == 1.0
    assert row.unshared_at_random == pytest.approx(sum(alone) / len(grades))
    write_report(folder)
    table = pd.read_csv(folder / "tables" / "falls.csv")
    assert table.set_index(["reward_model", "generator"]).loc[("ce-4", "strong"), "unshared"] == 100.0
    assert "Where accuracy falls with n" in (folder / "report.html").read_text()


def test_answers_that_no_other_response_has() -> None:
    classes = np.array([[0, 0, 1, -1], [2, 1, 0, 0], [-1, 3, -1, -1]])
    expected = [[False, False, True, False], [True, True, False, False], [False, True, False, False]]
    assert unshared(classes).tolist() == expected
