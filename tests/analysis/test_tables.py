"""Tables against plain recomputation from the stored rows, and the figures of real recorded responses."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plain import plain_best_of_n
from results_folder import GENERATORS, N_PROBLEMS, N_SAMPLES, REWARD_MODELS, write_results, write_rows

from harness.analysis import headline_tables as tables
from harness.analysis.choosers import AVERAGE, MAJORITY, ORACLE, PASS_AT_1, Chooser
from harness.analysis.compare import compare
from harness.analysis.compute_accuracies import compute_accuracies
from harness.analysis.costs import development_flops, generation_flops
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import holm
from harness.analysis.rows import to_frame
from harness.core.errors import UserError
from harness.core.records import Grade, Problem, Response, StepScores
from harness.report import table_texts as texts
from harness.report import text as rendering
from harness.storage.results import Results, load_results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return load_results(write_results(tmp_path_factory.mktemp("results") / "tiny"))


@pytest.fixture(scope="module")
def evaluation(results: Results) -> Evaluation:
    return Evaluation.of(results)


def test_accuracy_table_is_the_long_form_and_right(results: Results) -> None:
    frame = to_frame(compute_accuracies(results).table())
    assert list(frame) == [
        *("generator", "reward_model", "strategy", "aggregation", "protocol", "n"),
        *("accuracy", "ci_low", "ci_high", "n_problems"),
    ]
    methods = 3 + 2 * len(REWARD_MODELS)
    assert len(frame) == (len(GENERATORS) + 1) * methods * 4
    assert sorted(frame["n"].unique()) == [1, 2, 4, 8]
    assert not frame.duplicated(["generator", "reward_model", "strategy", "aggregation", "protocol", "n"]).any()
    rules = frame[frame["strategy"].isin(["average", "oracle", "majority"])]
    assert (rules["reward_model"] == "").all() and (rules["aggregation"] == "").all()
    assert (frame["ci_low"] <= frame["accuracy"]).all() and (frame["accuracy"] <= frame["ci_high"]).all()
    assert (frame["n_problems"] == N_PROBLEMS).all()
    rows = frame.set_index(["generator", "reward_model", "strategy", "n"])["accuracy"]
    for n in (1, 4, 8):
        found = [rows[g, "ce-2", "best_of_n", n] for g in GENERATORS]
        assert found == pytest.approx([100 * plain_best_of_n(results, "ce-2", g, n).mean() for g in GENERATORS])
        assert rows[AVERAGE, "ce-2", "best_of_n", n] == pytest.approx(np.mean(found))


def test_a_reward_model_without_a_meaningful_aggregation_is_named(tmp_path: Path) -> None:
    models = {"ce": REWARD_MODELS["log-likelihood"], "chance": {"score_type": "probability"}}
    for aggregation, left, why in (
        ("prod", "ce", "prod needs probabilities, and these scores are log-ratio"),
        ("min_running_sum", "chance", "min_running_sum needs rewards that add up, and a sum of probabilities"),
    ):
        evaluation = {"n": [1, 8], "aggregation": aggregation, "bootstrap": 20}
        results = load_results(write_results(tmp_path / aggregation, models, evaluation=evaluation))
        accuracies = compute_accuracies(results)
        assert list(accuracies.left_out) == [left] and accuracies.left_out[left].startswith(why)
        assert {key.chooser.reward_model for key in accuracies.rows} == {"", *models} - {left}
        with pytest.raises(UserError, match=f"{left} is left out: {aggregation} needs"):
            compare(results, left, "majority")


def test_both_protocols_and_several_aggregations(tmp_path: Path) -> None:
    evaluation = {"n": [1, 3], "aggregation": ["last", "prod"], "bootstrap": 50, "protocol": ["first_n", "subsets"]}
    accuracies = compute_accuracies(load_results(write_results(tmp_path, evaluation=evaluation)))
    frame = to_frame(accuracies.table())
    assert set(frame["protocol"]) == {"first_n", "subsets"}
    assert accuracies.protocol == "subsets"
    assert set(frame["aggregation"]) == {"", "last"}  # a product of log-ratios has no meaning
    assert sorted(frame["n"].unique()) == [1, 2, 3, 4, 8]
    wide = frame.pivot_table(
        index=["generator", "reward_model", "strategy"], columns=["protocol", "n"], values="accuracy"
    )
    # At n = N there is one subset: the protocols agree on everything.
    assert wide["first_n", 8].to_numpy() == pytest.approx(wide["subsets", 8].to_numpy())
    assert not np.allclose(wide["first_n", 4], wide["subsets", 4])


def test_problems_without_scores_are_left_out_of_that_row_only(tmp_path: Path) -> None:
    folder = write_results(tmp_path)
    (folder / "scores" / "ce-2" / "weak" / "part-00001.parquet").unlink()
    frame = to_frame(compute_accuracies(load_results(folder)).table())
    counts = frame.groupby(["generator", "reward_model"])["n_problems"].unique()
    assert counts["weak", "ce-2"].tolist() == [N_PROBLEMS // 2]
    assert counts[AVERAGE, "ce-2"].tolist() == [N_PROBLEMS // 2]
    assert counts["strong", "ce-2"].tolist() == counts["weak", "ce-4"].tolist() == [N_PROBLEMS]


def test_table1_has_a_row_per_method_and_the_papers_average(evaluation: Evaluation) -> None:
    table = tables.table1(evaluation)
    assert [row.label for row in table.rows] == ["pass@1", "majority", *REWARD_MODELS, "pass@n (oracle)"]
    assert table.columns == (
        *((g, n) for g in GENERATORS for n in (1, 4, 8)),
        (AVERAGE, None),
    )
    row = next(r for r in table.rows if r.label == "ce-4")
    cells = [c.mean for c in row.cells if c is not None]
    assert cells[-1] == pytest.approx(np.mean([cells[1], cells[2], cells[4], cells[5]]))
    assert table.best(0) is None  # at n = 1 there is nothing to choose
    best = max(round(100 * r.cells[2].mean, 1) for r in table.rows[:-1] if r.cells[2])
    assert table.best(2) == best

    text = texts.table1_markdown(table)
    assert text.splitlines()[0].startswith("| accuracy (%) | weak @1 | weak @4 | weak @8 | strong @1 |")
    assert f"**{best:.1f}** [" in text
    tex = texts.table1_latex(table)
    assert r"\multicolumn{3}{c}{weak}" in tex and r"\bottomrule" in tex and rf"\textbf{{{best:.1f}}}" in tex
    assert r"\cmidrule(lr){2-4} \cmidrule(lr){5-7}" in tex and tex.count(r"\midrule") == 3
    assert all(line.count("&") == 7 for line in tex.splitlines() if line.startswith(("ce", "pass", "majority", "log")))
    frame = pd.read_csv(io.StringIO(rendering.csv(table.frame())))
    assert frame.set_index("method").loc["ce-4", "avg"] == pytest.approx(100 * cells[-1])


def test_ties_are_those_whose_paired_interval_reaches_zero(evaluation: Evaluation) -> None:
    accuracies = evaluation.accuracies
    table = tables.table1(evaluation)
    rows = {row.label: (i, row.chooser) for i, row in enumerate(table.rows)}
    for column, (generator, n) in enumerate(table.columns):
        values = {
            label: accuracies.overall(m) if n is None else accuracies.values(generator, m, n)
            for label, (_, m) in rows.items()
        }
        contenders = [label for label in rows if rows[label][1] != ORACLE]
        best = max(contenders, key=lambda label: values[label].mean())  # type: ignore[union-attr]
        for label, (row, _) in rows.items():
            behind = accuracies.difference(values[best], values[label])  # type: ignore[arg-type]
            expected = label in contenders and label != best and behind.low <= 1e-12 and n != 1
            assert ((row, column) in table.tied) == expected, (label, generator, n)
    assert table.tied
    text, tex = texts.table1_markdown(table), texts.table1_latex(table)
    marked = sum((row, column) in table.tied for row, column in _marked_cells(table))
    assert text.splitlines()[0:-2] and "\n".join(text.splitlines()[:-1]).count("†") == marked
    assert tex.count(r"\rlap{$^\dagger$}") == marked and r"$^\dagger$: cannot be told" in tex
    # Braces balance: nothing is left open around the text that is written into them.
    assert tex.count("{") == tex.count("}")


def _marked_cells(table: tables.Table1) -> list[tuple[int, int]]:
    """Cells that are not bold: as good as the best once rounded is bold, tied or not."""
    return [
        (i, column)
        for i, row in enumerate(table.rows)
        for column, cell in enumerate(row.cells)
        if cell is not None and round(100 * cell.mean, 1) != table.best(column)
    ]


def test_latex_and_markdown_escape_names() -> None:
    assert rendering.latex("a_b & 50% {x}^2~\\") == (
        r"a\_b \& 50\% \{x\}\textasciicircum{}2\textasciitilde{}\textbackslash{}"
    )
    assert rendering.markdown(["a|b"], [["c|d"]]).splitlines() == ["| a\\|b |", "| :-- |", "| c\\|d |"]


def test_comparisons_are_paired_and_meet_their_rivals(evaluation: Evaluation) -> None:
    accuracies = evaluation.accuracies
    rows = tables.comparisons(evaluation)
    frame = to_frame(rows)
    rivals = frame.groupby("reward_model")["against"].agg(lambda names: set(names)).to_dict()
    assert rivals["log-likelihood"] == {"pass@1", "majority"}
    assert rivals["ce-2"] == {"pass@1", "majority", "log-likelihood"}
    assert set(frame["n"].dropna()) == {4, 8}
    row = frame[(frame["generator"] == "weak") & (frame["n"] == 8) & (frame["reward_model"] == "ce-2")]
    row = row[row["against"] == "log-likelihood"].iloc[0]
    ours, theirs = (accuracies.values("weak", Chooser("best_of_n", m, "min"), 8) for m in ("ce-2", "log-likelihood"))
    assert ours is not None and theirs is not None
    assert row["difference"] == pytest.approx(100 * (ours - theirs).mean())
    assert (row["won"], row["lost"]) == ((ours > theirs).sum(), (ours < theirs).sum())
    assert row["ci_low"] <= row["difference"] <= row["ci_high"]
    assert "ce-2 | log-likelihood | 8 |" in texts.comparisons_markdown(rows)
    # Corrected within the comparisons of a generator and n, and by no others.
    together = frame[(frame["generator"] == "weak") & (frame["n"] == 8)]
    assert together["p_holm"].to_numpy() == pytest.approx(holm(together["p_permutation"].to_numpy()))
    assert frame["p_holm"].notna().all() and (frame["p_holm"] >= frame["p_permutation"]).all()
    smallest = together["p_permutation"].idxmin()
    assert frame.loc[smallest, "p_holm"] == pytest.approx(min(1, len(together) * frame.loc[smallest, "p_permutation"]))


def test_weighted_table_lays_three_rules_side_by_side(evaluation: Evaluation) -> None:
    accuracies = evaluation.accuracies
    frame = to_frame(tables.weighted_table(evaluation))
    row = frame[(frame["generator"] == "strong") & (frame["n"] == 4) & (frame["reward_model"] == "ce-4")].iloc[0]
    method = Chooser("best_of_n", "ce-4", "min")
    for column, m in (
        ("best_of_n", method),
        ("weighted_best_of_n", method.weighted),
        ("majority", MAJORITY),
    ):
        assert row[column] == pytest.approx(100 * accuracies.values("strong", m, 4).mean())  # type: ignore[union-attr]
    assert row["over_majority"] == pytest.approx(row["weighted_best_of_n"] - row["majority"])
    assert row["over_best_of_n"] == pytest.approx(row["weighted_best_of_n"] - row["best_of_n"])


def test_answers_count_every_response_by_reason(evaluation: Evaluation) -> None:
    frame = to_frame(tables.answers(evaluation))
    assert frame.groupby("generator")["responses"].sum().tolist() == [N_PROBLEMS * N_SAMPLES] * 2
    none = frame[frame["reason"] == "no answer"]
    assert (none["without_answer"] == none["responses"]).all() and not none["correct"].any()
    assert frame[frame["reason"] != "no answer"]["without_answer"].sum() == 0
    assert frame.groupby("generator")["percent"].sum().tolist() == pytest.approx([100.0, 100.0])


def test_breakdown_by_subject_averages_to_the_whole(evaluation: Evaluation) -> None:
    accuracies = evaluation.accuracies
    frame = to_frame(tables.breakdown(evaluation))
    rows = frame[(frame["by"] == "subject") & (frame["row"] == "majority")]
    whole = 100 * accuracies.values(AVERAGE, MAJORITY, 8).mean()  # type: ignore[union-attr]
    assert np.average(rows["accuracy"], weights=rows["n_problems"]) == pytest.approx(whole)
    assert set(frame["row"]) == {"pass@1", "majority", "log-likelihood", "ce-4", "ce-4-alone"}
    assert frame[frame["by"] == "level"]["group"].unique().tolist() == ["1", "2", "3"]


def test_costs_follow_the_ledger(results: Results, evaluation: Evaluation) -> None:
    costs = evaluation.costs.set_index(["reward_model", "item"])
    # The reference pass is charged in full to each reward model that reads it.
    assert costs.loc[("ce-2", "scoring"), "flops"] == 3e8 + 1e8
    assert costs.loc[("ce-4-alone", "scoring"), "flops"] == 2e8
    assert costs.loc[("ce-2", "scoring"), "seconds"] == 2.0 + 2.0 + 0.5
    assert costs.loc[("ce-2", "collection"), "completion_tokens"] == 200
    assert costs.loc[("ce-4", "training"), "train_tokens"] == 400
    assert ("log-likelihood", "training") not in costs.index
    # An entry that scores with another one's model took the same development.
    assert development_flops(costs.reset_index()) == {"ce-2": 1.4e8, "ce-4": 2.8e8, "ce-4-alone": 2.8e8}
    assert generation_flops(results) == 2e9


def test_methods_group_data_scales_and_reference(evaluation: Evaluation) -> None:
    found = evaluation.trainings
    assert [(i.method, i.scale) for i in found.values()] == [
        ("log-likelihood", None),
        ("CE", 2),
        ("CE", 4),
        ("CE, no reference", 4),
    ]
    assert [i.reward_model for i in evaluation.headline] == ["log-likelihood", "ce-4", "ce-4-alone"]


@pytest.mark.parametrize(
    ("breaks", "message"),
    [
        (lambda f: (f / "manifest.json").unlink(), "no results there"),
        (lambda f: (f / "manifest.json").write_text('{"name": "x",\n]'), "manifest.json line 2: not JSON"),
        (lambda f: (f / "manifest.json").write_text('{"name": "x"}'), "manifest.json: seed"),
        (lambda f: [p.unlink() for p in (f / "grades" / "weak").iterdir()], "no grades of weak"),
        (lambda f: [p.unlink() for p in (f / "problems" / "test").iterdir()], "no problems under problems/test"),
        (lambda f: (f / "grades" / "weak" / "part-00000.parquet").write_bytes(b"PAR1"), "part-00000.parquet"),
    ],
)
def test_broken_folders_are_one_clear_error(tmp_path: Path, breaks, message: str) -> None:  # type: ignore[no-untyped-def]
    folder = write_results(tmp_path)
    breaks(folder)
    with pytest.raises(UserError, match=message):
        load_results(folder)


def test_a_reward_model_with_scores_that_are_not_finite_is_left_out(tmp_path: Path) -> None:
    folder = write_results(tmp_path)
    results = load_results(folder)
    rows = [StepScores(**r) for r in results.scores("ce-2", "weak").to_pylist()]
    rows[3] = StepScores(rows[3].problem_id, "weak", rows[3].sample, "ce-2", (float("nan"), 1.0), None, 2)
    write_rows(folder / "scores" / "ce-2" / "weak", StepScores, rows)
    accuracies = compute_accuracies(load_results(folder))
    why = f"sample {rows[3].sample} of problem {rows[3].problem_id!r} by weak has a step reward of nan"
    assert accuracies.left_out == {"ce-2": why}
    models = {key.chooser.reward_model for key in accuracies.rows}
    assert models == {"", "log-likelihood", "ce-4", "ce-4-alone"}


# --- recorded real responses, through the stored layout ------------------------------------------------


def test_recorded_math500_gives_the_reference_metrics(tmp_path: Path, shared_data: Path) -> None:
    with gzip.open(shared_data / "math500_recorded.jsonl.gz", "rt") as lines:
        recorded = [json.loads(line) for line in lines]
    with gzip.open(shared_data / "math500_labels_dev.jsonl.gz", "rt") as lines:
        labels = {(x["problem_id"], x["sample"]): x for x in map(json.loads, lines)}
    problems, responses, grades, scores = [], [], [], []
    for entry in recorded:
        id_, classes = entry["problem_id"], {}
        problems.append(Problem(id_, entry["problem"], entry["gold"], entry["subject"], entry["level"], "test"))
        for i, sample in enumerate(entry["samples"]):
            label = labels[id_, i]
            correct, answer = bool(label["correct"]), label["extracted"]
            name = "right" if correct else answer
            answer_class = -1 if answer is None else classes.setdefault(name, len(classes))
            responses.append(Response(id_, "recorded", i, sample["text"]))
            grades.append(Grade(id_, "recorded", i, answer, correct, label["extraction"], answer_class))
            scores.append(StepScores(id_, "recorded", i, "qwen_prm", tuple(sample["step_scores"]["qwen_prm"]), None, 0))
    write_rows(tmp_path / "problems" / "test", Problem, problems)
    write_rows(tmp_path / "responses" / "recorded", Response, responses)
    write_rows(tmp_path / "grades" / "recorded", Grade, grades)
    write_rows(tmp_path / "scores" / "qwen_prm" / "recorded", StepScores, scores)
    manifest = {
        "name": "recorded",
        "seed": 0,
        "evaluation": {"n": [1, 4, 16, 32], "aggregation": ["min", "last", "prod", "mean"], "bootstrap": 200},
        "generators": {"recorded": {"type": "replay"}},
        "reward_models": {"qwen_prm": {"type": "recorded", "score_type": "probability"}},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    results = load_results(tmp_path)
    evaluation = Evaluation.of(results)
    written = pd.read_csv(io.StringIO(rendering.csv(to_frame(evaluation.accuracies.table()))), keep_default_na=False)
    rows = written.set_index(["strategy", "aggregation", "n"])["accuracy"]
    reference = json.loads((shared_data / "reference_metrics_dev.json").read_text())["math500"]
    for n in (1, 2, 4, 8, 16, 32):
        assert rows["oracle", "", n] == pytest.approx(reference["pass@n"][str(n)], abs=1e-6)
        assert rows["average", "", n] == pytest.approx(reference["pass@n"]["1"], abs=1e-6)
        for aggregation, expected in reference["best_of_n"]["qwen_prm"].items():
            assert rows["best_of_n", aggregation, n] == pytest.approx(expected[str(n)], abs=1e-6)
    # Voting ends: one sample is pass@1 (those without an answer are wrong anyway); majority is above it at 32.
    assert rows["majority", "", 1] == pytest.approx(reference["pass@n"]["1"], abs=1e-6)
    assert reference["pass@n"]["1"] < rows["majority", "", 32] < reference["pass@n"]["32"]
    labelled = list(evaluation.choosers.values())
    assert labelled == [f"qwen_prm ({a})" for a in ("min", "last", "prod", "mean")]


def test_pass_at_1_and_oracle_bound_every_choice(evaluation: Evaluation) -> None:
    accuracies = evaluation.accuracies
    for generator in (*GENERATORS, AVERAGE):
        for n in accuracies.ns(generator):
            top = accuracies.values(generator, ORACLE, n)
            for key, values in accuracies.rows.items():
                if (key.generator, key.n) == (generator, n):
                    assert (values <= top + 1e-9).all()
        assert accuracies.values(generator, PASS_AT_1, 1) is accuracies.values(generator, PASS_AT_1, 8)


def test_the_note_says_who_learns_from_fewer_problems(evaluation: Evaluation, tmp_path: Path) -> None:
    train = {**REWARD_MODELS["ce-2"]["train"], "label_share": 0.25}
    models = {**REWARD_MODELS, "ce-2": {**REWARD_MODELS["ce-2"], "train": train}}
    fewer = Evaluation.of(load_results(write_results(tmp_path / "tiny", models)))
    said = "Trained on 25 % of the training problems, those whose step labels were paid for: ce-2."
    assert texts.table1_note(tables.table1(fewer)).endswith(said)
    assert "training problems" not in texts.table1_note(tables.table1(evaluation))
