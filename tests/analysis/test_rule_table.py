"""Selection rules of a results folder: their rows, comparisons, and those that cannot be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from results_folder import GENERATORS, REWARD_MODELS, write_results

from harness.analysis.choosers import AVERAGE, Chooser
from harness.analysis.compare import compare
from harness.analysis.compute_accuracies import compute_accuracies
from harness.analysis.evaluation import Evaluation
from harness.analysis.headline_tables import table1
from harness.analysis.rows import to_frame
from harness.analysis.rule_entries import adds_rules
from harness.analysis.rule_table import rule_table
from harness.cli import main
from harness.cli.exit_codes import ExitCode
from harness.core.errors import UserError
from harness.report import write
from harness.report.freshness import report_is_fresh
from harness.report.summary import rule_lines, rules_left_out_lines
from harness.storage.results import Results, load_results

SELECTION: dict[str, dict[str, Any]] = {
    "bests": {"type": "majority_of_best", "k": 2},
    "soft": {"type": "soft_best_of_n", "temperature": 0.5},
}
MINE = "from pathlib import Path\nimport numpy as np\n" + (
    "def lowest(scores): return scores == scores.min(axis=1, keepdims=True)\n"
    "def negative(scores): return -np.ones(scores.shape)\n"
    "Path(__file__).with_suffix('.ran').touch()\n"
)


def with_rules(folder: Path, selection: dict[str, dict[str, Any]] = SELECTION, **manifest: Any) -> Path:
    evaluation = {"n": [1, 4, 8], "bootstrap": 50, "protocol": ["subsets", "first_n"], "selection": selection}
    return write_results(folder, evaluation=evaluation, **manifest)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return load_results(with_rules(tmp_path_factory.mktemp("rules") / "tiny"))


def test_a_rule_is_a_row_like_a_reward_model(results: Results) -> None:
    evaluation = Evaluation.of(results)
    frame = to_frame(evaluation.accuracies.table())
    rows = frame[frame["strategy"].isin(SELECTION)]
    places = ["generator", "reward_model", "aggregation", "protocol", "n"]
    plain = frame[frame["strategy"] == "best_of_n"]
    assert sorted(map(tuple, rows[places].to_numpy())) == sorted(2 * list(map(tuple, plain[places].to_numpy())))
    # Of one response every rule takes that one, and with the first eight of eight both protocols agree.
    assert rows[rows["n"] == 1].groupby(["generator", "protocol"])["accuracy"].nunique().eq(1).all()
    whole = rows[rows["n"] == 8].groupby(["generator", "reward_model", "strategy"])["accuracy"]
    assert (whole.max() - whole.min()).max() < 1e-9

    labels = [row.label for row in table1(evaluation).rows]
    assert labels[2:-1] == [*REWARD_MODELS, *(f"{model}, {rule}" for rule in SELECTION for model in REWARD_MODELS)]
    alone = to_frame(compute_accuracies(load_results(write_results(results.folder.parent / "plain"))).table())
    assert not set(alone["strategy"]) & set(SELECTION)


def test_gains_are_paired_and_corrected_at_each_place(results: Results) -> None:
    evaluation = Evaluation.of(results)
    rows = rule_table(evaluation)
    places = [(g, n) for g in (*GENERATORS, AVERAGE) for n in (4, 8)] + [(AVERAGE, None)]
    assert [(row.generator, row.n) for row in rows[:: len(SELECTION) * len(REWARD_MODELS)]] == places
    for row in rows:
        assert row.over_best_of_n.mean == pytest.approx(row.accuracy - row.best_of_n)
        assert row.over_majority.mean == pytest.approx(row.accuracy - row.majority)
    at = [row for row in rows if (row.generator, row.n) == (GENERATORS[0], 4)]
    smallest = min(at, key=lambda row: row.over_best_of_n.p_permutation).over_best_of_n
    assert smallest.p_holm == pytest.approx(min(1.0, len(at) * smallest.p_permutation))
    best = max((row for row in rows if row.n is None), key=lambda row: row.over_best_of_n.mean)
    (line,) = rule_lines(rows)
    assert line.startswith(f"Of 2 further selection rules, {best.rule} with {best.reward_model} gains most")
    assert "corrected for 8 comparisons" in line and rule_lines([]) == []


def test_a_rule_is_compared_like_a_reward_model(results: Results) -> None:
    accuracies = compute_accuracies(results)
    for strategy, a, b in (("best_of_n", "ce-4:soft", "ce-2"), ("bests", "ce-4:min:soft", "ce-2:best_of_n")):
        found = compare(results, a, b, n=4, strategy=strategy)
        ours = accuracies.values(GENERATORS[0], Chooser("soft", "ce-4", "min"), 4)
        theirs = accuracies.values(GENERATORS[0], Chooser("best_of_n", "ce-2", "min"), 4)
        assert ours is not None and theirs is not None
        assert (found.rows[0].a, found.rows[0].b) == pytest.approx((ours.mean(), theirs.mean()))
        assert found.strategy == "soft and best_of_n"
    named = compare(results, "ce-4:k", "majority", n=8, rules={"k": {"type": "majority_of_best", "k": 8}})
    assert all(row.difference.mean == pytest.approx(0) for row in named.rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ce-4:sof", "majority"), "ce-4:sof: 'sof' is no aggregation and no rule of .*did you mean soft"),
        (("ce-4:soft:bests", "majority"), "ce-4:soft:bests: one rule is expected, not soft and bests"),
        (("ce4:soft", "majority"), "no reward model is named 'ce4' .*did you mean ce-4"),
        (("ce-4", "majority", 4, "softer"), "--strategy softer: no such strategy; did you mean soft"),
    ],
)
def test_mistakes_in_a_comparison(results: Results, arguments: tuple, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(UserError, match=message):
        compare(results, *arguments)


def test_a_rule_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    asked = {name: {"type": f"{tmp_path / 'mine.py'}:{name}"} for name in ("negative", "lowest")}
    gone = {"type": "gone", "k": 1}
    results = load_results(with_rules(tmp_path / "tiny", {**SELECTION, "gone": gone}))
    accuracies = Evaluation.of(results, asked).accuracies
    assert accuracies.rules == ("bests", "soft", "lowest")
    assert {key.chooser.rule for key in accuracies.rows} & {"negative", "gone", "lowest"} == {"lowest"}
    first, second = rules_left_out_lines(accuracies)
    assert first.startswith("The selection rule gone is left out: no selection rule is named 'gone'")
    assert second.startswith("The selection rule negative is left out: selection rule negative gave the chance -1")
    with pytest.raises(UserError, match="selection rule negative gave the chance -1: none is below 0"):
        compare(results, "ce-4:negative", "ce-4", rules=asked)
    with pytest.raises(UserError, match="gone: no selection rule is named 'gone'"):
        compare(results, "ce-4:gone", "ce-4")


def test_no_file_that_results_name_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    spec, entry = f"{file}:lowest", {"type": f"{file}:lowest"}
    one = {"ce-4": REWARD_MODELS["log-likelihood"]}
    folder = with_rules(tmp_path / "tiny", {"lowest": entry}, reward_models=one, results_key="key")
    results = load_results(folder)
    assert rules_left_out_lines(Evaluation.of(results).accuracies) == [
        f"The selection rule lowest is left out: no file that results name is run; ask for it: --rule {spec}."
    ]
    assert main(["compare", str(folder), "ce-4", "ce-4:lowest"]) == ExitCode.MISTAKE
    assert f"ask for it: --rule {spec}" in capsys.readouterr().err
    assert not file.with_suffix(".ran").exists()

    assert main(["compare", str(folder), "ce-4", "ce-4:lowest", "--rule", spec]) == ExitCode.DONE
    monkeypatch.setattr(write, "FIGURES", ())  # no rule is in any
    assert main(["report", str(folder), "--rule", spec]) == ExitCode.DONE
    assert "is left out" not in capsys.readouterr().out and report_is_fresh(folder)
    shown = pd.read_csv(folder / "tables" / "selection.csv")
    assert set(shown["rule"]) == {"lowest"} and np.isfinite(shown["over_best_of_n"]).all()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<option>lowest</option>" in page and '<h2 id="selection">' in page


def test_a_report_is_the_runs_where_its_rules_are_those_of_the_results(results: Results) -> None:
    assert not adds_rules(results.manifest, None) and not adds_rules(results.manifest, {"soft": SELECTION["soft"]})
    assert adds_rules(results.manifest, {"soft": {**SELECTION["soft"], "temperature": 1.0}})
    assert adds_rules(results.manifest, {"other": SELECTION["soft"]})
