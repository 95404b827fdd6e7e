"""A run with problems whose prompts are longer than a generator reads: what it skips, says, counts and charges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from places import MODELS
from runs import bonbench

from bonbench.generators.transformers import TransformersGenerator, TransformersParams
from bonbench.reward_models.training.data import prepare
from bonbench.reward_models.training.labelled_steps import at_every_token
from bonbench.reward_models.training.params import StepTokenTrainerParams
from bonbench.verifiers.math import MathParams, MathVerifier
from harness.analysis.choosers import PASS_AT_1
from harness.analysis.compute_accuracies import compute_accuracies
from harness.core.components import Generator
from harness.core.params import ComponentParams
from harness.core.records import Grade, GradedSolution, Problem, Response, Sampling, Solution, StepLabels
from harness.core.stages import StageKind
from harness.cost_model.gpus import GPUS
from harness.engine import tasks
from harness.engine.build import build_graph
from harness.engine.graph import Graph
from harness.engine.local_executor import LocalExecutor
from harness.engine.plan import plan
from harness.engine.progress import Board
from harness.engine.run import run_stages
from harness.engine.stored_rollouts import _share
from harness.engine.too_long import too_long_lines
from harness.experiment.config import Experiment
from harness.report.write import write_report
from harness.storage.arrow import to_records, to_table
from harness.storage.results import load_results
from harness.storage.shards import read_shard, shard_meta

LONG = "What is 1 + 1? " * 60  # more than the 256 positions of the pocket models
IDS = ["a", "long", "b", "longer", "c"]


def graph(folder: Path, **entry: Any) -> Graph:
    """Five problems in shards of one: of the second and the fourth only "short", a server's model, could read all."""
    folder.mkdir(exist_ok=True)
    rows = [
        {"problem_id": id_, "problem": LONG if "long" in id_ else f"Compute {i} + 2.", "answer": str(i + 2)}
        for i, id_ in enumerate(IDS)
    ]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recorded = [
        {
            "problem_id": row["problem_id"],
            "problem": row["problem"],
            "gold": row["answer"],
            "samples": [{"text": f"\\boxed{{{row['answer']}}}"}, {"text": "\\boxed{0}"}],
        }
        for row in rows
    ]
    (folder / "recorded.jsonl").write_text("".join(json.dumps(row) + "\n" for row in recorded))
    raw = {
        "name": "x",
        "output": str(folder / "results"),
        "problems": {"test": {"dataset": "jsonl", "path": str(folder / "test.jsonl")}},
        "sampling": {"n": 2, "max_tokens": 300},
        "generators": {
            "middle": {"type": "transformers", "model": str(MODELS / "middle"), **entry},
            "recorded": {"type": "replay", "path": str(folder / "recorded.jsonl")},
        },
        "reward_models": {
            "length": {"type": "length"},
            "ll": {"type": "implicit", "policy": "middle", "reference": None},
        },
        "policies": {"models": {"same": {"type": "transformers", "model": "middle"}}},
        "evaluation": {"n": [1, 2], "bootstrap": 50, "protocol": ["subsets", "first_n"]},
        "problems_per_shard": 1,
    }
    return build_graph(Experiment.model_validate(raw))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    planned = graph(tmp_path_factory.mktemp("long"))
    with Board() as board:
        outcome = run_stages(planned, planned.nodes, LocalExecutor(), board)
    assert not outcome.quarantined
    write_report(planned.results)
    return planned


@pytest.mark.thorough
def test_the_run_goes_on(run: Graph) -> None:
    shards = run.stage(StageKind.SAMPLE, "middle").shards
    for id_, shard in zip(IDS, shards, strict=True):
        path = shard.path(run.results)
        responses = to_records(Response, read_shard(path))
        assert [(r.problem_id, r.sample) for r in responses] == ([] if "long" in id_ else [(id_, 0), (id_, 1)])
        assert shard_meta(path).get("unanswered", []) == ([id_] if "long" in id_ else [])
        assert all(r.n_prompt_tokens + r.n_tokens <= 256 for r in responses)
    because = TransformersGenerator.unanswered_because
    assert load_results(run.results).unanswered("middle") == {"long": because, "longer": because}
    assert load_results(run.results).unanswered("recorded") == {}


@pytest.mark.thorough
def test_they_count_as_wrong_whoever_chooses(run: Graph) -> None:
    """The other problems have the accuracies that they would have alone."""
    results = load_results(run.results)
    grades = results.grades[results.grades["generator"] == "middle"].groupby("problem_id")["correct"].mean()
    accuracies = compute_accuracies(results)
    assert set(grades.index) == {"a", "b", "c"}
    expected = np.array([0.0 if "long" in id_ else grades[id_] for id_ in IDS])
    values = accuracies.values("middle", PASS_AT_1, 1)
    assert values is not None
    np.testing.assert_allclose(values, expected)
    asked = {
        (chooser, protocol) for generator, chooser, protocol, n in accuracies.rows if generator == "middle" and n == 2
    }
    assert len(asked) == 2 * (3 + 2 * len(results.variants()))
    for key, of_row in accuracies.rows.items():
        if key.generator == "middle":
            assert np.isfinite(of_row).all() and of_row[1] == of_row[3] == 0, key
    assert {row.accuracy.n_problems for row in accuracies.table()} == {5}


@pytest.mark.thorough
def test_the_report_counts_them(run: Graph) -> None:
    rows = pd.read_csv(run.results / "tables" / "unanswered.csv", keep_default_na=False).to_dict("records")
    because = TransformersGenerator.unanswered_because
    missing = {"n_problems": 5, "unanswered": 2, "share": 40.0, "reasons": because}
    assert rows == [
        {"generator": "middle", **missing},
        {"generator": "recorded", "n_problems": 5, "unanswered": 0, "share": 0.0, "reasons": ""},
        {"generator": "same", **missing},
    ]
    page = (run.results / "report.html").read_text()
    assert f"middle has no responses to 2 of the 5 problems ({because})" in page and 'id="unanswered"' in page
    third = pd.read_csv(run.results / "tables" / "table3.csv")
    right = load_results(run.results).policy_grades().groupby("problem_id")["correct"].mean()
    assert set(right.index) == {"a", "b", "c"}
    assert third["pass@1"].tolist() == [pytest.approx(100 * right.sum() / 5)]


@pytest.mark.thorough
def test_nothing_is_sampled_again(run: Graph) -> None:
    with Board() as board:
        outcome = run_stages(run, run.nodes, LocalExecutor(), board)
    assert outcome.computed == 0 and not list(too_long_lines(run, run.nodes))


@pytest.mark.thorough
def test_a_plan_and_the_start_of_a_run_say_how_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = {
        choice: list(too_long_lines(planned := graph(tmp_path / choice, too_long=choice), planned.nodes))
        for choice in ("skip", "truncate", "error")
    }
    begun = "sample middle: problems whose prompt is longer than the model reads: 2; "
    assert lines["skip"][0] == begun + "they will have no responses."
    assert lines["truncate"][0] == begun + "they will be cut."
    assert lines["error"][0] == begun + "too_long: error stops the entry at the first of them."
    assert lines["skip"][0] in plan(graph(tmp_path / "skip"), GPUS["h100"], 512).assumptions
    planned = graph(tmp_path / "error", too_long="error")
    with Board() as board:
        outcome = run_stages(planned, planned.nodes, LocalExecutor(), board)
    said = " ".join("".join(capsys.readouterr()).split())
    assert lines["error"][0] in said
    assert "the prompt of problem 'long' has" in said
    assert any("the prompt of problem 'long' has" in str(mistake) for mistake in outcome.mistakes)


def test_a_generator_that_reads_no_prompt_is_named(tmp_path: Path) -> None:
    config = tmp_path / "x.yaml"
    (tmp_path / "test.jsonl").write_text(json.dumps({"problem": LONG, "answer": "2"}) + "\n")
    config.write_text(
        f"name: x\noutput: {tmp_path}/out\nproblems: {{test: {{dataset: jsonl, path: {tmp_path}/test.jsonl}}}}\n"
        f"sampling: {{n: 1, max_tokens: 4}}\n"
        f"generators: {{middle: {{type: transformers, model: {MODELS / 'middle'}}}}}\n"
        "reward_models: {length: {type: length}}\nevaluation: {n: [1]}\n"
    )
    done = bonbench("run", config, "--local")
    assert done.code == 2
    assert "middle has no response to any problem: the prompt is longer than the model reads" in done.err


class _Silent(Generator[ComponentParams]):
    def generate(self, problems: Any, sampling: Any, seeds: Any) -> list[Response]:
        return []


def test_silence_without_a_reason_is_an_error() -> None:
    problems = to_table(Problem, [Problem("p", "1 + 1", "2")])
    with pytest.raises(RuntimeError, match="did not return 1 ordered responses"):
        tasks.sample(_Silent(ComponentParams(), "mine"), problems, Sampling(n=1), 0)


def test_beginnings_without_room_have_no_completions(tmp_path: Path) -> None:
    """Their steps have no label, and the trainings leave their rollouts out and count them."""
    problem = Problem("p", "Compute 1 + 2.", "3")
    texts = ["1 + 2 = 3\nThe answer is 3.", "1 + 2 = 3\n" + "3 = 3 " * 200 + "\nThe answer is 3."]
    rollouts = [Response("p", "g", i, text, finish_reason="stop") for i, text in enumerate(texts)]
    tables = {"problems": to_table(Problem, [problem]), "responses": to_table(Response, rollouts)}
    generator = TransformersGenerator(TransformersParams(model=str(MODELS / "middle")), "middle")
    completions = tasks.complete(generator, **tables, sampling=Sampling(n=2, max_tokens=96), run_seed=0).table
    assert completions["problem_id"].to_pylist() == ["p#0"] * 2  # what both begin with
    grades = [Grade("p", "g", i, "3", True, "exact", 0) for i in range(2)]
    labelled = tasks.label(
        MathVerifier(MathParams()), **tables, grades=to_table(Grade, grades), completions=completions
    )
    labels = to_records(StepLabels, labelled.table)
    assert [label.n for label in labels] == [(2, 1), (2, 0, 1)]
    shares = [tuple(map(_share, label.n_correct, label.n)) for label in labels]
    assert np.isnan(shares[1]).tolist() == [False, True, False]
    params = StepTokenTrainerParams(base=str(MODELS / "middle"))
    data = [GradedSolution(Solution(problem, r), True, s) for r, s in zip(rollouts, shares, strict=True)]
    prepared = prepare(data, params, at_every_token)
    assert prepared.rows.tolist() == [0]
    assert prepared.dropped == {"too long to complete": 1}
