"""The paper's findings: verdicts from intervals, intervals over seeds, and the claims that a run can decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain import plain_best_of_n
from results_folder import GENERATORS, write_results
from scipy.stats import norm, t

from harness.analysis.evaluation import Evaluation
from harness.analysis.findings import Kind, Verdict, by_finding, findings, overall_verdict, verdict
from harness.analysis.inference import Bootstrap, Interval
from harness.analysis.seeds import Contrast
from harness.report.write import write_report
from harness.storage.results import load_results

TRAINED: dict[str, tuple[str, int]] = {
    "orm-0": ("ORM", 0),
    "orm-1": ("ORM", 1),
    "dpo-0": ("DPO", 0),
    "dpo-1": ("DPO", 1),
    "ce-0": ("CE", 0),
}


def entry(name: str, method: str, seed: int) -> dict[str, Any]:
    """The manifest's facts about a model trained on four responses, with a seed."""
    train = {"method": method, "base": "base", "responses": 4, "seed": seed, "objective": method.lower()}
    return {"token_passes": {"policy": f"trained/{name}", "reference": "base"}, "train": train, "trained_by": name}


@pytest.mark.parametrize(
    ("low", "high", "kind", "expected"),
    [
        (0.001, 0.2, "above", "agrees"),
        (-0.2, -0.001, "above", "disagrees"),
        (-0.1, 0.2, "above", "cannot tell"),
        (0.0, 0.2, "above", "cannot tell"),
        (-0.2, 0.009, "not above", "agrees"),
        (-0.2, 0.011, "not above", "cannot tell"),
        (0.001, 0.005, "not above", "disagrees"),
        (-0.2, -0.1, "not above", "agrees"),
    ],
)
def test_verdicts(low: float, high: float, kind: Kind, expected: Verdict) -> None:
    assert verdict(Interval((low + high) / 2, low, high, 100), kind) == expected


def test_where_only_seeds_differ_the_interval_is_students() -> None:
    """Problems that are all alike add nothing to the error: what is left is a t interval of the seeds' means."""
    means = np.array([0.02, 0.05, 0.08, 0.01])
    interval = Contrast(np.repeat(means[:, None], 50, axis=1)).interval(Bootstrap(50, 500, 0))
    low, high = t.interval(0.95, len(means) - 1, means.mean(), means.std(ddof=1) / np.sqrt(len(means)))
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_where_only_problems_differ_the_interval_is_the_means() -> None:
    """Seeds that agree on every problem are one training: the normal interval of a mean over many problems."""
    values = np.random.default_rng(0).normal(0.1, 0.4, size=2000)
    interval = Contrast(np.tile(values, (3, 1))).interval(Bootstrap(2000, 4000, 0))
    half = norm.ppf(0.975) * values.std(ddof=1) / np.sqrt(2000)
    assert (interval.low, interval.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03 * half)


def test_intervals_hold_what_they_promise() -> None:
    """Of experiments with a true difference of 0, random in problems and seeds, about 95 % have 0 in their interval."""
    rng = np.random.default_rng(1)
    bootstrap, inside, experiments = Bootstrap(60, 300, 0), 0, 400
    for _ in range(experiments):
        of_problems, of_seeds = rng.normal(0, 0.3, size=60), rng.normal(0, 0.05, size=3)
        interval = Contrast(of_problems + of_seeds[:, None] + rng.normal(0, 0.1, (3, 60))).interval(bootstrap)
        inside += interval.low <= 0 <= interval.high
    assert 0.92 < inside / experiments < 0.985


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = {name: entry(name, *training) for name, training in TRAINED.items()}
    return write_results(tmp_path_factory.mktemp("findings") / "run", models)


def test_claims_compare_trainings_seed_by_seed(folder: Path) -> None:
    results = load_results(folder)
    rows = findings(Evaluation.of(results))
    by_claim = {row.claim: row for row in rows}

    def overall(name: str) -> float:
        return float(np.mean([plain_best_of_n(results, name, g, n).mean() for g in GENERATORS for n in (4, 8)]))

    row = by_claim["DPO above ORM"]
    assert row.seeds == 2 and row.difference is not None
    differences = [overall(f"dpo-{seed}") - overall(f"orm-{seed}") for seed in (0, 1)]
    assert row.difference.mean == pytest.approx(np.mean(differences))
    assert by_claim["ORM above pass@1"].seeds == 2
    assert by_claim["CE above ORM"].seeds == 1  # CE was trained once: the same seed is compared
    only = by_claim["CE above ORM"].difference
    assert only is not None and only.mean == pytest.approx(overall("ce-0") - overall("orm-0"))
    assert "Math-Shepherd above pass@1" not in by_claim


def test_a_finding_is_as_good_as_its_worst_claim(folder: Path) -> None:
    for claims in by_finding(findings(Evaluation.of(load_results(folder)))).values():
        verdicts = {claim.verdict for claim in claims}
        expected = "disagrees" if "disagrees" in verdicts else "agrees" if verdicts == {"agrees"} else "cannot tell"
        assert overall_verdict(claims) == expected


def test_the_report_lists_them(folder: Path, tmp_path: Path) -> None:
    write_report(folder)
    text = (folder / "tables" / "findings.md").read_text()
    assert "| DPO above ORM |" in text
    assert "DPO above ORM" in (folder / "report.html").read_text()
    untrained = write_results(tmp_path / "untrained", {"log-likelihood": {"token_passes": {"policy": "base"}}})
    write_report(untrained)
    assert not (untrained / "tables" / "findings.csv").exists()


def test_a_change_of_the_data_is_one_claim_over_all_seeds(tmp_path: Path) -> None:
    models = {}
    for seed in (0, 1):
        models[f"dpo-{seed}"] = entry(f"dpo-{seed}", "DPO", seed)
        models[f"few-{seed}"] = entry(f"few-{seed}", "DPO", seed)
        models[f"few-{seed}"]["train"]["dedup"] = 0.5
    rows = findings(Evaluation.of(load_results(write_results(tmp_path / "tiny", models))))
    (row,) = (row for row in rows if row.finding == "De-duplicated responses are worse")
    assert (row.claim, row.seeds) == ("dpo-0 above few-0", 2)
