"""Several training seeds: intervals over problems and seeds, and the one row that a method then has."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain import plain_best_of_n
from results_folder import GENERATORS, REWARD_MODELS, write_results
from scipy.stats import norm, t

from harness.analysis.ablations import data_variations
from harness.analysis.compare import compare as compare_rewards
from harness.analysis.compute_accuracies import compute_accuracies
from harness.analysis.evaluation import Evaluation
from harness.analysis.headline_tables import comparisons, table1
from harness.analysis.inference import Bootstrap
from harness.analysis.seed_table import seed_table
from harness.analysis.seeds import BySeed, accuracy_intervals, compare, intervals, leads, seed_sd
from harness.report.write import write_report
from harness.storage.results import Results, load_results

DPO = "dpo (3 seeds)"


def test_where_only_seeds_differ_the_interval_is_students() -> None:
    """Problems that are all alike add nothing to the error: what is left is a t interval of the seeds' means."""
    means = np.array([0.02, 0.05, 0.08, 0.01])
    (interval,) = intervals(Bootstrap(50, 500, 0), [BySeed(np.repeat(means[:, None], 50, axis=1))])
    low, high = t.interval(0.95, len(means) - 1, means.mean(), means.std(ddof=1) / np.sqrt(len(means)))
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_where_only_problems_differ_the_interval_is_the_means() -> None:
    """Seeds that agree on every problem are one training: the normal interval of a mean over many problems."""
    values = np.random.default_rng(0).normal(0.1, 0.4, size=2000)
    bootstrap = Bootstrap(2000, 4000, 0)
    (interval,) = intervals(bootstrap, [BySeed(np.tile(values, (3, 1)))])
    half = norm.ppf(0.975) * values.std(ddof=1) / np.sqrt(2000)
    assert (interval.low, interval.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03 * half)
    (once,) = bootstrap.intervals(values[None])
    assert (interval.low, interval.high) == pytest.approx((once.low, once.high))


def test_one_training_has_the_interval_over_problems_to_the_bit() -> None:
    values = np.random.default_rng(0).random((4, 30))
    values[0, 3] = np.nan
    bootstrap = Bootstrap(30, 200, 0)
    rows = [BySeed(row[None]) for row in values]
    assert intervals(bootstrap, rows) == bootstrap.intervals(values)
    assert compare(bootstrap, rows[1:], rows[:-1]) == bootstrap.compare(values[1:], values[:-1])


@pytest.mark.parametrize(("n_seeds", "of_seeds", "of_both"), [(2, 0.0, 0.3), (3, 0.05, 0.1), (5, 0.02, 0.3)])
def test_intervals_hold_what_they_promise(n_seeds: int, of_seeds: float, of_both: float) -> None:
    """Of experiments with a true mean of 0, random in problems, seeds and both, about 95 % have 0 in their interval."""
    rng, n_problems, experiments = np.random.default_rng(1), 40, 400
    bootstrap = Bootstrap(n_problems, 200, 0)
    rows = [
        BySeed(
            rng.normal(0, 0.3, n_problems)
            + rng.normal(0, of_seeds, (n_seeds, 1))
            + rng.normal(0, of_both, (n_seeds, n_problems))
        )
        for _ in range(experiments)
    ]
    inside = np.mean([interval.low <= 0 <= interval.high for interval in intervals(bootstrap, rows)])
    assert 0.92 < inside < 0.985
    # Of an unpaired difference, where the other side was trained with seeds of its own.
    there, here = rows[::2], [BySeed(row.values, tuple(range(9, 9 + n_seeds))) for row in rows[1::2]]
    inside = np.mean([d.low <= 0 <= d.high for d in compare(bootstrap, there, here)])
    assert inside > 0.92  # two sides' seeds are joined as two intervals are: a little too wide


def test_what_seeds_add_is_a_component_of_variance() -> None:
    """Against the mean squares of a two-way layout: the seeds' less that of problems by seeds."""
    rng = np.random.default_rng(2)
    n_seeds, n_problems = 4, 400
    values = rng.normal(0.5, 0.3, n_problems) + rng.normal(0, 0.05, (n_seeds, 1))
    values += rng.normal(0, 0.3, (n_seeds, n_problems))
    bootstrap = Bootstrap(n_problems, 4000, 0)
    (both,), (problems,) = intervals(bootstrap, [BySeed(values)]), bootstrap.intervals(values.mean(axis=0)[None])
    residuals = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    by_seed = n_problems * values.mean(axis=1).var(ddof=1)
    by_both = (residuals**2).sum() / ((n_seeds - 1) * (n_problems - 1))
    added = t.ppf(0.975, n_seeds - 1) ** 2 * (by_seed - by_both) / (n_seeds * n_problems)
    assert both.high - both.mean == pytest.approx(np.hypot(problems.high - problems.mean, np.sqrt(added)), rel=0.01)
    assert both.mean - both.low == pytest.approx(np.hypot(problems.mean - problems.low, np.sqrt(added)), rel=0.01)
    assert seed_sd(bootstrap, BySeed(values)) == pytest.approx(values.mean(axis=1).std(ddof=1))


def test_p_and_interval_agree_and_pairs_are_of_one_seed() -> None:
    rng = np.random.default_rng(3)
    bootstrap = Bootstrap(30, 200, 0)
    common = rng.normal(0, 0.2, (3, 1))  # what the seeds do to both
    ours = [BySeed(rng.normal(0.03, 0.2, 30) + common + rng.normal(0, 0.05, (3, 30)), (0, 1, 2)) for _ in range(40)]
    theirs = BySeed(common + np.zeros((3, 30)), (0, 1, 2))
    differences = compare(bootstrap, ours, [theirs] * 40)
    left_out = [d.low > 0 or d.high < 0 for d in differences]
    assert 0 < sum(left_out) < 40
    assert [d.p_bootstrap < 0.05 for d in differences] == [d.p_permutation < 0.05 for d in differences] == left_out
    others = BySeed(theirs.values, (3, 4, 5))  # by chance the same: nothing says that they move together
    (unpaired,) = compare(bootstrap, ours[:1], [others])
    assert unpaired.mean == differences[0].mean and unpaired.high > differences[0].high + 0.1
    assert [(lead.low, lead.high) for lead in leads(bootstrap, ours[0], [theirs, others])] == [
        (d.low, d.high) for d in (differences[0], unpaired)
    ]


def test_an_accuracy_has_no_interval_beyond_0_and_1() -> None:
    rng, bootstrap = np.random.default_rng(5), Bootstrap(20, 200, 0)
    row = BySeed(np.clip(rng.normal(0.5, 0.1, 20) + np.array([[0.3], [-0.3]]), 0, 1))
    (anywhere,), (share,) = intervals(bootstrap, [row]), accuracy_intervals(bootstrap, [row])
    assert anywhere.low < 0 and anywhere.high > 1 and (share.low, share.high) == (0, 1)


def test_a_problem_counts_where_all_trainings_have_it() -> None:
    values = np.random.default_rng(4).random((3, 20))
    lacking = values.copy()
    lacking[1, :5] = np.nan
    bootstrap = Bootstrap(20, 200, 0)
    (interval,) = intervals(bootstrap, [BySeed(lacking)])
    assert (interval.n_problems, interval.mean) == (15, pytest.approx(values[:, 5:].mean()))
    assert seed_sd(bootstrap, BySeed(lacking)) == pytest.approx(values[:, 5:].mean(axis=1).std(ddof=1))


# --- a run ---------------------------------------------------------------------------------------------


def trained(name: str, method: str, seed: int, of: str | None, **train: Any) -> dict[str, Any]:
    facts = {"method": method, "base": "base", "responses": 4, "seed": seed, "objective": method.lower(), **train}
    passes = {"policy": f"trained/{name}", "reference": "base"}
    return {"token_passes": passes, "train": facts, "trained_by": name, "seeds_of": of}


MODELS = {
    "log-likelihood": REWARD_MODELS["log-likelihood"],
    **{name: trained(name, "DPO", seed, "dpo") for seed, name in enumerate(("dpo", "dpo-seed1", "dpo-seed2"))},
    **{name: trained(name, "NCA", seed, "nca") for seed, name in enumerate(("nca", "nca-seed1", "nca-seed2"))},
    "ce": trained("ce", "CE", 0, None),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("seeds") / "run", MODELS)


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return load_results(folder)


def test_a_method_is_one_row_with_the_mean_over_its_seeds(results: Results) -> None:
    evaluation = Evaluation.of(results)
    table = table1(evaluation)
    assert [row.label for row in table.rows][2:-1] == ["log-likelihood", DPO, "nca (3 seeds)", "ce"]
    row = table.rows[3]
    for (generator, n), cell in zip(table.columns[:-1], row.cells[:-1], strict=True):
        own = [plain_best_of_n(results, name, generator, n or 0).mean() for name in MODELS if name.startswith("dpo")]
        assert cell is not None and cell.mean == pytest.approx(np.mean(own))
    rows = {row.reward_model for row in comparisons(evaluation)}
    assert rows == {"log-likelihood", DPO, "nca (3 seeds)", "ce"}
    averages = [
        np.mean([plain_best_of_n(results, name, g, n).mean() for g in GENERATORS for n in (4, 8)])
        for name in MODELS
        if name.startswith("dpo")
    ]
    assert table.seed_sds[DPO] == pytest.approx(np.std(averages, ddof=1))
    (of_average,) = (r for r in seed_table(evaluation) if (r.reward_model, r.strategy, r.n) == (DPO, "best_of_n", None))
    assert (of_average.lowest, of_average.highest) == pytest.approx((min(averages), max(averages)))
    assert of_average.trainings == "dpo dpo-seed1 dpo-seed2" and of_average.seeds == 3
    assert of_average.accuracy.low <= of_average.problems_low < of_average.problems_high <= of_average.accuracy.high


def test_the_report_has_the_method_and_each_training(folder: Path) -> None:
    write_report(folder)
    with (folder / "tables" / "accuracy.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["strategy"] == "best_of_n" and row["n"] == "8"]
    own = {row["reward_model"]: row for row in rows if row["generator"] == "weak"}
    assert {"dpo", "dpo-seed1", "dpo-seed2", DPO} < own.keys()
    assert own[DPO]["seeds"] == "3" and own["dpo"]["seed_sd"] == ""
    alone = [float(own[name]["accuracy"]) for name in ("dpo", "dpo-seed1", "dpo-seed2")]
    assert float(own[DPO]["accuracy"]) == pytest.approx(np.mean(alone))
    assert float(own[DPO]["seed_sd"]) == pytest.approx(np.std(alone, ddof=1))
    assert "seed_sd" in (folder / "tables" / "table1.csv").read_text().splitlines()[0]
    assert DPO in (folder / "tables" / "table1.md").read_text() and DPO in (folder / "report.html").read_text()


def test_compare_takes_the_mean_over_seeds(results: Results) -> None:
    ours, theirs = (
        [plain_best_of_n(results, name, "weak", 8).mean() for name in MODELS if name.startswith(of)]
        for of in ("dpo", "nca")
    )
    found = compare_rewards(results, "dpo", "nca", n=8)
    assert (found.a, found.b) == (DPO, "nca (3 seeds)")
    assert (found.rows[0].a, found.rows[0].b) == pytest.approx((np.mean(ours), np.mean(theirs)))
    accuracies = compute_accuracies(results)
    alone = [compare_rewards(results, name, "ce", n=8).rows[0].a for name in ("dpo-seed0", "dpo-seed1", "dpo-seed2")]
    assert alone == pytest.approx(ours)  # one training alone
    assert compare_rewards(results, "dpo:min", "ce:min", n=8).rows[0].a == found.rows[0].a
    assert accuracies.seeds[DPO] == {0: "dpo", 1: "dpo-seed1", 2: "dpo-seed2"}


def test_a_training_that_failed_is_missing_from_the_mean(tmp_path: Path) -> None:
    failed = [{"stage": "score", "who": "dpo-seed2", "shard": "scores/dpo-seed2", "error": "no room"}]
    evaluation = Evaluation.of(load_results(write_results(tmp_path / "run", MODELS, quarantined=failed)))
    assert "dpo (2 seeds)" in evaluation.methods.values()
    failed += [{"stage": "score", "who": "dpo", "shard": "scores/dpo", "error": "no room"}]
    evaluation = Evaluation.of(load_results(write_results(tmp_path / "other", MODELS, quarantined=failed)))
    assert "dpo-seed1" in evaluation.methods.values() and "dpo-seed1" in {r.label for r in table1(evaluation).rows}


def test_seeds_are_no_change_of_the_data_and_make_nothing_usual(tmp_path: Path) -> None:
    """Three trainings of a variation do not outnumber two amounts of the usual data."""
    models = {
        "dpo-2": trained("dpo-2", "DPO", 0, None) | {"trained_by": "dpo-2"},
        "dpo-4": trained("dpo-4", "DPO", 0, None),
        **{
            name: trained(name, "DPO", seed, "few", dedup=0.5)
            for seed, name in enumerate(("few", "few-seed1", "few-seed2"))
        },
    }
    models["dpo-2"]["train"]["responses"] = 2
    evaluation = Evaluation.of(load_results(write_results(tmp_path / "run", models)))
    assert evaluation.trainings["dpo-4"].usual and not evaluation.trainings["few"].usual
    (variation,) = data_variations(evaluation)["dpo-4"]
    assert variation.reward_model == "few"
