"""Accuracy against compute: what is counted for a choice, the front, and a smaller generator against a larger one."""

from __future__ import annotations

import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counted_costs import counted_folder, drop_a_ledger, larger, scored_by_own_model
from plain import plain_best_of_n
from results_folder import N_PROBLEMS, N_SAMPLES, write_results

from harness.analysis.compute import Compute, front
from harness.analysis.evaluation import Evaluation
from harness.analysis.smaller_generator import best_of_pairs
from harness.report.figures.palette import Palette
from harness.report.figures.style import styled
from harness.report.outputs import FIGURES, TABLES
from harness.report.page.page import render_page
from harness.report.summary import smaller_lines
from harness.storage.results import load_results

MODELS: dict[str, dict[str, Any]] = {
    "log-likelihood": {"token_passes": {"policy": "base"}},
    "twice": {"token_passes": {"policy": "base", "reference": "base"}},
    "own": {"type": "head-prm"},
    "both": {"type": "ensemble", "members": ["log-likelihood", "own", "twice"]},
    "recorded": {"type": "recorded"},
    "length": {"type": "length"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = counted_folder(write_results(tmp_path_factory.mktemp("results") / "tiny", MODELS))
    for generator in ("weak", "strong"):
        for name in MODELS:
            scored_by_own_model(path, name, generator, larger(2) if name == "own" else None)
    return path


@pytest.fixture(scope="module")
def evaluation(folder: Path) -> Evaluation:
    return Evaluation.of(load_results(folder))


def per_problem(evaluation: Evaluation, *place: str) -> float:
    """FLOPs in the ledger of a folder."""
    return float(evaluation.results.ledger_of(*place)["flops"].sum()) / N_PROBLEMS


def test_scoring_is_all_that_scores_are_made_from(evaluation: Evaluation) -> None:
    rows = {(r.generator, r.reward_model, r.strategy, r.n): r for r in evaluation.compute.rows}
    ns = [n for n in evaluation.accuracies.ns("weak") if n > 1]
    for generator, n in product(("weak", "strong"), ns):
        flops = {name: rows[generator, name, "best_of_n", n].scoring_flops for name in MODELS}
        assert flops["twice"] == flops["log-likelihood"]  # one pass in two roles
        assert flops["both"] == pytest.approx(flops["own"] + flops["log-likelihood"])
        assert flops["length"] == rows[generator, "", "majority", n].scoring_flops == 0
        assert np.isnan(flops["recorded"])
    last = rows["weak", "own", "best_of_n", N_SAMPLES]
    assert last.generation_flops == pytest.approx(per_problem(evaluation, "responses", "weak"))
    assert last.flops == last.generation_flops + last.scoring_flops
    assert last.scoring_flops == pytest.approx(per_problem(evaluation, "scores", "own", "weak"))
    alone = rows["weak", "", "average", 1]
    assert (alone.scoring_flops, alone.n) == (0.0, 1) and ("weak", "own", "best_of_n", 1) not in rows
    # Two shards of 1 s for sampling, of half a second for the pass, of a quarter for scores.
    assert alone.seconds == pytest.approx(2 / N_PROBLEMS / N_SAMPLES)
    assert rows["weak", "both", "best_of_n", N_SAMPLES].seconds == pytest.approx((2 + 1 + 4 * 0.5) / N_PROBLEMS)
    assert np.isnan(last.gpu_seconds) and last.device == "cpu"
    assert evaluation.compute.unknown == {
        (g, "recorded"): "recorded does not score with a model of known size that runs here" for g in ("weak", "strong")
    }
    accuracy = plain_best_of_n(evaluation.results, "own", "weak", 4).mean()
    assert rows["weak", "own", "best_of_n", 4].accuracy.mean == pytest.approx(accuracy)


def test_the_front_has_what_nothing_beats(evaluation: Evaluation) -> None:
    """Against the definition, with ties; and the share of the draws of a run."""
    rng = np.random.default_rng(0)
    for n in (1, 2, 9):
        costs, values = rng.integers(0, 5, n).astype(float), rng.integers(0, 4, (30, n)).astype(float)
        for draw, found in zip(values, front(costs, values), strict=True):
            at_least = (costs[:, None] >= costs) & (draw[:, None] <= draw)
            better = (costs[:, None] > costs) | (draw[:, None] < draw)
            assert found.tolist() == (~(at_least & better).any(axis=1)).tolist()
    known = [place for place, row in enumerate(evaluation.compute.rows) if not row.unknown]
    rows = [evaluation.compute.rows[place] for place in known]
    drawn = evaluation.accuracies.bootstrap.means(
        np.array([evaluation.compute.values[place] for place in known])
    ).round(12)
    shares = front(np.array([row.flops for row in rows]), drawn).mean(axis=0)
    assert [row.front_share for row in rows] == pytest.approx(shares.tolist())
    assert rows[0].on_front and rows[0].front_share == 1.0  # nothing is cheaper
    assert any(row.on_front for row in rows if row.generator == "strong") and not all(row.on_front for row in rows)


def test_a_smaller_generator_against_a_larger_one(evaluation: Evaluation) -> None:
    rows = {(r.reward_model, r.n): r for r in evaluation.smaller_generators}
    compute = {(r.generator, r.reward_model, r.n): r for r in evaluation.compute.rows}
    assert {(r.smaller, r.larger) for r in rows.values()} == {("weak", "strong")}
    assert ("recorded", 4) not in rows
    grades = evaluation.results.grades.groupby(["generator", "problem_id"])["correct"].mean()
    means = {}
    for n in (1, 2, 4, 8):
        ours = plain_best_of_n(evaluation.results, "own", "weak", n)
        means[n] = (ours - grades["strong"].to_numpy()).mean()
        if n > 1:
            row = rows["own", n]
            assert row.accuracy - row.larger_accuracy == pytest.approx(row.difference.mean)
            assert row.difference.mean == pytest.approx(means[n])
            assert row.difference.low <= means[n] <= row.difference.high
            assert row.ratio == pytest.approx(compute["weak", "own", n].flops / compute["strong", "", 1].flops)
    as_good = [n for n, mean in means.items() if mean >= 0]
    assert rows["own", 8].as_good_n == (as_good[0] if as_good else None)
    # Draw by draw, from the plain numbers.
    plain = np.array([plain_best_of_n(evaluation.results, "own", "weak", n) for n in means])
    drawn = evaluation.accuracies.bootstrap.means(plain - grades["strong"].to_numpy()).round(12)
    first = sorted(min((n for n, d in zip(means, draw, strict=True) if d >= 0), default=99) for draw in drawn)
    bounds = [first[int(np.ceil(q * len(first))) - 1] for q in (0.025, 0.975)]
    found = rows["own", 8].as_good_low, rows["own", 8].as_good_high
    assert [99 if n is None else n for n in found] == bounds
    (best,) = best_of_pairs(list(rows.values()))
    assert best.accuracy == max(row.accuracy for row in rows.values() if row.n == N_SAMPLES)
    (line,) = smaller_lines(list(rows.values()))
    assert line.startswith(f"weak with 8 responses, chosen by {best.reward_model}, is right in ") and "n = " in line
    assert smaller_lines([]) == []


def test_the_report_has_it(evaluation: Evaluation) -> None:
    palette, outputs = Palette.of(evaluation), {output.name: output for output in TABLES}
    needed = ("table1", "answers", "compute", "smaller_generators")
    tables = {name: outputs[name].make(evaluation) for name in needed}
    frame = outputs["compute"].frame(tables["compute"])
    assert frame["flops"].isna().tolist() == frame["reward_model"].eq("recorded").tolist()
    assert set(outputs["smaller_generators"].frame(tables["smaller_generators"])["smaller"]) == {"weak"}
    (output,) = (output for output in FIGURES if output.name == "compute")
    with styled():
        figure = output.draw(evaluation, palette)
    assert figure is not None and len(figure.axes) == 2  # FLOPs, and seconds without GPUs
    assert all(axes.get_xscale() == "log" for axes in figure.axes)
    said = [text.get_text().replace("\n", " ") for text in figure.texts]
    assert "left out, as their compute is not known: recorded does not score with a model" in said[0]
    page = render_page(evaluation, palette, tables, [], [])
    assert '<h2 id="compute_front">' in page and '<h3 id="smaller_generators">' in page
    assert "Left out: recorded does not score with a model of known size that runs here." in page
    assert "weak with 8 responses, chosen by " in page


def test_one_response_per_problem_is_drawn_alone(evaluation: Evaluation) -> None:
    """Without anybody to choose there are no lines, and no smaller generator with many responses."""
    whole = evaluation.compute
    alone = [place for place, row in enumerate(whole.rows) if row.n == 1]
    of_one = Evaluation(evaluation.results, evaluation.accuracies)
    parts = ([of[place] for place in alone] for of in (whole.choosers, whole.rows, whole.values))
    of_one.__dict__["compute"] = Compute(*map(tuple, parts))  # type: ignore[arg-type]
    (output,) = (output for output in FIGURES if output.name == "compute")
    with styled():
        assert output.draw(of_one, Palette.of(of_one)) is not None
    assert of_one.smaller_generators == []


def test_without_counted_responses_nothing_is_drawn(tmp_path: Path, folder: Path) -> None:
    """The costs of one generator are lost: it is left out. Of both: nothing is left to draw."""
    shutil.copytree(folder, tmp_path / "r")
    drop_a_ledger(tmp_path / "r", "responses/weak")
    evaluation = Evaluation.of(load_results(tmp_path / "r"))
    assert {row.generator for row in evaluation.compute.rows if row.unknown == ""} == {"strong"}
    assert evaluation.smaller_generators == []
    drop_a_ledger(tmp_path / "r", "responses/strong")
    evaluation = Evaluation(load_results(tmp_path / "r"), evaluation.accuracies)
    outputs = {output.name: output for output in TABLES}
    assert outputs["compute"].make(evaluation) is None and outputs["smaller_generators"].make(evaluation) == []
    (figure,) = (output for output in FIGURES if output.name == "compute")
    assert figure.draw(evaluation, Palette.of(evaluation)) is None
    assert figure.needs.startswith("responses sampled in this run by a model of known size")
