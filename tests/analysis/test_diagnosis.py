"""The numbers of a run's diagnosis, against plain counting over its stored responses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from results_folder import write_results

from harness.analysis.calibration import calibration_error, reliability
from harness.analysis.diagnosis import disagreement
from harness.analysis.evaluation import Evaluation
from harness.analysis.samples import Samples
from harness.report.write import write_report
from harness.storage.results import load_results


def test_a_row_says_what_the_stored_results_say(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "tiny")
    evaluation = Evaluation.of(load_results(folder))
    rows = {(row.generator, row.reward_model): row for row in evaluation.diagnosis}
    assert set(rows) == {(g, label) for g in evaluation.accuracies.generators for label in evaluation.choosers.values()}
    chooser, label = next((c, label) for c, label in evaluation.choosers.items() if label == "ce-4")
    row = rows["strong", label]
    scores = np.concatenate([part for _, part in evaluation.accuracies.score_blocks("strong", chooser)])
    correct = evaluation.accuracies.samples["strong"].correct
    areas, ordered, total = [], 0, 0
    for line, right in zip(scores, correct, strict=True):
        compared = [(a > b) + (a == b) / 2 for a in line[right] for b in line[~right]]
        areas += [np.mean(compared)] if compared else []
        ordered += sum(a > b for a in line[right] for b in line[~right])
        total += len(compared)
    assert row.auroc.mean == pytest.approx(np.mean(areas))
    assert row.auroc.low <= row.auroc.mean <= row.auroc.high
    assert row.auroc.n_problems == len(areas)
    assert row.pair_accuracy == pytest.approx(ordered / total)

    write_report(folder)
    table = pd.read_csv(folder / "tables" / "diagnosis.csv").set_index(["generator", "reward_model"])
    assert table.loc[("strong", label), "auroc"] == pytest.approx(100 * row.auroc.mean, abs=1e-3)
    assert 'id="diagnosis"' in (folder / "report.html").read_text()
    assert (folder / "figures" / "roc.png").is_file()
    assert (folder / "figures" / "overoptimisation.png").is_file()


def test_where_the_choice_is_not_the_majoritys() -> None:
    classes = np.array([[0, 0, 1, -1], [0, 0, 1, 1], [0, 0, 1, 1], [-1, -1, -1, -1]])
    correct = np.array(
        [[False, False, True, False], [True, True, False, False], [True, True, False, False], [False] * 4]
    )
    scores = np.array([[0.0, 0.0, 9.0, 1.0], [5.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    samples = Samples(correct, classes, np.ones(4, bool), np.zeros(4, bool))
    found = disagreement(scores, samples, np.ones(4, bool))
    # The second and third problems have two answers as often; the third is chosen at random too.
    np.testing.assert_allclose(found.differs, [1.0, 0.5, 0.5, np.nan])
    np.testing.assert_allclose(found.right, [1.0, 0.5, 0.25, np.nan])
    np.testing.assert_allclose(found.majority_right, [0.0, 0.0, 0.25, np.nan])


def test_calibration() -> None:
    probabilities = np.array([0.0, 0.05, 0.62, 0.68, 1.0])
    correct = np.array([False, True, True, False, True])
    bins = reliability(probabilities, correct)
    assert [(one.low, one.n_responses, one.right) for one in bins] == [(0.0, 2, 0.5), (0.6, 2, 0.5), (0.9, 1, 1.0)]
    assert calibration_error(bins) == pytest.approx((2 * 0.475 + 2 * 0.15 + 0.0) / 5)
    # A model that says what is so: no error but that of chance.
    rng = np.random.default_rng(0)
    stated = rng.random(200_000)
    assert calibration_error(reliability(stated, rng.random(200_000) < stated)) < 0.005
