"""Benchmarks beside best-of-N: rank correlations against libraries and enumeration, tables of a run, a run's models."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from results_folder import REWARD_MODELS, write_results
from runs import bonbench
from scipy.stats import kendalltau, spearmanr

from harness.analysis.evaluation import Evaluation
from harness.analysis.rank_agreement import Correlation, drawn_interval, kendall, permutation_p, spearman
from harness.report.figures.benchmarks import beside_best_of_n
from harness.report.figures.palette import Palette
from harness.report.freshness import mark_report
from harness.report.outputs import TABLES
from harness.report.summary import summary
from harness.storage.benchmarks import BenchmarkResults, Measured, read_benchmark, scores_key, write_benchmark
from harness.storage.results import load_results

VALUES = dict(zip(REWARD_MODELS, (0.3, 0.5, 0.7, 0.5), strict=True))


@pytest.mark.parametrize(("ours", "theirs"), [(spearman, spearmanr), (kendall, kendalltau)])
def test_correlations_are_those_of_scipy(ours: Correlation, theirs: object) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 4, (20, 6)).astype(float), rng.integers(0, 4, 6).astype(float)
    expected = [theirs(row, y).statistic for row in x]  # type: ignore[operator]
    assert ours(x, y) == pytest.approx(np.array(expected))
    assert np.isnan(ours(np.ones(6), y))


def test_p_counts_orders() -> None:
    x, y = np.array([1.0, 2.0, 2.0, 5.0]), np.array([0.1, 0.4, 0.3, 0.2])
    for correlation in (spearman, kendall):
        observed = abs(float(correlation(x, y)))
        reached = [abs(float(correlation(x, np.array(order)))) >= observed - 1e-9 for order in permutations(y)]
        assert permutation_p(x, y, correlation, 0) == pytest.approx(np.mean(reached))
    # Of ten reward models orders are drawn: that of the one order, and of its reverse, is hardly ever met.
    ten = np.arange(10.0)
    assert permutation_p(ten, ten**2, spearman, 0) <= 0.001
    assert np.isnan(permutation_p(np.ones(4), y, kendall, 0))


def test_the_interval_is_of_the_draws() -> None:
    rng = np.random.default_rng(1)
    drawn, y = rng.normal(size=(400, 5)), np.arange(5.0)
    drawn[0] = 1.0  # without an order
    expected = np.quantile([spearmanr(row, y).statistic for row in drawn[1:]], [0.025, 0.975])
    assert drawn_interval(drawn, y, spearman) == pytest.approx(tuple(expected))


def measured(folder: Path, names: list[str]) -> BenchmarkResults:
    return BenchmarkResults(
        benchmark="rm-bench",
        paper="",
        sources=["a.jsonl"],
        lines="",
        headlines=["average"],
        reward_models={
            name: Measured(key="", of_scores=scores_key(folder, name), values={"average": VALUES[name]}, n=3)
            for name in names
        },
    )


def test_the_report_lays_them_beside_best_of_n(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "tiny")
    write_benchmark(folder, measured(folder, list(VALUES)))
    evaluation = Evaluation.of(load_results(folder))
    accuracies = evaluation.accuracies
    outputs = {output.name: output for output in TABLES}
    table, agreement = (
        outputs[name].frame(outputs[name].make(evaluation)) for name in ("benchmarks", "benchmark_agreement")
    )
    assert len(table) == len(VALUES) * 3  # each generator and their average
    at = {}
    for row in table.itertuples():
        values = accuracies.values(str(row.generator), evaluation.first_choosers[str(row.reward_model)], 8)
        assert values is not None and row.n == 8
        assert row.best_of_n == pytest.approx(100 * values.mean()) and row.best_of_n_low <= row.best_of_n
        assert row.value == pytest.approx(100 * VALUES[str(row.reward_model)])
        at[row.generator, row.reward_model] = values
    agreement = agreement.set_index("generator")
    for generator in accuracies.generators:
        row = agreement.loc[generator]
        x = [at[generator, name].mean() for name in VALUES]
        assert row.spearman == pytest.approx(spearmanr(x, list(VALUES.values())).statistic)
        assert row.kendall == pytest.approx(kendalltau(x, list(VALUES.values())).statistic)
        assert row.n_models == 4 and -1 <= row.spearman_low <= row.spearman_high <= 1 and 0 < row.kendall_p <= 1
    figure = beside_best_of_n(evaluation, Palette.of(evaluation))
    assert figure is not None and [axes.get_title() for axes in figure.axes] == ["rm-bench average"]
    said = f"average of rm-bench {agreement.loc['average'].spearman:.2f} ("
    assert any(said in line for line in summary(evaluation, None))


def test_numbers_of_other_scores_are_left_out(tmp_path: Path) -> None:
    """As of a reward model that was trained again since. Two reward models have no rank correlation."""
    folder = write_results(tmp_path / "tiny")
    stored = measured(folder, ["ce-2", "ce-4", "log-likelihood"])
    old = stored.reward_models["ce-4"].model_copy(update={"of_scores": "of before"})
    write_benchmark(folder, stored.model_copy(update={"reward_models": {**stored.reward_models, "ce-4": old}}))
    beside = Evaluation.of(load_results(folder)).benchmarks
    assert {row.reward_model for row in beside.rows} == {"ce-2", "log-likelihood"}
    assert not beside.agreement and list(beside.outdated) == [("rm-bench", "ce-4")]


MINE = """
from harness import ComponentParams, RewardModel

class P(ComponentParams):
    letter: str = "a"

class Mine(RewardModel[P]):
    Params = P
    def score(self, batch):
        if self.params.letter == "x" and not any("2" in s.response.text for s in batch):
            raise RuntimeError("broken")
        return [self.record(s, (float(s.response.text.count(self.params.letter)),), None, 1) for s in batch]
"""


def test_the_reward_models_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is scored once; one that fails, and one that cannot be asked alone, cost no other."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    samples = [{"text": text, "step_scores": {"rec": [0.5]}, "steps": [text]} for text in ("a 2", "s 3", "aa t 2")]
    rows = [{"problem_id": str(i), "problem": f"{i}?", "gold": "2", "samples": samples} for i in range(3)]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "e.yaml").write_text(
        "{name: t, output: out, responses: r.jsonl, evaluation: {bootstrap: 20}, reward_models: {"
        "length: {type: length}, letter: {type: 'mine.py:Mine', letter: [a, t, x]}, "
        "both: {type: ensemble, of: [length, letter-a]}, "
        "rec: {type: recorded, path: r.jsonl}}}"
    )
    done = bonbench("run", "e.yaml", "--local", "--until", "score")
    assert done.code == 0, done.err
    row = {"domain": "math", "prompt": "?", "chosen": ["a", "aa", "aaa"], "rejected": ["t", "tt", "wrong"]}
    (tmp_path / "b.jsonl").write_text(json.dumps(row) + "\n")
    assert bonbench("benchmark", "rm-bench", "b.jsonl", "--results", "out").code == 0
    found = read_benchmark(Path("out"), "rm-bench")
    assert found is not None and list(found.reward_models) == ["length", "letter-a", "letter-t"]
    assert found.reward_models["letter-a"].values["average"] == 1.0
    assert found.reward_models["letter-t"].values["average"] == 0.0
    assert found.reward_models["length"].values["easy"] == 1.0
    assert "broken" in found.left_out["letter-x"] and "combines the scores" in found.left_out["both"]
    assert "recorded" in found.left_out["rec"]
    assert "1?" not in "".join(path.read_text() for path in Path("out/benchmarks").rglob("*.js*"))
    assert len(Evaluation.of(load_results(Path("out"))).benchmarks.rows) == 6
    mark_report(Path("out"), "of before")

    # A second call scores nothing: the reward model's file says the same under its key.
    answers = Path("out/benchmarks/rm-bench/letter-a.jsonl")
    before = answers.stat().st_mtime_ns
    again = bonbench("benchmark", "rm-bench", "b.jsonl", "--results", "out", "--json")
    assert answers.stat().st_mtime_ns == before and not Path("out/.report-key").exists()
    assert json.loads(again.out)["reward_models"] == json.loads(found.model_dump_json())["reward_models"]
    # Other lines: numbers of the former ones are gone.
    (tmp_path / "b.jsonl").write_text(json.dumps({**row, "rejected": ["aa", "aaa", "aaaa"]}) + "\n")
    bonbench("benchmark", "rm-bench", "b.jsonl", "--results", "out")
    other = read_benchmark(Path("out"), "rm-bench")
    assert other is not None and other.reward_models["letter-a"].values["normal"] == 0.0
    assert bonbench("benchmark", "rm-bench", "b.jsonl", "--results", "nowhere").err.count("\n") == 1
