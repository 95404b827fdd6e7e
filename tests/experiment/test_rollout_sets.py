"""Sets of rollouts and policies in the graph, and what a training is given of several sets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from places import MODELS

from harness.core.errors import UserError
from harness.core.records import Grade, LedgerRow, Response
from harness.core.stages import StageKind, Until
from harness.engine.build import build_graph
from harness.engine.graph import Graph, Shard, Training
from harness.engine.local_executor import in_this_process
from harness.engine.training import run_training
from harness.experiment.config import Experiment
from harness.experiment.expansion import sweep
from harness.storage.arrow import to_records, to_table
from harness.storage.shards import read_shard, write_shard

DPO = {"objective": "dpo", "base": "middle"}
SETS = {
    "main": {"generator": "middle", "problems": "train", "n": 4},
    "other": {"generator": "weak", "problems": "train", "n": 2},
    "extra": {"generator": "middle", "problems": "extra", "n": 3},
}

RECORDER = '''
"""Writes down what it is given."""
import json

from bonbench.reward_models.training.params import TrainingParams
from bonbench.reward_models.training.rollout_trainer import RolloutTrainer
from harness import TrainingFacts


class Recorder(RolloutTrainer[TrainingParams]):
    Params = TrainingParams

    @classmethod
    def reads(cls, params):
        return params.epochs

    def train(self, data, output, progress, launch):
        seen = [[d.solution.problem.problem_id, d.solution.problem.problem, d.solution.response.generator,
                 d.solution.response.sample, d.correct] for d in data]
        (output / "seen.json").write_text(json.dumps(seen))
        config = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 9}
        return TrainingFacts(config | {"intermediate_size": 16}, "cpu", True, train_tokens=0, train_positions=0)
'''


@pytest.fixture
def raw(tmp_path: Path) -> dict[str, Any]:
    """An experiment with two problem sets to train on, whose rows have no ids of their own."""
    for name, first in (("train", 0), ("extra", 3)):  # one problem is in both, in different places
        rows = [{"problem": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(first, first + 4)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    jsonl = {n: {"dataset": "jsonl", "path": str(tmp_path / f"{n}.jsonl"), "split": "x"} for n in ("train", "extra")}
    return {
        "name": "x",
        "output": tmp_path / "out",
        "problems": {"test": {"dataset": "pocket", "split": "test", "limit": 6}, **jsonl},
        "sampling": {"n": 4, "max_tokens": 64},
        "generators": {g: {"type": "transformers", "model": str(MODELS / g)} for g in ("weak", "middle")},
        "rollouts": SETS,
        "reward_models": {
            "dpo": {"type": "implicit", "train": DPO},
            "mixed": {"type": "implicit", "train": {**DPO, "rollouts": ["main", "other"]}},
        },
        "evaluation": {"n": [1, 4]},
        "problems_per_shard": 3,
    }


def graph(raw: Mapping[str, Any], **options: Any) -> Graph:
    return build_graph(Experiment.model_validate(raw), **options)


def keys(g: Graph) -> dict[str, str]:
    """Folder -> keys of what is in it."""
    found = {f"trained/{name}": training.key for name, training in g.trainings.items()}
    for shard in (shard for stage in g.stages for shard in stage.shards):
        found[shard.folder] = found.get(shard.folder, "") + shard.key
    return found


def reached(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    old, new = keys(graph(before)), keys(graph(after))
    return {folder for folder, key in new.items() if old.get(folder) != key}


def test_one_block_is_a_set_named_for_its_generator(raw: dict[str, Any]) -> None:
    raw["reward_models"] = {"dpo": {"type": "implicit", "train": DPO}}
    alone, named = raw | {"rollouts": SETS["main"]}, raw | {"rollouts": {"middle": SETS["main"]}}
    assert keys(graph(alone)) == keys(graph(named))
    assert {"rollouts/middle", "rollout-grades/middle", "rollout-passes/middle/middle"} <= set(keys(graph(alone)))


def test_a_training_reads_the_sets_it_names(raw: dict[str, Any]) -> None:
    g = graph(raw)
    assert {f for f in keys(g) if f.startswith("rollout")} == {
        f"{kind}/{name}"
        for kind in ("rollouts", "rollout-grades", "rollout-passes/middle")
        for name in ("main", "other")
    }  # nobody learns from the third
    both = g.trainings["mixed"]
    assert [s.folder for s in both.rollouts] == ["rollouts/main"] * 2 + ["rollouts/other"] * 2
    assert [s.folder for s in both.grades] == ["rollout-grades/main"] * 2 + ["rollout-grades/other"] * 2
    assert [s.folder.split("/")[2] for s in both.passes["reference"]] == ["main"] * 2 + ["other"] * 2
    assert (both.used, both.n_responses) == (4, 4 * (4 + 2))
    assert {s.who for s in g.stages if s.kind is StageKind.ROLLOUT_PASS} == {"middle/main", "middle/other"}
    # Seeds go by generator and problem: what is added to a set leaves the rest of it and the other sets alone.
    more = raw | {"rollouts": SETS | {"other": SETS["other"] | {"n": 3}}}
    downstream = {f for f in keys(g) if "mixed" in f}
    places = {"rollouts/other", "rollout-grades/other", "rollout-passes/middle/other"}
    assert reached(raw, more) == places | downstream
    turned = raw | {"reward_models": {"mixed": {"type": "implicit", "train": {**DPO, "rollouts": ["other", "main"]}}}}
    assert reached(raw, turned) == downstream


def test_responses_are_counted_in_each_set(raw: dict[str, Any]) -> None:
    def with_responses(responses: int | None) -> Training:
        block = DPO | {"rollouts": ["main", "other", "extra"]} | ({"responses": responses} if responses else {})
        return graph(raw | {"reward_models": {"rm": {"type": "implicit", "train": block}}}).trainings["rm"]

    assert [with_responses(r).n_responses for r in (None, 4, 3, 2)] == [4 * (4 + 2 + 3), 36, 4 * (3 + 2 + 3), 24]
    with pytest.raises(
        UserError, match=r"responses: 5 wanted, rollouts.main.n and .* and rollouts.extra.n are at most 4"
    ):
        with_responses(5)


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["main", "ohter"], "rollouts: no set of rollouts is named 'ohter'; did you mean other"),
        ("main", r"a list of different sets is expected, for instance \[main, other, extra\]"),
        ([], "a list of different sets"),
        (["main", "main"], "a list of different sets"),
        (["main", "again"], "main and again hold the same responses of middle to problem 'x-00000'"),
        (["lost"], r"rollouts.lost.generator: no generator is named 'midle'; did you mean middle"),
    ],
)
def test_sets_that_cannot_be_learnt_from(raw: dict[str, Any], sets: Any, says: str) -> None:
    raw["rollouts"] = SETS | {"again": SETS["main"] | {"n": 1}, "lost": {"generator": "midle", "problems": "train"}}
    if "again" not in sets:
        del raw["rollouts"]["again"]
    if "lost" not in sets:
        del raw["rollouts"]["lost"]
    raw["reward_models"] = {"rm": {"type": "implicit", "train": DPO | {"rollouts": sets}}}
    with pytest.raises(UserError, match=says):
        graph(raw)


def test_every_set_is_kept_apart_from_what_is_evaluated_on(raw: dict[str, Any]) -> None:
    again = raw["problems"] | {"extra": {"dataset": "pocket", "split": "test", "limit": 2, "seed": 0}}
    with pytest.raises(UserError, match="test and extra share 2 problems"):
        graph(raw | {"problems": again})
    with pytest.raises(UserError, match=r"rollouts\.extra\.problems: test is the set of evaluation.problems"):
        graph(raw | {"rollouts": SETS | {"extra": SETS["extra"] | {"problems": "test"}}})
    with pytest.raises(UserError, match=r"rollouts\.problems: test is the set of evaluation.problems"):
        graph(raw | {"rollouts": {"generator": "middle", "problems": "test"}})


def test_sets_are_no_sweep() -> None:
    entry = {"type": "implicit", "train": {"rollouts": ["a", "b"], "responses": [1, 2]}}
    assert {label: e["train"]["rollouts"] for label, e in sweep("rm", entry)} == {
        "rm-1": ["a", "b"],
        "rm-2": ["a", "b"],
    }


def test_another_generator_may_complete(raw: dict[str, Any]) -> None:
    raw["reward_models"] = {"ms": {"type": "step-token", "train": {"base": "middle"}}}
    swapped = raw | {"rollouts": {"main": SETS["main"] | {"completed_by": "weak"}}}
    raw["rollouts"] = {"main": SETS["main"]}
    assert {f for f in reached(raw, swapped) if "ms" not in f} == {"completions/main-8", "step-labels/main-8"}
    assert graph(swapped).stage(StageKind.COMPLETE, "main-8").spec.name == "weak"


def test_a_training_tells_problems_of_one_id_apart(raw: dict[str, Any], tmp_path: Path) -> None:
    """Every rollout arrives under a problem of its own, once; the ledger has the tokens of those that were used."""
    (tmp_path / "recorder.py").write_text(RECORDER)
    block = {"type": f"{tmp_path}/recorder.py:Recorder", "base": "middle", "rollouts": list(SETS), "responses": 3}
    raw["reward_models"] = {"rm": {"type": "sequence-classifier", "train": {**block, "instructions": 0.5}}}
    g = graph(raw)
    learning = g.trainings["rm"]
    tokens = {}
    for stage in g.stages:
        if stage.kind is StageKind.ROLLOUT:
            for shard in stage.shards:
                tokens |= _sampled(g, stage.who, shard, learning)
    run_training(learning, g.results, lambda *_: None, in_this_process)

    seen = json.loads((learning.folder / "seen.json").read_text())
    assert len(seen) == 4 * (4 + 2 + 3)
    problems = {id_: text for id_, text, *_ in seen}
    texts = [f"What is {i} + 1?" for i in range(4)], [f"What is {i} + 1?" for i in range(3, 7)]
    assert problems == {f"x-{i:05d}": t for i, t in enumerate(texts[0])} | {
        f"x-{i:05d}~2": t for i, t in enumerate(texts[1])
    }
    own = {(generator, text) for _, text, generator, *_ in seen}
    assert own == {("middle", t) for t in texts[0] + texts[1]} | {("weak", t) for t in texts[0]}
    assert all(correct == (sample % 2 == 0) for *_, sample, correct in seen)

    # Half of the eight problems, three responses to each in each set.
    chosen = {problems[id_] + id_[7:] for id_ in learning.problems}
    assert len(learning.problems) == 4 and learning.problems < set(problems)
    expected = sum(
        n for (set_, text, sample), n in tokens.items() if sample < 3 and text + "~2" * (set_ == "extra") in chosen
    )
    rows = to_records(LedgerRow, read_shard(learning.ledger(g.results)))
    collected = [row for row in rows if row.stage == "development/collection"]
    assert [row.what for row in collected] == ["rm"] * 3
    assert sum(row.completion_tokens for row in collected) == expected > 0
    seconds = sum(row.wall_s for row in collected)
    assert seconds == pytest.approx(
        sum(1.0 for key in tokens if key[2] < 3 and key[1] + "~2" * (key[0] == "extra") in chosen)
    )


def _sampled(g: Graph, set_: str, shard: Shard, learning: Training) -> dict[tuple[str, str, int], int]:
    """Store a shard of rollouts that took a second each, and its grades; return (set, problem, sample) -> tokens."""
    n = shard.n_responses // len(shard.problems)
    tokens = {(p.problem, i): 10 ** (i + 1) + len(set_) for p in shard.problems for i in range(n)}
    responses = [
        Response(p.problem_id, shard.generator, i, "text", 5, tokens[p.problem, i])
        for p in shard.problems
        for i in range(n)
    ]
    grades = [Grade(r.problem_id, r.generator, r.sample, "1", r.sample % 2 == 0, "exact", 0) for r in responses]
    graded = next(s for s in learning.grades if s.inputs["responses"] is shard)
    for where, table, seconds in (
        (shard, to_table(Response, responses), float(len(responses))),
        (graded, to_table(Grade, grades), 0.0),
    ):
        row = LedgerRow("rollout", set_, "m", "cpu", 0, 0, 0, 0.0, seconds, 0.0)
        write_shard(where.ledger(g.results), to_table(LedgerRow, [row]), where.key)
        write_shard(where.path(g.results), table, where.key)
    return {(set_, problem, i): count for (problem, i), count in tokens.items()}


def test_generators_for_rollouts_alone(raw: dict[str, Any]) -> None:
    raw["generators"]["middle"] |= {"evaluate": False}
    g = graph(raw)
    assert g.evaluated == ["weak"] and "rollouts/main" in keys(g)
    assert {f for f in keys(g) if f.startswith(("responses", "grades", "scores/dpo"))} == {
        "responses/weak", "grades/weak", "scores/dpo/weak",
    }  # fmt: skip
    raw["generators"]["weak"] |= {"evaluate": "no"}
    with pytest.raises(UserError, match=r"generators\.weak\.evaluate: true or false is expected \(it is 'no'\)"):
        graph(raw)
    raw["generators"]["weak"]["evaluate"] = False
    with pytest.raises(UserError, match="none is evaluated"):
        graph(raw)


def test_a_training_alone_needs_nothing_to_evaluate(raw: dict[str, Any]) -> None:
    whole = graph(raw)
    assert [f"{n.kind} {n.who}" for n in whole.needed(whole.trainings["dpo"])] == [
        "rollout main", "rollout-grade main", "rollout-pass middle/main", "train dpo",
    ]  # fmt: skip
    del raw["problems"]["test"], raw["sampling"]["n"], raw["evaluation"]
    raw["policies"] = {"models": {"dpo": {"type": "transformers", "model": "dpo"}}}
    with pytest.raises(UserError, match=r"evaluation\.problems: no problem set is named 'test'"):
        graph(raw)
    g = graph(raw, evaluation=False)
    assert [t.key for t in g.trainings.values()] == [whole.trainings[n].key for n in ("dpo", "mixed")]
    assert {n.kind for n in g.nodes} == {"rollout", "rollout-grade", "rollout-pass", "train"}
    assert (g.reward_models, g.policies, g.evaluated) == ({}, {}, [])


def test_policies_follow_their_training(raw: dict[str, Any]) -> None:
    raw["policies"] = {
        "n": 2,
        "models": {"dpo": {"type": "transformers", "model": "dpo"}, "as-vllm": {"type": "vllm", "model": "mixed"}},
    }
    g = graph(raw)
    sampled = {s.who: s for s in g.stages if s.kind is StageKind.POLICY}
    assert {who: s.requires for who, s in sampled.items()} == {
        "dpo": [g.trainings["dpo"]],
        "as-vllm": [g.trainings["mixed"]],
    }
    assert [s.n_responses for s in sampled["dpo"].shards] == [6, 6]
    assert (sampled["dpo"].task, sampled["dpo"].arguments["sampling"].n) == ("sample", 2)
    places = {f"policy-{kind}/{who}" for kind in ("responses", "grades") for who in ("dpo", "as-vllm")}
    assert {f for f in keys(g) if f.startswith("policy")} == places
    assert not any(f.startswith("scores") and "policy" in f for f in keys(g))
    assert {n.kind for n in g.until(Until.TRAIN)} & {"policy", "policy-grade"} == set()
    assert {"policy", "policy-grade"} < {n.kind for n in g.until(Until.SCORE)}

    other = json.loads(json.dumps(raw, default=str))
    other["reward_models"]["dpo"]["train"]["lr"] = 1e-3
    assert {f for f in reached(raw, other) if f.startswith("policy")} == {"policy-responses/dpo", "policy-grades/dpo"}
    assert reached(raw, raw | {"policies": raw["policies"] | {"n": 3}}) == places
    raw["policies"]["models"]["dpo"]["model"] = "dop"
    with pytest.raises(UserError, match=r"policies\.models\.dpo\.model: 'dop' .*did you mean dpo"):
        graph(raw)


def test_as_many_of_a_policy_as_of_a_generator(raw: dict[str, Any]) -> None:
    raw["policies"] = {"models": {"base": {"type": "transformers", "model": "middle"}}}
    stage = graph(raw).stage(StageKind.POLICY, "base")
    assert stage.arguments["sampling"].n == 4 and stage.requires == []
