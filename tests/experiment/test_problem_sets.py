"""Several problem sets in one experiment: ids, what is stored when a set is added, and mistakes in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from places import MODELS
from runs import bonbench, contents

from harness.core.errors import UserError
from harness.core.problem_ids import id_in_set, own_id
from harness.core.stages import StageKind
from harness.engine.build import build_graph
from harness.engine.graph import Graph, Shard
from harness.experiment.config import Experiment, load_experiment


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def questions(n: int, first: int = 0, **more: Any) -> list[dict[str, Any]]:
    return [{"problem": f"What is {i}?", "answer": str(i), **more} for i in range(first, first + n)]


@pytest.fixture
def raw(tmp_path: Path) -> dict[str, Any]:
    """Two sets without ids of their own, so that the rows of both have the same ones."""
    sets = {"math": questions(7), "aime": questions(3, 100), "train": questions(2, 200)}
    return {
        "name": "t",
        "output": str(tmp_path / "results"),
        "problems": {
            name: {"dataset": "jsonl", "path": write(tmp_path / f"{name}.jsonl", rows)} for name, rows in sets.items()
        },
        "sampling": {"n": 2},
        "generators": {"weak": {"type": "transformers", "model": str(MODELS / "weak")}},
        "reward_models": {"length": {"type": "length"}},
        "evaluation": {"problems": ["math", "aime"], "n": [1, 2]},
        "problems_per_shard": 4,
    }


def graph(raw: Mapping[str, Any], **changes: Any) -> Graph:
    return build_graph(Experiment.model_validate({**raw, **changes}))


def sampled(graph: Graph) -> dict[str, Shard]:
    shards = graph.stage(StageKind.SAMPLE, "weak").shards
    return {shard.path(Path()).name: shard for shard in shards}


def test_a_set_that_is_added_changes_nothing_that_is_stored(raw: dict[str, Any]) -> None:
    single = sampled(graph(raw, evaluation={"problems": "math", "n": [1, 2]}))
    both = sampled(graph(raw))
    assert list(single) == ["part-00000.parquet", "part-00001.parquet"]
    assert list(both) == [*single, "part-aime-00000.parquet"]
    assert {name: both[name].key for name in single} == {name: shard.key for name, shard in single.items()}
    # Nor does a set that grows, or one that comes between.
    raw["problems"]["math"]["limit"] = 3
    fewer = sampled(graph(raw))
    assert list(fewer) == ["part-00000.parquet", "part-aime-00000.parquet"]
    assert fewer["part-aime-00000.parquet"].key == both["part-aime-00000.parquet"].key
    raw["problems"]["gsm8k"] = {**raw["problems"]["train"]}
    three = sampled(graph(raw, evaluation={"problems": ["math", "gsm8k", "aime"], "n": [1]}))
    assert three["part-aime-00000.parquet"].key == both["part-aime-00000.parquet"].key


def test_what_follows_from_responses_has_their_shards(raw: dict[str, Any]) -> None:
    raw["policies"] = {"models": {"other": {"type": "transformers", "model": str(MODELS / "middle")}}}
    of = graph(raw)
    names = list(sampled(of))
    for stage in of.stages:
        assert [shard.path(Path()).name for shard in stage.shards] == names, stage.kind
        assert [shard.ledger(Path()).name for shard in stage.shards] == names


def test_ids_tell_the_problems_of_two_sets_apart(raw: dict[str, Any]) -> None:
    sets = graph(raw).problems
    assert [p.problem_id for p in sets["aime"]] == [f"aime:test-0000{i}" for i in range(3)]
    ids = [p.problem_id for name in ("math", "aime") for p in sets[name]]
    assert len(set(ids)) == len(ids) == 10
    assert [own_id(p.problem_id) for p in sets["aime"]] == [p.problem_id for p in sets["math"][:3]]
    assert own_id(id_in_set("aime", "a:b")) == "a:b" and own_id("test/7") is None


def test_ids_that_would_stand_for_another_sets_problem_are_refused(raw: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path / "math.jsonl", questions(1, unique_id="aime:test-00001"))
    with pytest.raises(UserError, match=r"problems\.aime: math has .* 'aime:test-00001' too, .* another name"):
        graph(raw)


def test_a_list_of_one_set_is_that_set(raw: dict[str, Any]) -> None:
    one, listed = (graph(raw, evaluation={"problems": p, "n": [1]}) for p in ("math", ["math"]))
    assert one.experiment == listed.experiment
    assert [p.problem_id for p in listed.problems["math"]] == [p.problem_id for p in one.problems["math"]]


def test_problems_that_two_sets_share_are_said(raw: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path / "aime.jsonl", [*questions(2, 5), *questions(1, 100)])
    assert graph(raw).notes == [
        "math and aime have 2 problems in common, for instance 'test-00005' of math: each set counts them, with "
        "responses of its own."
    ]


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        (["math", "amie"], "evaluation.problems: no problem set is named 'amie'; did you mean aime"),
        (["math", "aime", "math"], "evaluation.problems: math is listed twice"),
        ([], "evaluation.problems: the name of a set under problems:, or a list of such names, is expected (it is [])"),
        (["math", 1], "evaluation.problems: the name of a set under problems:, or a list of such names, is expected"),
        (
            "all",
            "problems.all: a data set is expected: put math, aime under problems: themselves, and list those to "
            "evaluate on as evaluation.problems: [math, aime]",
        ),
        (["math", "empty"], "problems.empty: the set is empty"),
        (["math", "train"], "rollouts.problems: train is a set of evaluation.problems; train on another set"),
        (["math", "again"], "problems: again and train share 2 problems, for instance 'What is 200?'; what is trained"),
    ],
)
def test_mistakes(raw: dict[str, Any], tmp_path: Path, problems: Any, message: str) -> None:
    raw["problems"]["empty"] = {"dataset": "jsonl", "path": write(tmp_path / "empty.jsonl", [])}
    raw["problems"]["again"] = {"dataset": "jsonl", "path": write(tmp_path / "again.jsonl", questions(2, 200))}
    raw["problems"]["all"] = {name: raw["problems"][name] for name in ("math", "aime")}
    raw["rollouts"] = {"generator": "weak", "problems": "train"}
    (tmp_path / "e.yaml").write_text(yaml.safe_dump(raw | {"evaluation": {"problems": problems}}, sort_keys=False))
    with pytest.raises(UserError) as caught:
        build_graph(load_experiment(tmp_path / "e.yaml"))
    assert message in str(caught.value) and "\n" not in str(caught.value)


# --- recorded responses --------------------------------------------------------------------------------


def recorded(n: int, first: int, right: int, **more: Any) -> list[dict[str, Any]]:
    """``n`` problems, each with four responses of which the first ``right`` are right; later ones score higher."""
    return [
        {
            "problem_id": str(i),
            "problem": f"What is {first + i}?",
            "gold": "7",
            "samples": [
                {"text": f"\\boxed{{{7 if k < right else 8}}}", "step_scores": {"prm": [0.1 * k + 0.01 * i]}, **more}
                for k in range(4)
            ],
        }
        for i in range(n)
    ]


def test_a_run_of_two_recorded_sets(tmp_path: Path) -> None:
    math, aime = recorded(5, 0, 3), recorded(2, 100, 1)
    named = [{**row, "problem_id": f"aime:{row['problem_id']}"} for row in aime]
    config = {
        "name": "t",
        "output": str(tmp_path / "results"),
        "responses": write(tmp_path / "both.jsonl", math + named),
        "problems": {
            "math": {"dataset": "responses", "path": write(tmp_path / "math.jsonl", math)},
            "aime": {"dataset": "responses", "path": write(tmp_path / "aime.jsonl", aime)},
        },
        "evaluation": {"problems": "math", "n": [1, 4], "bootstrap": 50},
        "problems_per_shard": 2,
    }
    (tmp_path / "e.yaml").write_text(yaml.safe_dump(config))
    alone = "run", tmp_path / "e.yaml", "--local", "--until", "score"
    assert bonbench(*alone).code == 0
    single = contents(tmp_path / "results")

    done = bonbench("run", tmp_path / "e.yaml", "--local", "--set", "evaluation.problems=[math, aime]")
    assert done.code == 0 and "Computed 3 shards and trainings; 9 were stored already." in done.err
    both = contents(tmp_path / "results")
    stored = [name for name in single if name.endswith(".parquet")]
    assert stored and all(both[name] == single[name] for name in stored)
    shown = done.out[done.out.index("Accuracy by problem set (%), n = 4") :].splitlines()
    assert [line.split() for line in shown[1:4]] == [
        ["math", "aime", "mean", "over", "sets"],
        ["pass@1", "75.0", "25.0", "50.0"],
        ["majority", "100.0", "0.0", "50.0"],
    ]  # fmt: skip
    page = (tmp_path / "results" / "report.html").read_text()
    assert "By problem set, n = 4" in page and "means over the sets math and aime" in page
    compared = bonbench("compare", tmp_path / "results", "majority", "prm").out
    assert [line.split()[:5] for line in compared.splitlines() if line.startswith("set ")] == [
        ["set", "math", "4", "100.0", "0.0"], ["set", "aime", "4", "0.0", "0.0"],
    ]  # fmt: skip

    # A set that is named no more leaves nothing behind.
    assert bonbench(*alone).code == 0
    left = contents(tmp_path / "results")
    assert [name for name in left if name.endswith(".parquet") and not name.startswith("problems/aime")] == stored


def test_a_file_may_call_problems_as_their_set_does_unless_that_is_said_of_two(tmp_path: Path) -> None:
    """A flat file says no more than an id. Whose responses these are must not be guessed."""
    sets = {
        name: {"dataset": "jsonl", "path": write(tmp_path / f"{name}.jsonl", rows), "id": "id"}
        for name, rows in (("math", questions(1, id="m")), ("aime", questions(1, 9, id="a")))
    }
    config = {"name": "t", "problems": sets, "evaluation": {"problems": ["math", "aime"], "n": [1]}}

    def n(*ids: str) -> int:
        path = write(
            tmp_path / f"{'-'.join(ids)}.jsonl".replace(":", "_"), [{"problem_id": i, "text": "7"} for i in ids]
        )
        return graph(config, generators={"theirs": {"type": "replay", "path": path}}).n

    assert n("m", "a") == n("m", "aime:a") == 1
    with pytest.raises(UserError, match="has no responses to some problems: problem 'aime:a' has 0 responses"):
        n("m")
    write(tmp_path / "aime.jsonl", questions(1, 9, id="m"))
    with pytest.raises(UserError, match="problem_id 'm' may be 'm' or 'aime:m': call them so in the file"):
        n("m")
    assert n("m", "aime:m") == 1
    # A problem that is in both sets is one problem, with the same recorded responses.
    write(tmp_path / "aime.jsonl", questions(1, id="m"))
    assert n("m") == 1


def test_a_set_without_a_problem_that_has_enough_responses_is_named(tmp_path: Path) -> None:
    math, aime = recorded(2, 0, 3), recorded(1, 100, 1)
    aime[0] |= {"problem_id": "a", "samples": aime[0]["samples"][:1]}
    config = {
        "name": "t",
        "responses": write(tmp_path / "both.jsonl", math + aime),
        "problems": {
            name: {"dataset": "responses", "path": write(tmp_path / f"{name}.jsonl", rows)}
            for name, rows in (("math", math), ("aime", aime))
        },
        "sampling": {"n": 4, "too_few": "skip"},
        "evaluation": {"problems": ["math", "aime"], "n": [1]},
    }
    with pytest.raises(UserError, match=r"sampling\.n: no problem of aime has 4 responses: problem 'aime:a' has 1"):
        graph(config)
