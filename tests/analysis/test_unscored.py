"""A run of which some responses have no score: accuracies, the table of them, and the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plain import plain_best_of_n
from results_folder import GENERATORS, N_PROBLEMS, N_SAMPLES, write_results

from harness.analysis.choosers import Chooser
from harness.analysis.compute_accuracies import compute_accuracies
from harness.core.records import StepScores
from harness.report.write import write_report
from harness.storage.arrow import to_records, to_table
from harness.storage.results import load_results
from harness.storage.shards import read_shard, write_shard

MODELS = ("log-likelihood", "ce-2", "ce-4", "ce-4-alone")
VERDICTS = {"read": 6, "unreadable": 3, "cut off": 1, "too long": 2}  # of each of two shards
REASON = "longer than the <512> tokens that the model reads"


def leave_unscored(folder: Path, reward_model: str, generator: str, share: float) -> int:
    """Take the scores from about a share of the responses; how many that are."""
    rng, count = np.random.default_rng(1), 0
    for path in sorted((folder / "scores" / reward_model / generator).glob("part-*.parquet")):
        rows = [
            replace(row, step_rewards=(), step_ends=(), n_tokens=0) if rng.random() < share else row
            for row in to_records(StepScores, read_shard(path))
        ]
        count += sum(not row.step_rewards for row in rows)
        write_shard(path, to_table(StepScores, rows), "key", {"unscored_because": REASON, "verdicts": VERDICTS})
    return count


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A written report, and how many responses of "weak" ce-2 has no score for. ce-4 has none for all of "strong"."""
    folder = write_results(tmp_path_factory.mktemp("results") / "tiny")
    count = leave_unscored(folder, "ce-2", "weak", 0.4)
    leave_unscored(folder, "ce-4", "strong", 1.0)
    write_report(folder)
    return folder, count


def test_accuracies_equal_enumeration(run: tuple[Path, int]) -> None:
    results = load_results(run[0])
    accuracies = compute_accuracies(results)
    for reward_model, generator in (("ce-2", "weak"), ("ce-4", "strong"), ("ce-2", "strong")):
        for n in (1, 4, 8):
            values = accuracies.values(generator, Chooser("best_of_n", reward_model, "min"), n)
            np.testing.assert_allclose(values, plain_best_of_n(results, reward_model, generator, n), atol=1e-12)


def test_the_table_has_every_pair_with_its_share(run: tuple[Path, int]) -> None:
    folder, count = run
    rows = pd.read_csv(folder / "tables" / "unscored.csv", keep_default_na=False)
    assert list(rows.columns) == ["generator", "reward_model", "n_responses", "unscored", "share", "reasons"]
    n = N_PROBLEMS * N_SAMPLES
    expected = {(g, m): (0, "") for g in GENERATORS for m in MODELS}
    expected |= {("weak", "ce-2"): (count, REASON), ("strong", "ce-4"): (n, REASON)}
    assert 0 < count < n
    for row in rows.itertuples():
        unscored, reasons = expected.pop((row.generator, row.reward_model))
        assert (row.n_responses, row.unscored, row.reasons) == (n, unscored, reasons)
        assert row.share == pytest.approx(100 * unscored / n)
    assert not expected


def test_the_page_says_so(run: tuple[Path, int]) -> None:
    folder, count = run
    page = (folder / "report.html").read_text()
    share = f"{100 * count / (N_PROBLEMS * N_SAMPLES):.2f}"
    assert f"ce-2 has no score for {share} % of the responses of weak" in page
    assert "ce-4 has no score for 100.00 % of the responses of strong" in page
    assert 'id="unscored"' in page and "longer than the &lt;512&gt; tokens" in page


def test_replies_without_a_verdict_are_counted(run: tuple[Path, int]) -> None:
    rows = pd.read_csv(run[0] / "tables" / "verdicts.csv").to_dict("records")
    counts = {"replies": 20, "read": 12, "unreadable": 6, "cut_off": 2, "too_long": 4, "share": 40.0}
    asked = [("weak", "ce-2"), ("strong", "ce-4")]
    assert rows == [{"generator": g, "reward_model": m, **counts} for g, m in asked]
    page = (run[0] / "report.html").read_text()
    assert "40.00 % of the replies of ce-2 about responses of weak" in page and 'id="verdicts"' in page


def test_a_run_with_all_scores_has_no_such_table(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "tiny")
    write_report(folder)
    assert not (folder / "tables" / "unscored.csv").exists()
    assert "no score" not in (folder / "report.html").read_text().partition("<script")[0]
