"""Means over several problem sets: draws within each, and what is said of a set that another one does not change."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from results_folder import GENERATORS, write_results
from scipy.stats import bootstrap as scipy_bootstrap

from harness.analysis.choosers import AVERAGE, MAJORITY, Chooser
from harness.analysis.compare import compare
from harness.analysis.compute_accuracies import compute_accuracies
from harness.analysis.diagnosis import mean_roc
from harness.analysis.evaluation import Evaluation
from harness.analysis.headline_tables import table1
from harness.analysis.inference import Bootstrap
from harness.analysis.overoptimisation import peaks
from harness.analysis.rows import to_frame
from harness.analysis.set_table import by_set
from harness.core.errors import UserError
from harness.core.records import Problem, StepScores
from harness.report.outputs import TABLES, TableOutput
from harness.report.summary import summary
from harness.report.table_texts import sets_markdown, table1_latex, table1_markdown
from harness.storage.arrow import to_records, to_table
from harness.storage.results import Results, load_results
from harness.storage.shards import write_shard

SIZES = (7, 3, 15)
STRATA = np.repeat(np.arange(3), SIZES)[np.random.default_rng(5).permutation(25)]


def values(rows: int = 6, missing: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    drawn = rng.choice([0.0, 0.25, 1.0], size=(rows, 25)) ** (1 + STRATA)
    drawn[rng.random(drawn.shape) < missing] = np.nan
    return drawn


def macro(row: np.ndarray) -> float:
    """The mean over the sets that have values of the sets' means."""
    of_sets = [row[np.isfinite(row) & (s == STRATA)] for s in range(3)]
    return float(np.mean([own.mean() for own in of_sets if len(own)]))


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_a_single_set_has_the_draws_that_it_had_before_there_were_sets(method: str) -> None:
    plain = Bootstrap(25, 100, 3, method)  # type: ignore[arg-type]
    one = Bootstrap(25, 100, 3, method, np.zeros(25, dtype=np.int64))  # type: ignore[arg-type]
    rows = values(missing=0.2)
    assert plain.intervals(rows) == one.intervals(rows)
    assert plain.compare(rows, rows[::-1]) == one.compare(rows, rows[::-1])
    expected = np.random.default_rng([3, 25]).multinomial(25, np.full(25, 1 / 25), size=100) @ np.nan_to_num(rows).T
    present = np.random.default_rng([3, 25]).multinomial(25, np.full(25, 1 / 25), size=100) @ np.isfinite(rows).T
    assert plain.means(rows) == pytest.approx(expected / present)


def test_means_are_over_sets_and_draws_stay_within_them() -> None:
    bootstrap = Bootstrap(25, 300, 0, strata=STRATA)
    rows = values(missing=0.2)
    rows[0, STRATA == 1] = np.nan
    assert bootstrap.average(rows) == pytest.approx([macro(row) for row in rows])
    assert [i.mean for i in bootstrap.intervals(rows)] == pytest.approx([macro(row) for row in rows])
    # What differs between the sets alone does not move.
    constant = np.array([[0.2, 1.0, 0.6]]).take(STRATA, axis=1)
    assert np.ptp(bootstrap.means(constant)) < 1e-12
    interval = bootstrap.intervals(constant)[0]
    assert (interval.low, interval.high) == pytest.approx((0.6, 0.6))


def test_draws_have_the_distribution_of_all_draws_within_sets() -> None:
    """Two sets of two and three problems: all 2^2 * 3^3 draws."""
    one, other = np.array([0.1, 0.9]), np.array([0.0, 0.5, 0.7])
    every = sorted(
        (np.mean(a) + np.mean(b)) / 2 for a in product(one, repeat=2) for b in product(other, repeat=3)
    )  # fmt: skip
    drawn = Bootstrap(5, 40_000, 0, strata=np.array([0, 1, 1, 0, 1])).means(np.array([[0.1, 0.0, 0.5, 0.9, 0.7]]))
    assert drawn.mean() == pytest.approx(np.mean(every), abs=0.002)
    assert drawn.std() == pytest.approx(np.std(every), rel=0.02)
    for level in (0.1, 0.4, 0.8):
        assert np.mean(drawn <= np.quantile(every, level) + 1e-9) == pytest.approx(
            np.mean(np.array(every) <= np.quantile(every, level) + 1e-9), abs=0.01
        )


def test_bca_of_several_sets_is_that_of_scipy_with_several_samples() -> None:
    ours = Bootstrap(25, 999, 0, "bca", STRATA)
    for row in values():
        drawn = SimpleNamespace(bootstrap_distribution=ours.means(row[None])[:, 0])
        theirs = scipy_bootstrap(
            [row[s == STRATA] for s in range(3)],
            lambda *sets, axis: np.mean([own.mean(axis=axis) for own in sets], axis=0),
            n_resamples=0, bootstrap_result=drawn, method="BCa", vectorized=True,
        ).confidence_interval  # fmt: skip
        interval = ours.intervals(row[None])[0]
        assert (interval.low, interval.high) == pytest.approx((theirs.low, theirs.high))


def test_p_of_several_sets_is_that_of_all_sign_flips_of_the_mean_over_sets() -> None:
    """Also where each problem is simply won or lost: McNemar's test would count problems, whatever their set."""
    strata = np.array([0] * 7 + [1] * 2)
    for row in ([1, 1, 1, 1, 1, 0, -1, -1, -1], [0.5, 0.2, -0.1, 0.3, 0, 0.1, 0.4, -0.2, 0.6]):
        difference = np.array([row], dtype=np.float64)
        shares = np.where(strata == 0, 1 / 7, 1 / 2)
        flipped = np.array(list(product((-1, 1), repeat=9))) @ (difference[0] * shares)
        exact = np.mean(np.abs(flipped) >= abs(difference[0] @ shares) - 1e-9)
        found = Bootstrap(9, 100, 0, strata=strata).compare(difference, np.zeros_like(difference))[0]
        assert found.p_permutation == pytest.approx(exact, abs=0.015)


# --- a run ---------------------------------------------------------------------------------------------


def two_sets(folder: Path, **manifest: object) -> Path:
    """A run on eight problems of `math` and four of `aime`."""
    folder = write_results(folder, **manifest)
    problems = [p for path in sorted(folder.glob("problems/test/*")) for p in to_records(Problem, pq.read_table(path))]
    for name, rows in (("math", problems[:8]), ("aime", problems[8:])):
        write_shard(folder / "problems" / name / "part-00000.parquet", to_table(Problem, rows), "key")
    facts = json.loads((folder / "manifest.json").read_text())
    facts["problem_set"] = ["math", "aime"]
    (folder / "manifest.json").write_text(json.dumps(facts))
    return folder


def alone(folder: Path, name: str) -> Results:
    """The run on one of its sets."""
    results = load_results(folder)
    facts = results.manifest.model_copy(update={"problem_set": name})
    (folder / "manifest.json").write_text(facts.model_dump_json())
    try:
        return load_results(folder)
    finally:
        (folder / "manifest.json").write_text(results.manifest.model_dump_json())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_sets(tmp_path_factory.mktemp("sets") / "tiny")


@pytest.fixture(scope="module")
def evaluation(folder: Path) -> Evaluation:
    return Evaluation.of(load_results(folder))


@pytest.fixture(scope="module")
def of_sets(folder: Path) -> list[Evaluation]:
    return [Evaluation.of(alone(folder, name)) for name in ("math", "aime")]


_WHERE = ["generator", "reward_model", "strategy", "aggregation", "protocol", "n"]


def test_what_is_said_of_a_set_is_what_a_run_of_it_alone_says(folder: Path, evaluation: Evaluation) -> None:
    table = to_frame(evaluation.accuracies.table()).set_index("set")
    for name in ("math", "aime"):
        own = to_frame(compute_accuracies(alone(folder, name)).table())
        assert "set" not in own.columns
        pd.testing.assert_frame_equal(table.loc[name].reset_index(drop=True), own, check_exact=True)


def test_the_mean_over_sets_counts_each_the_same(evaluation: Evaluation) -> None:
    table = to_frame(evaluation.accuracies.table()).pivot(index=_WHERE, columns="set", values="accuracy")
    assert table[AVERAGE].to_numpy() == pytest.approx(((table["math"] + table["aime"]) / 2).to_numpy())
    counts = to_frame(evaluation.accuracies.table()).groupby("set")["n_problems"].unique()
    assert (list(counts["math"]), list(counts["aime"]), list(counts[AVERAGE])) == ([8], [4], [12])
    found = {(row.set, row.row): row.accuracy for row in by_set(evaluation)}
    assert found[AVERAGE, "ce-4"].mean == pytest.approx((found["math", "ce-4"].mean + found["aime", "ce-4"].mean) / 2)
    # Everything else that is called accuracy is this mean.
    accuracies = evaluation.accuracies
    chooser = Chooser("best_of_n", "ce-4", "min")
    for row in peaks(accuracies, evaluation.choosers):
        if row.reward_model == "ce-4":
            assert row.last == accuracies.curve(row.generator, chooser)[row.n].mean
    overall = accuracies.overall(chooser)
    assert overall is not None
    assert accuracies.mean(overall) == pytest.approx((overall[:8].mean() + overall[8:].mean()) / 2)


def test_what_says_why_is_a_mean_over_sets_too(evaluation: Evaluation, of_sets: list[Evaluation]) -> None:
    one, other = of_sets
    chooser = Chooser("best_of_n", "ce-4", "min")
    for generator in GENERATORS:
        curves = [mean_roc(of.accuracies, generator, chooser) for of in (one, other)]
        assert mean_roc(evaluation.accuracies, generator, chooser) == pytest.approx(sum(curves) / 2)
    for whole, *rows in zip(evaluation.diagnosis, one.diagnosis, other.diagnosis, strict=True):
        for name in ("auroc", "best_of_4"):
            assert getattr(whole, name).mean == pytest.approx(sum(getattr(row, name).mean for row in rows) / 2)
        for name in ("length_right", "length_wrong", "differs", "unshared", "unshared_at_random"):
            known = [value for row in rows if np.isfinite(value := getattr(row, name))]
            assert getattr(whole, name) == pytest.approx(np.mean(known) if known else np.nan, nan_ok=True)
    for whole_at, *of_sets_at in zip(evaluation.score_curves, one.score_curves, other.score_curves, strict=True):
        assert whole_at.score == pytest.approx(sum(row.score for row in of_sets_at) / 2)
        assert whole_at.accuracy.mean == pytest.approx(sum(row.accuracy.mean for row in of_sets_at) / 2)


#: What is counted over all problems or responses, and where the best n is another in each set.
_POOLED = {"n_problems", "won", "lost", "in_deviations", "pair_accuracy", "right_there", "majority_right_there"}
_POOLED |= {"peak_n", "peak", "change"}
_BOUND = ("_low", "_high", "_p", "_p_holm")


@pytest.mark.parametrize("output", TABLES, ids=lambda output: output.name)
def test_every_number_of_every_table_is_the_mean_over_sets_or_known_to_be_a_count(
    output: TableOutput, evaluation: Evaluation, of_sets: list[Evaluation]
) -> None:
    """A mean over all problems, whatever their set, would differ: the sets have eight and four."""
    made = [output.make(of) for of in (evaluation, *of_sets)]
    if any(table is None for table in made):
        return
    whole, *parts = (output.frame(table) for table in made)
    if "set" in whole.columns:
        whole = whole[whole["set"] == AVERAGE].drop(columns="set").reset_index(drop=True)
    numbers = [c for c in whole.columns if pd.api.types.is_numeric_dtype(whole[c]) and c not in _POOLED]
    for name in numbers:
        is_bound = name.endswith(_BOUND) or name.startswith(("p_", "ci_"))
        if is_bound or any(len(part) != len(whole) for part in parts):
            continue
        expected = pd.concat([part[name].astype(float) for part in parts], axis=1).mean(axis=1)
        assert whole[name].astype(float).to_numpy() == pytest.approx(expected.to_numpy(), nan_ok=True), name


def test_comparisons_are_of_means_over_sets_and_then_set_by_set(folder: Path, evaluation: Evaluation) -> None:
    found = compare(evaluation.results, "ce-4", "majority", n=4)
    assert [(row.generator, row.set) for row in found.rows] == [
        *((g, "") for g in (*GENERATORS, AVERAGE)), (AVERAGE, "math"), (AVERAGE, "aime"),
    ]  # fmt: skip
    *_, mean, math, aime = found.rows
    for side in ("a", "b"):
        assert getattr(mean, side) == pytest.approx((getattr(math, side) + getattr(aime, side)) / 2)
    assert mean.difference.mean == pytest.approx(mean.a - mean.b)
    for row in (math, aime):
        expected = compare(alone(folder, row.set), "ce-4", "majority", n=4).rows[-1]
        assert (row.a, row.b, row.difference) == (expected.a, expected.b, expected.difference)


def test_texts_say_what_the_numbers_are_means_of(evaluation: Evaluation) -> None:
    note = "Accuracies are means over the sets math and aime, each of which counts the same."
    table = evaluation.accuracies
    assert note in summary(evaluation, None)
    assert note in table1_markdown(table1(evaluation)) and note in table1_latex(table1(evaluation))
    lines = sets_markdown(by_set(evaluation)).splitlines()
    assert lines[0] == "| accuracy (%), average @8 | math | aime | mean over sets |"
    majority = table.interval(table.rows[next(k for k in table.rows if k[:2] == (AVERAGE, MAJORITY) and k.n == 8)])
    assert lines[3].startswith("| majority |") and f"| {100 * majority.mean:.1f} [" in lines[3]


def forget(folder: Path, reward_model: str, generator: str) -> None:
    """Take a reward model's scores of `aime` away."""
    for path in (folder / "scores" / reward_model / generator).glob("part-*.parquet"):
        rows = [row for row in to_records(StepScores, pq.read_table(path)) if row.problem_id < "p08"]
        write_shard(path, to_table(StepScores, rows), "key")


def test_a_reward_model_that_lacks_a_set_has_no_mean_over_sets(tmp_path: Path) -> None:
    """A mean over the easier sets alone would stand above all others."""
    folder = two_sets(tmp_path / "tiny")
    for generator in GENERATORS:
        forget(folder, "ce-2", generator)
    forget(folder, "ce-4", "weak")
    evaluation = Evaluation.of(load_results(folder))
    why = "it has no scores of aime, so there is no mean over sets"
    assert [(row.reward_model, row.why) for row in evaluation.left_out] == [("ce-2", why)]
    found = {(row.set, row.row) for row in by_set(evaluation)}
    assert {name for name, row in found if row == "ce-2"} == {name for name, row in found if row == "ce-4"} == {"math"}
    assert {name for name, row in found if row == "log-likelihood"} == {"math", "aime", AVERAGE}
    accuracies, chooser = evaluation.accuracies, Chooser("best_of_n", "ce-4", "min")
    assert accuracies.values("weak", chooser, 8) is None and accuracies.values("strong", chooser, 8) is not None
    assert ("weak", chooser) not in accuracies.scored(evaluation.choosers)
    assert evaluation.diagnosis and evaluation.score_curves and evaluation.peaks
    with pytest.raises(UserError, match=f"ce-2 is left out: {why}"):
        compare(evaluation.results, "ce-2", "majority", n=4)
    with pytest.raises(UserError, match="no scores of ce-4 for every problem set with the responses of weak"):
        compare(evaluation.results, "ce-4", "majority", n=4)
