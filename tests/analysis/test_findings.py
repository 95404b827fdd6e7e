"""The paper's findings: verdicts from intervals, and the claims that a run can decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain import plain_best_of_n
from results_folder import GENERATORS, write_results

from harness.analysis.evaluation import Evaluation
from harness.analysis.findings import Kind, Verdict, by_finding, findings, overall_verdict, verdict
from harness.analysis.inference import Interval
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
