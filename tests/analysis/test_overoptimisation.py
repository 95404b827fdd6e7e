"""Rows that fall with n: found, and told what is chosen there."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plain import plain_best_of_n
from results_folder import N_SAMPLES, write_results

from harness.analysis.estimators import expected_best_score
from harness.analysis.evaluation import Evaluation
from harness.analysis.overoptimisation import kl_bound
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
    rows = {(row.reward_model, row.generator): row for row in evaluation.peaks}
    row = rows["ce-4", "strong"]
    means = {n: plain_best_of_n(results, "ce-4", "strong", n).mean() for n in evaluation.accuracies.ns("strong")}
    assert (row.n, row.last, row.falls) == (N_SAMPLES, 0.0, True)
    assert row.peak == pytest.approx(max(means.values()))
    assert means[row.peak_n] == max(means.values())
    assert row.peak_low <= row.peak_n <= row.peak_high < N_SAMPLES
    assert row.change.mean == pytest.approx(-row.peak)
    assert row.change.p_holm >= row.change.p_permutation
    grades = results.grades[results.grades["generator"] == "strong"]
    counts = Counter(zip(grades["problem_id"], grades["answer_class"], strict=True))
    alone = [counts[p, c] == 1 for p, c in zip(grades["problem_id"], grades["answer_class"], strict=True) if c >= 0]
    assert row.unshared == 1.0
    assert row.unshared_at_random == pytest.approx(sum(alone) / len(grades))
    peaked_last = [row for row in rows.values() if row.peak_n == row.n]
    assert peaked_last and all(row.change.mean == 0.0 and not row.falls for row in peaked_last)

    write_report(folder)
    table = pd.read_csv(folder / "tables" / "overoptimisation.csv").set_index(["reward_model", "generator"])
    assert table.loc[("ce-4", "strong"), "unshared"] == 100.0
    assert len(table) == len(rows)
    page = (folder / "report.html").read_text()
    assert "Where accuracy falls with n" in page
    assert "More responses can make the choice worse: ce-4 falls from n = " in page


def test_the_score_of_what_is_chosen_rises(tmp_path: Path) -> None:
    """Against every subset of a problem's scores; and the table of a run has its mean."""
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, size=(5, 6)).astype(float)  # with ties
    plain = [[np.mean([max(s) for s in combinations(row, n)]) for row in scores] for n in (1, 2, 5, 6)]
    np.testing.assert_allclose(expected_best_score(scores, [1, 2, 5, 6]), plain)

    evaluation = Evaluation.of(load_results(write_results(tmp_path / "tiny")))
    chooser = next(iter(evaluation.choosers))
    matrix = np.concatenate([part for _, part in evaluation.accuracies.score_blocks("strong", chooser)])
    rows = [r for r in evaluation.score_curves if (r.generator, r.reward_model) == ("strong", chooser.reward_model)]
    assert [row.n for row in rows] == evaluation.accuracies.ns("strong")
    for row in rows:
        expected = np.mean([np.mean([max(s) for s in combinations(line, row.n)]) for line in matrix])
        assert row.score == pytest.approx(expected)
        assert row.in_deviations == pytest.approx((expected - matrix.mean()) / matrix.std())


@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_bound_on_the_divergence(n: int) -> None:
    """The best of n has density n q^(n - 1) over the quantiles q of one sample: its divergence by integration."""
    q = (np.arange(1_000_000) + 0.5) / 1_000_000
    density = n * q ** (n - 1)
    assert kl_bound(n) == pytest.approx(np.mean(density * np.log(density)), abs=1e-5)


def test_answers_that_no_other_response_has() -> None:
    classes = np.array([[0, 0, 1, -1], [2, 1, 0, 0], [-1, 3, -1, -1]])
    expected = [[False, False, True, False], [True, True, False, False], [False, True, False, False]]
    assert unshared(classes).tolist() == expected
