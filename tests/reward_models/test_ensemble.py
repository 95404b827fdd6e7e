"""Ensembles: ranks, z-scores and minima by hand, and what they read of a run."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from runs import bonbench

from bonbench.reward_models.ensemble import Ensemble, EnsembleParams
from harness.core.errors import UserError
from harness.core.records import MemberScore, Problem, Response, Solution, StepScores
from harness.core.stages import StageKind
from harness.engine.build import build_graph
from harness.engine.tasks import score, score_role
from harness.experiment.config import load_experiment
from harness.experiment.spec import unkeyed
from harness.storage.arrow import to_records, to_table

Scores = dict[str, list[float | None]]
A: Scores = {"a": [3.0, 1.0, 1.0, 9.0], "b": [-5.0, 2.0, 0.5, 0.0]}


def batch(scores: Scores, problem: str = "p", score_type: Any = "unbounded") -> list[Solution]:
    n = len(next(iter(scores.values())))
    return [
        Solution(
            Problem(problem, "1 + 1", "2"),
            Response(problem, "g", i, "2"),
            scores={name: MemberScore(values[i], score_type) for name, values in scores.items()},
        )
        for i in range(n)
    ]


def combined(solutions: list[Solution], **params: Any) -> list[float | None]:
    ensemble = Ensemble(EnsembleParams.model_validate({"of": ["a", "b"], **params}), "e")
    return [s.step_rewards[0] if s.step_rewards else None for s in ensemble.score(solutions)]


def test_ranks_by_hand() -> None:
    # a: 9 is the best of four, the two 1s share the places 1 and 2; b: 2.0 is the best.
    a, b = [2.5, 1.0, 1.0, 3.5], [0.5, 3.5, 2.5, 1.5]
    assert combined(batch(A)) == pytest.approx([(x + y) / 8 for x, y in zip(a, b, strict=True)])
    assert combined(batch(A), combine="min") == pytest.approx([min(x, y) / 4 for x, y in zip(a, b, strict=True)])
    # An order-preserving change of a member changes nothing.
    other = {**A, "a": [np.exp(v) for v in A["a"] if v is not None]}
    assert combined(batch(other)) == combined(batch(A))


def test_z_scores_by_hand() -> None:
    def z(values: list[float]) -> list[float]:
        return [(v - statistics.fmean(values)) / statistics.pstdev(values) for v in values]

    means = [(x + y) / 2 for x, y in zip(z([3.0, 1.0, 1.0, 9.0]), z([-5.0, 2.0, 0.5, 0.0]), strict=True)]
    assert combined(batch(A), scale="z-scores") == pytest.approx(means)
    # A member that tells nothing apart adds nothing, however its mean is rounded.
    flat = {"a": [0.1] * 3, "b": [1.0, 2.0, 3.0]}
    assert combined(batch(flat), scale="z-scores") == pytest.approx([v / 2 for v in z([1.0, 2.0, 3.0])])


def test_plain_scores_are_of_one_type() -> None:
    assert combined(batch(A), scale="scores", combine="min") == [-5.0, 1.0, 0.5, 0.0]
    probabilities = batch({"a": [0.5], "b": [0.25]}, score_type="probability")
    ensemble = Ensemble(EnsembleParams(of=("a", "b"), scale="scores"))
    assert ensemble.score(probabilities)[0].step_rewards == (0.375,)
    assert ensemble.score_type == "probability"
    one = batch(A)[0]
    mixed = replace(one, scores={**one.scores, "b": MemberScore(0.5, "probability")})
    with pytest.raises(UserError, match="those of a are unbounded, those of b are probability: set scale"):
        ensemble.score([mixed])


def test_pessimism_takes_the_members_spread_off_their_mean() -> None:
    a, b = [3.0, 1.0, 1.0, 9.0], [-5.0, 2.0, 0.5, 0.0]
    # Two numbers have half their distance as standard deviation.
    expected = [(x + y) / 2 - 0.5 * abs(x - y) / 2 for x, y in zip(a, b, strict=True)]
    assert combined(batch(A), scale="scores", pessimism=0.5) == pytest.approx(expected)
    assert combined(batch(A), pessimism=0) == combined(batch(A))
    params = {"of": ("a", "b"), "pessimism": 3.0}
    for scale in ("ranks", "scores"):  # below 0 there is no probability
        ensemble = Ensemble(EnsembleParams.model_validate({**params, "scale": scale}))
        scored = ensemble.score(batch({"a": [0.0, 1.0], "b": [1.0, 0.0]}, score_type="probability"))
        assert ensemble.score_type == "unbounded" and scored[0].step_rewards[0] < 0
    assert "pessimism" in unkeyed(EnsembleParams(of=("a", "b"))), "stored scores go on being found"


def test_each_problem_for_itself_and_what_a_member_left_unscored() -> None:
    first, second = {"a": [1.0, 2.0], "b": [1.0, 2.0]}, {"a": [7.0, None, 5.0], "b": [0.0, 9.0, None]}
    found = combined([*batch(first), *batch(second, "q")])
    assert found == [0.25, 0.75, 0.5, None, None]  # one response of the second problem is scored by both
    assert combined(batch({"a": [None], "b": [None]})) == [None]


def test_mistakes() -> None:
    for of in (["a"], ["a", "a"]):
        with pytest.raises(ValidationError):
            EnsembleParams.model_validate({"of": of})
    with pytest.raises(ValidationError, match="leave out combine: min"):
        EnsembleParams.model_validate({"of": ["a", "b"], "combine": "min", "pessimism": 1})


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ensemble")
    rng = np.random.default_rng(0)
    lines = []
    for p in range(6):
        samples = [
            {
                "text": f"so\n\nthe answer is \\boxed{{{answer}}}" + "." * int(rng.integers(0, 9)),
                "step_scores": {name: rng.random(2).round(3).tolist() for name in ("x", "y")},
            }
            for answer in rng.integers(0, 3, size=4)
        ]
        lines.append(json.dumps({"problem_id": str(p), "problem": f"{p}?", "gold": "1", "samples": samples}))
    (folder / "responses.jsonl").write_text("\n".join(lines))
    experiment: dict[str, Any] = {
        "name": "e",
        "output": str(folder / "results"),
        "responses": str(folder / "responses.jsonl"),
        "reward_models": {
            # It stands before the entries that it needs.
            "both": {"type": "ensemble", "of": ["y", "short"], "combine": "min"},
            "all": {"type": "ensemble", "of": ["x", "y", "both"], "scale": ["ranks", "z-scores"]},
            "recorded": {"type": "recorded", "path": str(folder / "responses.jsonl")},
            "short": {"type": "length"},
        },
        "evaluation": {"n": [1, 4], "bootstrap": 20},
        "problems_per_shard": 4,
    }
    (folder / "e.json").write_text(json.dumps(experiment))
    return folder / "e.json"


def test_members_come_first(config: Path) -> None:
    graph = build_graph(load_experiment(config))
    assert list(graph.reward_models) == ["both", "all-ranks", "all-z-scores", "x", "y", "short"], (
        "tables keep the order"
    )
    order = [node.who for node in graph.nodes if node.kind is StageKind.SCORE]
    for name, spec in graph.reward_models.items():
        stage = graph.stage(StageKind.SCORE, name)
        members = spec.cls.members(spec.params)
        assert [node.who for node in stage.requires if node.kind is StageKind.SCORE] == list(members)
        assert all(order.index(member) < order.index(name) for member in members)
        assert stage.model is None


def test_a_members_scores_are_in_its_own_aggregation() -> None:
    problem, responses = Problem("p", "1 + 1", "2"), [Response("p", "g", i, "2") for i in range(3)]

    def stored(name: str, aggregation: str, *rewards: tuple[float, ...]) -> pa.Table:
        rows = [StepScores("p", "g", i, name, of, None, 1) for i, of in enumerate(rewards)]
        meta = json.dumps({"aggregation": aggregation, "score_type": "probability"})
        return to_table(StepScores, rows).replace_schema_metadata({b"meta": meta.encode()})

    members = {"a": stored("a", "mean", (0.2, 0.6), (0.5,), ()), "b": stored("b", "min", (0.9, 0.1), (0.3,), (0.4,))}
    ensemble = Ensemble(EnsembleParams(of=("a", "b"), scale="scores"), "e")
    inputs = {score_role(name): table for name, table in members.items()}
    result = score(ensemble, to_table(Problem, [problem]), to_table(Response, responses), **inputs)
    first, second, third = to_records(StepScores, result.table)
    assert first.step_rewards == pytest.approx(((0.4 + 0.1) / 2,))
    assert second.step_rewards == pytest.approx(((0.5 + 0.3) / 2,))
    assert third.step_rewards == ()
    assert (result.meta["score_type"], result.meta["unscored_because"]) == (
        "probability",
        "a member of the ensemble gave no score",
    )


@pytest.mark.parametrize(
    ("entry", "mistake"),
    [
        ("ensemble:{of: [short, yy]}", "reward_models.ensemble: no reward model is named 'yy'; did you mean y?"),
        ("ensemble:{of: [x, ensemble]}", "wait for each other's scores: ensemble -> ensemble"),
        ("ensemble:of=x", "of: a list of names is expected, for instance [a, b] (it is 'x')"),
    ],
)
def test_members_that_are_not_there(config: Path, entry: str, mistake: str) -> None:
    done = bonbench("plan", config, "--reward-model", entry)
    assert (done.code, mistake in done.err) == (2, True), done.err


def test_without_an_experiment_there_are_no_members(config: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"problem": "1", "response": "2"}\n')
    done = bonbench(
        "score", tmp_path / "in.jsonl", "--reward-model", "ensemble:{of: [x, y]}", "-o", tmp_path / "out.jsonl"
    )
    assert done.code == 2
    assert "it combines reward models of an experiment" in done.err
