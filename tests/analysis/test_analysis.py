"""Figures 4 and 5 and Tables 2 to 5: which rows there are, and every number against a plain recomputation."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plain import plain_best_of_n
from results_folder import GENERATORS, N_PROBLEMS, N_SAMPLES, ledger, write_results, write_rows

from harness.analysis import ablation_tables, ablations
from harness.analysis.ablation_tables import AblationTable
from harness.analysis.compute_accuracies import compute_accuracies
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import holm
from harness.core.records import Grade, LedgerRow
from harness.report.figures import scales as analysis_figures
from harness.report.figures.costs import cost_accuracy
from harness.report.figures.palette import Palette
from harness.report.figures.style import styled
from harness.report.table_texts import ablation_latex, ablation_markdown
from harness.storage.arrow import to_records, to_table
from harness.storage.ledger import read_ledger
from harness.storage.results import Results, load_results
from harness.storage.shards import write_shard

MAIN = {"set": "main", "generator": "weak", "problems": "train", "responses": 8}


def trained(name: str, method: str = "DPO", **changes: Any) -> dict[str, Any]:
    """Facts about an entry that trains a model and scores with it."""
    train = {"method": method, "objective": "dpo", "base": "weak", "reference": "weak", "lr": 1e-4, "responses": 8}
    train |= {"instructions": 1.0, "dedup": None, "rollouts": [MAIN]}
    passes = {"policy": name, "reference": "weak"}
    if changes.get("reference", "") is None:
        del passes["reference"]
    return {"token_passes": passes, "train": train | changes, "trained_by": name}


def fewer(n: int) -> dict[str, Any]:
    return {"responses": n, "rollouts": [MAIN | {"responses": n}]}


def scored(entry: dict[str, Any], reference: str | None) -> dict[str, Any]:
    """Facts about an entry that scores with another one's model."""
    passes = {"policy": entry["trained_by"]} | ({} if reference is None else {"reference": reference})
    return entry | {"token_passes": passes}


ALONE = trained("alone", "DPO, trained without reference", reference=None)
MODELS: dict[str, dict[str, Any]] = {
    "log-likelihood": {"token_passes": {"policy": "weak"}},
    "dpo-2": trained("dpo-2", **fewer(2)),
    "dpo-8": trained("dpo-8"),
    "half": trained("half", instructions=0.5),
    "quarter": trained("quarter", instructions=0.25),
    "dedup": trained("dedup", dedup=0.5),
    "wider": trained("wider", rollouts=[MAIN, MAIN | {"set": "odd", "problems": "odd_ones"}]),
    "mixed": trained(
        "mixed",
        responses=4,
        rollouts=[MAIN | {"responses": 4}, {"set": "b", "generator": "other", "problems": "train", "responses": 4}],
    ),
    "steps": trained("steps", "DPO + step KTO", objective="kto", base="dpo-8", lr=2e-4),
    "faster": trained("faster", lr=1e-3, dedup=0.5),  # two changes
    "dpo-8-no-reference": scored(trained("dpo-8"), None),
    "alone": ALONE,
    "alone-with": scored(ALONE, "weak"),
    "ce": trained("ce", "CE", objective="ce"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("analysis")
    policies = {
        "a": {"type": "replay", "model": "trained/steps", "trained_by": "steps"},
        "b": {"type": "replay", "model": "elsewhere", "trained_by": None},
        "c": {"type": "replay", "model": "trained/ce", "trained_by": "ce"},  # no grades yet
    }
    write_results(folder, MODELS, policies=policies)
    rng = np.random.default_rng(7)
    for name, rate in (("a", 0.7), ("b", 0.2)):
        rows = [
            Grade(f"p{i:02d}", name, k, "7", bool(rng.random() < rate), "exact", 0)
            for i in range(N_PROBLEMS)
            for k in range(5)
        ]
        write_rows(folder / "policy-grades" / name, Grade, rows)
    first = ledger()[0]

    def cost(place: str, stage: str, seconds: float, flops: float) -> None:
        row = LedgerRow(stage, place, "", "cpu", 1, 1, 0, flops / 2, seconds / 2, first.started_at)
        write_rows(folder / "ledger" / place, LedgerRow, [row, row])

    for generator, size in (("weak", 1.0), ("strong", 10.0)):
        cost(f"responses/{generator}", "sample", 4.0 * size, 8e9 * size)
        for label in {label for facts in MODELS.values() for label in facts["token_passes"].values()}:
            cost(f"token-passes/{label}/{generator}", "token-pass", 1.0, 2e9)
        for name in MODELS:
            cost(f"scores/{name}/{generator}", "score", 0.5, 0.0)
    return load_results(folder)


@pytest.fixture(scope="module")
def evaluation(results: Results) -> Evaluation:
    return Evaluation.of(results)


def average(results: Results, reward_model: str, generators: tuple[str, ...] = GENERATORS) -> np.ndarray:
    """The mean over generators and the sizes above 1, in percent per problem."""
    return 100 * np.mean([plain_best_of_n(results, reward_model, g, n) for g in generators for n in (4, 8)], axis=0)


def check_accuracies(table: AblationTable, results: Results, base: dict[str, str]) -> None:
    """Every accuracy and difference of a table; ``base`` is what each reward model is compared with."""
    rows = table.frame().set_index("reward_model")
    for name, row in rows.iterrows():
        assert row["avg"] == pytest.approx(average(results, name).mean())
        assert row["weak"] == pytest.approx(average(results, name, ("weak",)).mean())
        assert row["strong"] == pytest.approx(average(results, name, ("strong",)).mean())
        assert row["avg_low"] < row["avg"] < row["avg_high"]
        if name not in base:
            assert row[["difference", "difference_low", "difference_high", "p", "p_holm"]].isna().all()
            continue
        apart = average(results, name) - average(results, base[name])
        assert row["difference"] == pytest.approx(apart.mean())
        # The bootstrap's spread against the textbook standard error of a mean of paired differences.
        error = apart.std(ddof=1) / np.sqrt(len(apart))
        assert (row["difference_high"] - row["difference_low"]) / (2 * 1.96) == pytest.approx(error, rel=0.25)
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    compared = rows["p"].dropna()
    assert rows["p_holm"].dropna().to_numpy() == pytest.approx(holm(compared.to_numpy()))


def test_one_change_of_the_training_data_at_a_time(results: Results, evaluation: Evaluation) -> None:
    assert {base: [(v.reward_model, v.change) for v in found] for base, found in
            ablations.data_variations(evaluation).items()} == {
        "dpo-8": [
            ("dedup", "de-duplicated (at 0.5)"),
            ("wider", "+ problems: odd_ones"),
            ("mixed", "rollouts: 4 of weak, 4 of other"),
            ("steps", "+ step KTO"),
        ]
    }  # fmt: skip
    table = ablation_tables.training_data(evaluation)
    assert table is not None
    assert table.frame()["reward_model"].tolist() == ["dpo-8", "dedup", "wider", "mixed", "steps"]
    check_accuracies(table, results, dict.fromkeys(["dedup", "wider", "mixed", "steps"], "dpo-8"))


def test_the_base_is_found_whatever_the_order(tmp_path: Path) -> None:
    chosen = ("wider", "dedup", "dpo-8")
    found = ablations.data_variations(
        Evaluation.of(load_results(write_results(tmp_path / "a", {n: MODELS[n] for n in chosen})))
    )
    assert list(found) == ["dpo-8"] and len(found["dpo-8"]) == 2
    # Of two that differ in one thing, the plainer is the base.
    pair = {n: MODELS[n] for n in ("dedup", "dpo-8")}
    found = ablations.data_variations(Evaluation.of(load_results(write_results(tmp_path / "b", pair))))
    assert {base: [v.reward_model for v in rest] for base, rest in found.items()} == {"dpo-8": ["dedup"]}
    # Two methods are two bases.
    both = {**pair, "ce": MODELS["ce"], "ce-d": trained("ce-d", "CE", objective="ce", dedup=0.5)}
    found = ablations.data_variations(Evaluation.of(load_results(write_results(tmp_path / "c", both))))
    assert {base: [v.reward_model for v in rest] for base, rest in found.items()} == {
        "dpo-8": ["dedup"],
        "ce": ["ce-d"],
    }


def test_policies_against_the_model_they_started_from(results: Results, evaluation: Evaluation) -> None:
    table = ablation_tables.policies(evaluation)
    assert table is not None
    rows = table.frame().set_index("policy")
    assert list(rows.index) == ["weak", "a", "b"]  # steps started from dpo-8, and that from weak
    grades = results.policy_grades()
    base = results.grades[results.grades["generator"] == "weak"].groupby("problem_id")["correct"].mean()
    assert rows.loc["weak", "pass@1"] == pytest.approx(100 * base.mean())
    for name in "ab":
        own = grades[grades["generator"] == name].groupby("problem_id")["correct"].mean()
        assert rows.loc[name, "pass@1"] == pytest.approx(100 * own.mean())
    own = grades[grades["generator"] == "a"].groupby("problem_id")["correct"].mean()
    assert rows.loc["a", "difference"] == pytest.approx(100 * (own - base).mean())
    assert np.isnan(rows.loc["b", "difference"])
    assert rows["responses"].tolist() == [str(N_SAMPLES), "5", "5"]
    assert rows["method"].tolist() == ["not trained", "DPO + step KTO", ""]


def test_scoring_is_charged_with_the_passes_it_reads(evaluation: Evaluation) -> None:
    table = ablation_tables.scoring_cost(evaluation)
    assert table is not None
    rows = table.frame().set_index(["reward_model", "part"])
    # Two passes of 1 s and half a second of its own, of 4 s and of 40 s of sampling.
    assert rows.loc[("dpo-8", "all"), ["weak time", "strong time"]].tolist() == pytest.approx([62.5, 6.25])
    assert rows.loc[("dpo-8", "all"), ["weak FLOPs", "strong FLOPs"]].tolist() == pytest.approx([50.0, 5.0])
    for part, share in (("policy", 25.0), ("reference", 25.0), ("own", 12.5)):
        assert rows.loc[("dpo-8", part), "weak time"] == pytest.approx(share)
    assert rows.loc[("log-likelihood", "all"), "weak time"] == pytest.approx(37.5)
    assert ("log-likelihood", "policy") not in rows.index  # one pass: nothing to break down
    # The other ones cost what one of these does.
    assert table.frame()["reward_model"].unique().tolist() == ["log-likelihood", "dpo-8"]


@pytest.mark.parametrize(("pass_gpus", "times"), [(1.0, {"policy": 1 / 16, "own": 0, "all": 1 / 8}), (0.0, None)])
def test_time_on_gpus_is_in_gpu_seconds(
    tmp_path: Path, results: Results, evaluation: Evaluation, pass_gpus: float, times: dict[str, float] | None
) -> None:
    """4 s of sampling on 4 GPUs; passes of 1 s on one GPU each, or on CPUs; half a second of arithmetic."""
    shutil.copytree(results.folder, tmp_path / "results")
    for path in (tmp_path / "results" / "ledger").rglob("part-*.parquet"):
        rows = to_records(LedgerRow, read_ledger(path))
        held = {"responses": 4.0, "token-passes": pass_gpus}.get(path.relative_to(tmp_path).parts[2], 0.0)
        write_shard(path, to_table(LedgerRow, [replace(row, gpus=held) for row in rows]), "key")
    found = load_results(tmp_path / "results")
    table = ablation_tables.scoring_cost(Evaluation(found, evaluation.accuracies))
    assert table is not None
    rows_ = table.frame().set_index(["reward_model", "part"])
    assert rows_.loc[("dpo-8", "all"), "weak FLOPs"] == pytest.approx(50.0)
    for part, share in (times or {"policy": math.nan, "own": 0, "all": math.nan}).items():
        assert rows_.loc[("dpo-8", part), "weak GPU time"] == pytest.approx(100 * share, nan_ok=True)
    assert ("–" in ablation_markdown(table).split("\n\n")[0]) is (times is None)


def test_the_reference_in_training_and_in_scoring(results: Results, evaluation: Evaluation) -> None:
    table = ablation_tables.reference_model(evaluation)
    assert table is not None
    assert table.frame()[["training", "scoring", "reward_model"]].to_numpy().tolist() == [
        ["not trained", "without", "log-likelihood"],
        ["with", "with", "dpo-8"],
        ["with", "without", "dpo-8-no-reference"],
        ["without", "with", "alone-with"],
        ["without", "without", "alone"],
    ]
    others = ("log-likelihood", "dpo-8-no-reference", "alone-with", "alone")
    check_accuracies(table, results, dict.fromkeys(others, "dpo-8"))


@pytest.mark.parametrize("missing", ["alone-with", "dpo-8-no-reference", "alone"])
def test_half_a_table_of_the_reference_is_none(tmp_path: Path, missing: str) -> None:
    chosen = {n: f for n, f in MODELS.items() if n != missing}
    found = load_results(write_results(tmp_path, chosen))
    assert ablation_tables.reference_model(Evaluation(found, compute_accuracies(found, 4))) is None


def test_scales_are_of_one_thing_at_a_time(evaluation: Evaluation) -> None:
    assert ablations.scales(evaluation, "responses") == {"DPO": ["dpo-2", "dpo-8"]}
    assert ablations.scales(evaluation, "instructions") == {"DPO": ["quarter", "half", "dpo-8"]}


def test_other_data_are_no_scales_of_figure_1(results: Results, evaluation: Evaluation) -> None:
    found = evaluation.trainings
    odd = {"half", "quarter", "dedup", "wider", "mixed", "faster"}
    assert {name for name, i in found.items() if not i.usual} == odd
    assert (found["mixed"].scale, found["dpo-2"].scale, found["log-likelihood"].scale) == (8, 2, None)
    chosen = [i.reward_model for i in evaluation.headline]
    assert chosen == ["log-likelihood", "dpo-8", "steps", "dpo-8-no-reference", "alone", "alone-with", "ce"]
    cost = {name: 1e9 * (1 + i) for i, name in enumerate(MODELS)}
    rows = [
        LedgerRow("development/training", name, "", "", 0, 0, 0, flops, 1.0, 0.0)
        for name, flops in cost.items()
        if MODELS[name].get("trained_by") == name
    ]
    with styled():
        costed = Evaluation(replace(results, ledger=pd.DataFrame(rows)), evaluation.accuracies)
        figure = cost_accuracy(costed, Palette.of(costed))
    assert figure is not None
    lines = [line for line in figure.axes[0].lines if line.get_marker() not in ("None", None, "")]
    dots = {x for line in lines for x in line.get_xdata()}
    assert dots == {cost[name] for name in ("dpo-2", "dpo-8", "steps", "alone", "ce")}


@pytest.mark.parametrize(
    ("draw", "members", "labels"),
    [
        (analysis_figures.by_instructions, ["quarter", "half", "dpo-8"], ["25 %", "50 %", "100 %"]),
        (analysis_figures.by_responses, ["dpo-2", "dpo-8"], ["2", "8"]),
    ],
)
def test_figures_have_a_line_per_scale(results: Results, evaluation: Evaluation, draw, members, labels) -> None:  # type: ignore[no-untyped-def]
    with styled():
        figure = draw(evaluation, Palette.of(evaluation))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [f"DPO, {g}" for g in GENERATORS]
    for axes, generator in zip(figure.axes, GENERATORS, strict=True):
        drawn = [line for line in axes.lines if line.get_marker() not in ("None", None, "")]
        for line, member in zip(drawn, members, strict=True):
            assert list(line.get_xdata()) == [1, 2, 4, 8]
            expected = [100 * plain_best_of_n(results, member, generator, n).mean() for n in (1, 2, 4, 8)]
            assert list(line.get_ydata()) == pytest.approx(expected)
        assert {text.get_text() for text in axes.texts} == {*labels, "majority"}
        # In grey, what had less data is paler.
        greys = [np.dot(_rgb(line.get_color()), [0.299, 0.587, 0.114]) for line in drawn]
        assert greys == sorted(greys, reverse=True) and len(set(greys)) == len(greys)


def _rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])


def test_nothing_is_made_of_what_is_not_there(tmp_path: Path) -> None:
    found = load_results(write_results(tmp_path, {"log-likelihood": MODELS["log-likelihood"], "ce": MODELS["ce"]}))
    evaluation = Evaluation(found, compute_accuracies(found, 4))
    for make in (ablation_tables.training_data, ablation_tables.policies, ablation_tables.reference_model):
        assert make(evaluation) is None
    with styled():
        assert analysis_figures.by_instructions(evaluation, Palette.of(evaluation)) is None
        assert analysis_figures.by_responses(evaluation, Palette.of(evaluation)) is None


def test_texts_say_what_the_frame_says(evaluation: Evaluation) -> None:
    table = ablation_tables.training_data(evaluation)
    assert table is not None
    text, tex = ablation_markdown(table), ablation_latex(table)
    row = table.frame().set_index("reward_model").loc["mixed"]
    line = next(line for line in text.splitlines() if "| mixed |" in line)
    assert f"{row['avg']:.1f}" in line and f"[{row['avg_low']:.1f}, {row['avg_high']:.1f}]" in line
    assert f"{abs(row['difference']):.1f} [" in line and "p " in line
    assert "| base | dpo-8 |" in text and text.count("**") == 2 * len(table.values)
    assert r"odd\_ones" in tex and "−" not in tex and "\0" not in tex and tex.count(r"\textbf{") == len(table.values)
    body = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert len(body) == 1 + len(table.frame()) and {line.count("&") for line in body} == {5}
    frame = table.frame().to_dict("list")
    assert json.dumps(frame["avg"])  # plain numbers
