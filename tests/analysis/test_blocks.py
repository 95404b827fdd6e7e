"""A report of a large run goes over blocks of problems: what comes out does not depend on their size."""

from __future__ import annotations

import shutil
from dataclasses import astuple, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from results_folder import N_PROBLEMS, N_SAMPLES, write_results
from scipy.special import expit

from harness.analysis import inference, scores
from harness.analysis.compute_accuracies import compute_accuracies
from harness.analysis.diagnosis import mean_roc
from harness.analysis.evaluation import Evaluation
from harness.core.records import StepScores
from harness.report.outputs import TABLES
from harness.storage.arrow import to_table
from harness.storage.results import Results, load_results
from harness.storage.shards import shard_files, shard_path, write_shard


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Scores lie in other shards than responses, some problems in two, and of one problem a score is missing."""
    evaluation = {"n": [1, 4, 8], "aggregation": ["min", "mean"], "bootstrap": 200, "protocol": "subsets"}
    evaluation["selection"] = {
        "soft": {"type": "soft_best_of_n", "temperature": 1.0}
    }  # says nothing of the problem without a score
    models = {"ce-2": {}, "stated": {"score_type": "probability"}}
    folder = write_results(tmp_path / "tiny", models, evaluation=evaluation, second_verifier={"type": "math"})
    second = load_results(folder).grades.assign(correct=lambda grades: grades["sample"] % 3 == 0)
    for generator, grades in second.groupby("generator"):
        rows = pa.Table.from_pandas(grades, preserve_index=False)
        write_shard(shard_path(folder / "second-grades" / str(generator), 0), rows, "key")
    for model, cuts in (("ce-2", [1, 3, N_SAMPLES + 5, 2 * N_SAMPLES]), ("stated", [0, 7])):
        rows = [StepScores(**row) for row in load_results(folder).scores(model, "weak").to_pylist()]
        if model == "stated":
            rows = [replace(row, step_rewards=tuple(expit(row.step_rewards).tolist())) for row in rows]
        for path in shard_files(folder / "scores" / model / "weak"):
            path.unlink()
        for shard, (start, stop) in enumerate(pairwise([*cuts, len(rows)])):
            part = to_table(StepScores, rows[start:stop])
            write_shard(shard_path(folder / "scores" / model / "weak", shard), part, "key")
    shutil.rmtree(folder / "scores" / "stated" / "strong")
    return load_results(folder)


def test_intervals_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 9, 7))
    a[0, 3] = np.nan
    whole = inference.Bootstrap(7, 50, seed=0)
    expected = whole.intervals(a), whole.compare(a, b)
    monkeypatch.setattr(inference, "ROOM", 8 * 7 * 5)
    parts = inference.Bootstrap(7, 50, seed=0)
    for found, one in zip(parts.intervals(list(a)), expected[0], strict=True):
        np.testing.assert_allclose(astuple(found), astuple(one), rtol=1e-12)
    for ours, theirs in zip(parts.compare(a, b), expected[1], strict=True):
        np.testing.assert_allclose(astuple(ours), astuple(theirs), rtol=1e-12)


def test_accuracies_do_not_depend_on_blocks(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even of one problem, which may have no score. (Rounding may decide a tie of draws in an interval.)"""
    whole = compute_accuracies(results).rows
    monkeypatch.setattr(scores, "RESPONSES", N_SAMPLES)
    parts = compute_accuracies(results).rows
    assert whole.keys() == parts.keys()
    assert "soft" in {key.chooser.rule for key in whole}
    for key, values in whole.items():
        np.testing.assert_allclose(parts[key], values, rtol=1e-12)


def test_tables_do_not_depend_on_blocks(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Evaluation.of(results)
    monkeypatch.setattr(scores, "RESPONSES", 3 * N_SAMPLES + 1)
    parts = Evaluation.of(results)
    assert len(whole.accuracies.stored["weak"].blocks) == 1
    assert [b.stop - b.start for b in parts.accuracies.stored["weak"].blocks][:-1] == [3] * ((N_PROBLEMS - 1) // 3)
    made = set()
    for output in TABLES:
        tables = [table for e in (whole, parts) if (table := output.make(e)) is not None]
        if tables:
            expected, found = (output.frame(table) for table in tables)
            pd.testing.assert_frame_equal(found, expected, rtol=1e-12)
            made.add(output.name)
    assert made > {
        "accuracy",
        "answers",
        "calibration",
        "diagnosis",
        "responses",
        "score_curves",
        "selection",
        "verifiers",
    }
    for key in whole.accuracies.scored(whole.choosers):
        np.testing.assert_allclose(mean_roc(whole.accuracies, *key), mean_roc(parts.accuracies, *key), rtol=1e-12)
    for pair, percentiles in whole.accuracies.percentiles.items():
        np.testing.assert_array_equal(percentiles, parts.accuracies.percentiles[pair])
