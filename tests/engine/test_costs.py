"""Costs in two conventions, the Math-Shepherd against CE ratio, costs at equal accuracy: by hand and by brute force."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from results_folder import LEDGER_FOLDER, write_results, write_rows

from harness.analysis.cost_ratio import cost_ratio
from harness.analysis.costs import development_flops, development_table, reward_model_costs
from harness.analysis.equal_accuracy import CostLine, cost_at, cost_lines, equal_accuracies, equal_accuracy
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import Bootstrap
from harness.analysis.rows import to_frame
from harness.core.records import LedgerRow, Response
from harness.report.figures.costs import cost_accuracy, development_cost, draw_relative_costs
from harness.report.figures.palette import Palette
from harness.report.figures.style import styled
from harness.report.outputs import TABLES
from harness.report.table_texts import cost_ratio_markdown
from harness.storage.arrow import to_table
from harness.storage.results import Results, load_results
from harness.storage.shards import shard_path, write_shard

BASE, TRAINED = 1000, 1200  # weights of the two kinds of model


def trained(method: str, responses: int, **facts: Any) -> dict[str, Any]:
    completions = {"completions": 4} if method == "Math-Shepherd" else {}
    train = {"method": method, "base": "base", "responses": responses, "facts": facts, **completions}
    return {"token_passes": {"policy": f"{method}-{responses}"}, "train": train, "trained_by": f"{method}-{responses}"}


MODELS = {
    "CE-2": trained("CE", 2),
    "Math-Shepherd-4": trained("Math-Shepherd", 4, n_steps=330, n_responses=100, forward_tokens=50),
    "CE-4": trained("CE", 4),
    "DPO-2": trained("DPO", 2, n_pairs=30, n_responses=40),
    "Math-Shepherd-2": trained("Math-Shepherd", 2, adapter_params=70),  # of whose steps nothing is known
}


def rows() -> list[LedgerRow]:
    def row(stage: str, what: str, model: str, prompt: int, completion: int, train: int, flops: float) -> LedgerRow:
        return LedgerRow(stage, what, model, "cpu", prompt, completion, train, flops, 1.0, 0.0)

    found = []
    for name in MODELS:
        scale = int(name[-1])
        found += [
            row("development/collection", name, "base", 10, 100 * scale, 0, 3e5 * scale),
            row("development/labels", name, "", 0, 0, 0, 0.0),
            row("development/training", name, name, 0, 0, 150 * scale, 2e6 * scale),
            row("token-pass", name, name, 20, 300, 0, 9e5),
        ]
    found.append(row("development/labels", "Math-Shepherd-4", "base", 250, 750, 0, 6e6))
    return found


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = write_results(tmp_path_factory.mktemp("costs") / "run", MODELS)
    write_rows(folder / LEDGER_FOLDER, LedgerRow, rows(), 1)
    # What tells the models' sizes: shards that were made with them, each beside its ledger.
    for place, model, size in (
        ("rollouts/base", "base", BASE),
        *((f"token-passes/{name}/weak", name, TRAINED) for name in MODELS),
    ):
        meta = {"shape": {"matmul_params": size, "attention_width": 8}}
        write_shard(shard_path(folder / place, 0), to_table(Response, []), "key", meta)
        idle = LedgerRow("rollout", place.split("/")[1], model, "cpu", 0, 0, 0, 0.0, 0.0, 0.0)
        write_rows(folder / "ledger" / place, LedgerRow, [idle], 1)
    return load_results(folder)


def test_the_plain_convention_by_hand(results: Results) -> None:
    costs = reward_model_costs(results).set_index(["reward_model", "item"])["plain_flops"]
    assert costs["CE-2", "collection"] == 2 * BASE * 200  # the prompt is not generated
    assert costs["CE-2", "labels"] == 0
    assert costs["CE-2", "training"] == 6 * TRAINED * 300
    assert costs["CE-2", "scoring"] == 2 * TRAINED * 320
    assert costs["Math-Shepherd-4", "labels"] == 2 * BASE * 750
    assert costs["Math-Shepherd-4", "training"] == TRAINED * (6 * 600 + 2 * 50)
    assert costs["Math-Shepherd-2", "training"] == TRAINED * 4 * 300 + 6 * 70 * 300  # frozen, with adapters
    # 30 pairs of 40 responses: 60 responses in pairs.
    assert costs["DPO-2", "training"] == 6 * TRAINED * 300 * 60 / 40


def test_a_model_whose_size_is_not_stored_has_no_plain_cost(tmp_path: Path) -> None:
    found = load_results(write_results(tmp_path))
    costs = reward_model_costs(found)
    assert costs["flops"].notna().all()
    assert costs["plain_flops"].isna().all()
    assert set(development_flops(costs, "flops")) == {"ce-2", "ce-4", "ce-4-alone"}
    # Neither method of two is missing a yardstick it could have, and no bar is drawn without one.
    evaluation = Evaluation.of(found)
    assert development_cost(evaluation, Palette.of(evaluation)) is None


def test_development_is_relative_to_ce_on_as_many_responses(results: Results) -> None:
    evaluation = Evaluation.of(results)
    table = development_table(evaluation.trainings, evaluation.costs).set_index(["method", "responses"])
    assert table.loc[("CE", 2), "flops_of_ce"] == table.loc[("CE", 4), "flops_of_ce"] == 1.0
    assert table.loc[("Math-Shepherd", 4), "flops_of_ce"] == pytest.approx((4 * 2.3e6 + 6e6) / (4 * 2.3e6))
    assert table.loc[("DPO", 2), "flops_of_ce"] == 1.0
    plain = (2 * BASE * 200 + 6 * TRAINED * 450) / (2 * BASE * 200 + 6 * TRAINED * 300)
    assert table.loc[("DPO", 2), "plain_flops_of_ce"] == pytest.approx(plain)


def test_cost_ratio_counts_and_scales_the_labels(results: Results) -> None:
    ratio_rows = cost_ratio(Evaluation.of(results))
    frame = to_frame(ratio_rows).set_index(["convention", "steps", "completions"])
    assert set(frame["responses"]) == {4}  # where both were trained
    own = frame[frame["counted"]]
    assert [index for index, _ in own.iterrows()] == [("flops", 3.3, 4), ("plain_flops", 3.3, 4)]
    assert own.loc[("flops", 3.3, 4), "ratio"] == pytest.approx((9.2e6 + 6e6) / 9.2e6)
    assert own.loc[("flops", 3.3, 4), "labels"] == 6e6
    # 10 steps have 9 prefixes instead of 2.3; three quarters of the tokens were generated, and twice as many are.
    labels = 6e6 * 9 / 2.3 * (0.25 + 0.75 * 2)
    assert frame.loc[("flops", 10.0, 8), "labels"] == pytest.approx(labels)
    assert frame.loc[("flops", 10.0, 8), "ratio"] == pytest.approx((9.2e6 + labels) / 9.2e6)
    assert frame.loc[("plain_flops", 10.0, 8), "labels"] == pytest.approx(2 * BASE * 750 * 9 / 2.3 * 2)
    text = cost_ratio_markdown(ratio_rows)
    assert "counted here: 3.3 steps, 4 completions" in text
    assert f"| 10 | {frame.loc[('flops', 10.0, 4), 'ratio']:.1f} | {(9.2e6 + labels) / 9.2e6:.1f} |" in text


def test_an_ensemble_costs_what_its_members_cost(tmp_path: Path) -> None:
    members = ["CE-2", "DPO-2"]
    models = {**MODELS, "both": {"members": members}, "all": {"members": ["both", "CE-2"]}}
    folder = write_results(tmp_path / "run", models)
    write_rows(folder / LEDGER_FOLDER, LedgerRow, rows(), 1)
    evaluation = Evaluation.of(load_results(folder))
    costs = evaluation.costs.set_index(["reward_model", "item"])["flops"]
    for item in ("collection", "labels", "training", "scoring"):
        assert costs["both", item] == sum(costs[member, item] for member in members)
        assert costs["all", item] == costs["both", item]  # a member of a member is no second time charged
    flops = development_flops(evaluation.costs)
    dots = {line.method: line.costs for line in cost_lines(evaluation)}
    assert dots["both"] == (flops["CE-2"] + flops["DPO-2"],), "it is no baseline that costs nothing"


def test_labels_of_a_share_of_the_problems_are_compared_with_that_share_of_ce(tmp_path: Path) -> None:
    models = {name: MODELS[name] for name in ("CE-4", "Math-Shepherd-4")}
    quarter = {**models["Math-Shepherd-4"]["train"], "instructions": 0.5, "label_share": 0.5}
    models["Math-Shepherd-4"] = {**models["Math-Shepherd-4"], "train": quarter}
    folder = write_results(tmp_path / "run", models)
    write_rows(folder / LEDGER_FOLDER, LedgerRow, [row for row in rows() if row.what in models], 1)
    evaluation = Evaluation.of(load_results(folder))
    table = development_table(evaluation.trainings, evaluation.costs).set_index(["method", "responses"])
    assert table.loc[("CE", 4), "flops_of_ce"] == 1.0
    ratio = (4 * 2.3e6 + 6e6) / (4 * 2.3e6 / 4)
    assert table.loc[("Math-Shepherd", 4), "flops_of_ce"] == pytest.approx(ratio)
    counted = next(row for row in cost_ratio(evaluation) if row.counted and row.convention == "flops")
    assert counted.ratio == pytest.approx(ratio)
    assert counted.yardstick["total"] == pytest.approx(4 * 2.3e6 / 4)


def test_cost_files_and_figures_of_a_run(results: Results) -> None:
    evaluation = Evaluation.of(results)
    made = {o.name for o in TABLES if (table := o.make(evaluation)) is not None and not o.frame(table).empty}
    assert {"costs", "development_cost", "equal_accuracy", "cost_ratio"} <= made
    with styled():
        palette = Palette.of(evaluation)
        bars = development_cost(evaluation, palette)
        dots = cost_accuracy(evaluation, palette)
    assert bars is not None and dots is not None
    heights = sorted(patch.get_height() for patch in bars.axes[0].patches)
    assert heights == pytest.approx([0.0, 0.0, (9.2e6 + 6e6) / 9.2e6 - 1])
    # What the figure says in multiples is what the table has.
    equal = equal_accuracies(evaluation)
    assert {e.method: e.yardstick for e in equal} == {"Math-Shepherd": "CE", "DPO": "CE"}
    assert all(f"{e.method} {e.text}" in dots.texts[0].get_text() for e in equal)
    named = {f"{e.method} ×{e.ratio:.2g}" for e in equal if e.ratio > 1.5 and e.bound == "="}
    assert named and {t.get_text() for t in dots.axes[0].texts if "×" in t.get_text()} == named


def test_bars_start_at_ce_and_reach_their_ratio() -> None:
    with styled():
        colors = {"DPO": "blue", "AutoPSV": "indigo", "CE": "red"}
        (axes,) = draw_relative_costs({"DPO": {2: 0.3, 8: 1.8}, "AutoPSV": {2: 4.3}}, colors).axes
    ends = {(round(bar.get_y(), 9), round(bar.get_y() + bar.get_height(), 9)) for bar in axes.patches}
    assert ends == {(1.0, 0.3), (1.0, 1.8), (1.0, 4.3)}
    assert {"0.3", "1.8", "4.3"} <= {text.get_text() for text in axes.texts}


# --- equal accuracy ------------------------------------------------------------------------------------


def slow_cost_at(level: float, costs: list[float], accuracies: list[float]) -> float | None:
    """The first of many points along the line that reaches the level."""
    for i in range(len(costs) - 1):
        for share in np.linspace(0, 1, 20_001):
            reached = (1 - share) * accuracies[i] + share * accuracies[i + 1]
            if i == share == 0 and reached > level:
                return None
            if reached >= level:
                return float(costs[i] ** (1 - share) * costs[i + 1] ** share)
    return None


@pytest.mark.parametrize("level", [0.1, 0.35, 0.5, 0.58, 0.6, 0.7])
def test_cost_at_is_the_first_crossing(level: float) -> None:
    costs, accuracies = [1e9, 2e9, 8e9, 9e9], [0.3, 0.5, 0.45, 0.6]
    expected = slow_cost_at(level, costs, accuracies)
    found = cost_at(level, costs, accuracies)
    assert found is None if expected is None else found == pytest.approx(expected, rel=1e-3)


def test_the_most_accurate_method_is_the_yardstick_where_lines_meet() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.02, 200)

    def line(name: str, costs: tuple[float, ...], *means: float) -> CostLine:
        return CostLine(name, costs, np.array([mean + noise - noise.mean() for mean in means]))

    lines = [
        line("dear", (40.0, 400.0), 0.4, 0.6),
        line("best", (1.0, 10.0, 100.0), 0.5, 0.6, 0.7),
        line("hopeless", (5.0,), 0.45),
        line("point", (3.0,), 0.55),
        line("brilliant", (8.0,), 0.8),
    ]
    found = {e.method: e for e in equal_accuracy(lines, Bootstrap(200, 300, seed=0))}
    assert {name: e.bound for name, e in found.items()} == {
        "dear": "=",
        "hopeless": ">",
        "point": "=",
        "brilliant": "<",
    }
    assert found["dear"].ratio == pytest.approx(400 / 10)
    assert found["dear"].accuracy == pytest.approx(0.6)
    # The same noise on every line: no draw changes where they meet.
    assert (found["dear"].low, found["dear"].high, found["dear"].met) == pytest.approx((40, 40, 1))
    assert found["point"].ratio == pytest.approx(3 / 10**0.5)
    # The yardstick is never as bad as the hopeless one, nor as good as the brilliant one.
    assert (found["hopeless"].text, found["hopeless"].met) == (">5", 0)
    assert (found["brilliant"].text, found["brilliant"].accuracy) == ("<0.08", pytest.approx(0.7))
    assert math.isnan(found["brilliant"].low)
    assert equal_accuracy(lines[:1], Bootstrap(200, 10, seed=0)) == []
