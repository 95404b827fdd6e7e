"""A training that starts from another entry's model and learns from step labels: its place, its key, its costs."""

from __future__ import annotations

import copy
import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from places import ROOT
from runs import bonbench
from safetensors.numpy import load_file

from bonbench.reward_models.implicit import ImplicitPRM
from harness.core.errors import UserError
from harness.core.records import Response, StepLabels
from harness.core.stages import StageKind
from harness.engine.build import build_graph
from harness.engine.graph import Graph, Shard
from harness.engine.prefixes import Prefix, prefixes
from harness.experiment.config import Experiment
from harness.storage.arrow import to_records
from harness.storage.shards import read_shard

MODELS = ROOT / "experiments" / "pocket" / "models"
STEPS = {"objective": "kto", "level": "step", "base": "dpo", "completions": 4, "stop_when_decided": True}
RAW: dict[str, Any] = {
    "name": "x",
    "problems": {
        "test": {"dataset": "pocket", "split": "test", "limit": 4},
        "train": {"dataset": "pocket", "split": "train", "limit": 12},
    },
    "sampling": {"n": 2, "max_tokens": 96},
    "generators": {"middle": {"type": "transformers", "model": str(MODELS / "middle")}},
    "rollouts": {"generator": "middle", "problems": "train", "n": 4},
    "reward_models": {
        # Named before what it starts from.
        "steps": {"type": "implicit", "train": {**STEPS, "responses": 2, "instructions": 0.75, "lr": 1e-4}},
        "dpo": {"type": "implicit", "train": {"base": "middle", "responses": 4, "instructions": 0.5, "lr": 1e-4}},
    },
    "problems_per_shard": 5,
}


def graph(change: dict[str, Any] | None = None) -> Graph:
    raw = copy.deepcopy(RAW)
    for name, entry in (change or {}).items():
        raw["reward_models"].setdefault(name, {"type": "implicit"})["train"] = entry
    return build_graph(Experiment.model_validate(raw))


def test_it_waits_for_its_base_and_refers_to_its_reference() -> None:
    g = graph()
    first, second = g.trainings["dpo"], g.trainings["steps"]
    assert g.nodes.index(first) < g.nodes.index(second)
    assert second.base is first and second.lineage == [second, first]
    assert second.spec.params.base == str(first.folder)
    assert second.spec.params.reference == first.spec.params.reference == str(MODELS / "middle")
    assert second.passes["reference"] == first.passes["reference"], "one reference pass serves both"
    assert second.method == "DPO + step KTO, decided early"
    assert g.passes["steps"] == {"policy": "steps", "reference": "middle"}
    scoring = ImplicitPRM.with_trained({}, "trained", second.spec.params.base, second.spec.params)
    assert scoring["reference"] == str(MODELS / "middle")
    alone = graph({"dpo": {**RAW["reward_models"]["dpo"]["train"], "reference": None}}).trainings["steps"]
    assert alone.spec.params.reference is None
    own = graph({"steps": {**STEPS, "reference": "dpo"}}).trainings["steps"]
    assert own.spec.params.reference == own.spec.params.base
    outcomes = graph({"steps": {**STEPS, "base": "middle"}}).trainings["steps"]
    assert (outcomes.base, outcomes.method) == (None, "step KTO, decided early")


def test_its_key_hangs_on_its_base() -> None:
    def keys(change: dict[str, Any]) -> dict[str, str]:
        return {name: graph(change).trainings[name].key for name in ("dpo", "steps")}

    plain = keys({})
    first = keys({"dpo": {**RAW["reward_models"]["dpo"]["train"], "lr": 1e-3}})
    assert first["dpo"] != plain["dpo"] and first["steps"] != plain["steps"]
    second = keys({"steps": {**STEPS, "lr": 1e-3}})
    assert second["dpo"] == plain["dpo"] and second["steps"] != plain["steps"]
    at_once = keys({"steps": {**RAW["reward_models"]["steps"]["train"], "stop_when_decided": False}})
    assert at_once["steps"] != plain["steps"]


@pytest.mark.parametrize("asked", [{"steps": "lines"}, {"steps": {"numbered": "lines"}}, {"reads": "answer"}])
def test_what_learnt_the_labels_of_steps_is_asked_about_these(asked: dict[str, Any]) -> None:
    """Also by an entry that names the trained model; what learnt from outcomes may be asked about any steps."""
    named = {"type": "implicit", "policy": "steps", "reference": "middle"}
    for name, entry in (("steps", RAW["reward_models"]["steps"]), ("other", named)):
        raw = copy.deepcopy(RAW)
        raw["reward_models"][name] = {**entry, **asked}
        parameter = next(iter(asked))
        message = f"reward_models.{name}.{parameter}: the model of steps has learnt to judge the usual steps of a whole"
        with pytest.raises(UserError, match=message):
            build_graph(Experiment.model_validate(raw))
    raw = copy.deepcopy(RAW)
    raw["reward_models"]["dpo"] |= asked
    assert build_graph(Experiment.model_validate(raw)).trainings["steps"].key == graph().trainings["steps"].key


def test_completions_are_shared_by_those_who_ask_for_the_same() -> None:
    prm = {"base": "middle", "completions": 4}
    raw = copy.deepcopy(RAW)
    raw["reward_models"] |= {
        "early": {"type": "step-token", "train": {**prm, "stop_when_decided": True}},
        "full": {"type": "step-token", "train": prm},
        "soft": {"type": "step-token", "train": {**prm, "labels": "soft"}},
    }
    g = build_graph(Experiment.model_validate(raw))
    made = {name: g.trainings[name].completions for name in ("steps", "early", "full", "soft")}
    assert made["steps"] == made["early"] and made["full"] == made["soft"]
    assert len(made["early"]) == 2 * len(made["full"]) and not {*made["early"]} & {*made["full"]}
    rounds = [s for s in g.stages if s.kind is StageKind.COMPLETE and "round" in s.who]
    assert [s.arguments["sampling"].n for s in rounds] == [1, 3]
    assert rounds[1].after[-1].kind is StageKind.LABEL, "which prefixes are undecided is known then"


def test_labels_of_a_share_of_the_problems() -> None:
    """Only that share is completed, whatever the seed and the share of it that is learnt from."""
    prm = {"base": "middle", "completions": 4}
    raw = copy.deepcopy(RAW)
    raw["reward_models"] = {
        name: {"type": "step-token", "train": {**prm, **more}}
        for name, more in {
            "all": {},
            "said": {"label_share": 1.0},
            "third": {"label_share": 1 / 3},
            "seed": {"label_share": 1 / 3, "seed": 1},
            "half-of-it": {"label_share": 1 / 3, "instructions": 0.5},
            "fewer": {"label_share": 1 / 12},
        }.items()
    }
    g = build_graph(Experiment.model_validate(raw))
    made = g.trainings
    completed = {name: {p.problem_id for s in t.completions for p in s.problems} for name, t in made.items()}
    assert made["said"].key == made["all"].key and made["said"].completions == made["all"].completions
    assert made["third"].completions == made["seed"].completions == made["half-of-it"].completions
    assert made["all"].problems == completed["all"] and len(completed["all"]) == 12
    assert made["third"].problems == completed["third"] and len(completed["third"]) == 4
    assert made["half-of-it"].problems < completed["third"] and len(made["half-of-it"].problems) == 2
    assert made["fewer"].problems == completed["fewer"] < completed["third"]
    assert len(made["fewer"].completions) == 1, "blocks without labels have no shard"
    assert sum(s.n_responses for s in made["third"].labels) == 4 * 4
    assert len({made[name].key for name in made if name != "said"}) == 5


def test_circles_are_named() -> None:
    with pytest.raises(UserError, match=r"trainings that wait for each other: (dpo|steps) -> (dpo|steps) -> "):
        graph({"dpo": {"base": "steps"}})
    with pytest.raises(UserError, match="trainings that wait for each other: dpo -> dpo"):
        graph({"dpo": {"base": "dpo"}})


@pytest.mark.parametrize("type_", [3, 2.5, None, {"a": 1}])
def test_a_trainer_is_named_by_a_text(type_: object) -> None:
    with pytest.raises(UserError, match=r"reward_models\.dpo\.train\.type: the name of a trainer is expected"):
        graph({"dpo": {"type": type_, "base": "middle"}})


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages, trained for real."""
    folder = tmp_path_factory.mktemp("second")
    config = folder / "x.yaml"
    config.write_text(json.dumps({**RAW, "output": str(folder / "results")}))
    done = bonbench("run", config, "--local", "--until", "train")
    assert done.code == 0, done.err
    assert "Nothing to compute" in bonbench("run", config, "--local", "--until", "train").err
    return folder / "results"


def ledger(results: Path, name: str) -> pd.DataFrame:
    return pq.read_table(results / "ledger" / "trained" / name).to_pandas()


@pytest.mark.thorough
def test_its_costs_are_those_of_both_stages(results: Path) -> None:
    """Counted by hand from what is stored: shared rollouts once, completions as they were sampled, both trainings."""
    raw = {**RAW, "output": str(results)}
    g = build_graph(Experiment.model_validate(raw))
    first, second = g.trainings["dpo"], g.trainings["steps"]
    wanted = {first.who: (4, first.problems), second.who: (2, second.problems)}
    assert len(first.problems) == 6 and len(second.problems) == 9 and first.problems <= second.problems
    rollouts = [r for s in first.rollouts for r in to_records(Response, read_shard(s.path(results)))]

    def tokens(*names: str) -> int:
        return sum(
            r.n_tokens for r in rollouts if any(r.sample < wanted[n][0] and r.problem_id in wanted[n][1] for n in names)
        )

    costs = ledger(results, "steps").groupby("stage")[["prompt_tokens", "completion_tokens", "train_tokens"]].sum()
    before = ledger(results, "dpo").groupby("stage")[["prompt_tokens", "completion_tokens", "train_tokens"]].sum()
    assert before.completion_tokens["development/collection"] == tokens("dpo")
    both = tokens("dpo", "steps")
    assert tokens("dpo") < both < tokens("dpo") + tokens("steps")
    assert costs.completion_tokens["development/collection"] == both
    assert costs.completion_tokens["development/reference"] == both

    trained = ledger(results, "steps").query("stage == 'development/training'")
    assert trained.model.tolist() == ["dpo", "steps"]
    assert trained.train_tokens.iloc[0] == before.train_tokens["development/training"] > 0
    assert trained.train_tokens.iloc[1] > 0 and (trained.what == "steps").all()

    read = sampled = n = 0
    begun: set[str] = set()
    for shard in second.completions:
        source = to_records(Response, read_shard(shard.inputs["responses"].path(results)))
        known = prefixes(shard.problems, source)
        own = {p.problem.problem_id for (id_, _), p in known.items() if id_ in second.problems and p.sample < 2}
        completions = [c for c in to_records(Response, read_shard(shard.path(results))) if c.problem_id in own]
        read += sum({c.problem_id: c.n_prompt_tokens for c in completions}.values())
        sampled += sum(c.n_tokens for c in completions)
        n += len(completions)
        begun |= own
    labels = costs.loc["development/labels"]
    assert (labels.prompt_tokens, labels.completion_tokens) == (read, sampled)
    assert len(begun) < n < 4 * len(begun)


@pytest.mark.thorough
def test_steps_of_a_share_of_the_problems(results: Path, tmp_path: Path) -> None:
    """What is sampled for a share is what is sampled for all, of that share; nothing else is charged or learnt from."""
    raw = copy.deepcopy({**RAW, "output": str(tmp_path / "results")})
    train = {k: v for k, v in raw["reward_models"]["steps"]["train"].items() if k != "instructions"}
    raw["reward_models"]["steps"]["train"] = {**train, "label_share": 0.5}
    config = tmp_path / "x.yaml"
    config.write_text(json.dumps(raw))
    shutil.copytree(results, tmp_path / "results")
    done = bonbench("run", config, "--local", "--until", "train")
    assert done.code == 0, done.err
    share = build_graph(Experiment.model_validate(raw)).trainings["steps"]
    whole = build_graph(Experiment.model_validate({**RAW, "output": str(results)})).trainings["steps"]

    def rows(shards: list[Shard], record: type, folder: Path) -> list[Any]:
        return [row for shard in shards for row in to_records(record, read_shard(shard.path(folder)))]

    labels = rows(share.labels, StepLabels, tmp_path / "results")
    assert {label.problem_id for label in labels} == share.problems and len(share.problems) == 6
    assert labels == [label for label in rows(whole.labels, StepLabels, results) if label.problem_id in share.problems]
    sampled = rows(share.completions, Response, tmp_path / "results")
    everything = {(c.problem_id, c.sample): c for c in rows(whole.completions, Response, results)}
    assert sampled and all(everything[c.problem_id, c.sample] == c for c in sampled)
    facts = json.loads((share.folder / "bonbench.json").read_text())
    assert facts["facts"]["n_problems"] == 6 and facts["facts"]["n_responses"] == 12
    costs = ledger(tmp_path / "results", "steps").query("stage == 'development/labels' and completion_tokens > 0")
    begun = {p.problem.problem_id for s in share.completions for p in _prefixes(s, results) if p.sample < 2}
    assert costs.completion_tokens.sum() == sum(c.n_tokens for c in sampled if c.problem_id in begun)


def _prefixes(shard: Shard, results: Path) -> list[Prefix]:
    rollouts = to_records(Response, read_shard(shard.inputs["responses"].path(results)))
    ids = {problem.problem_id for problem in shard.problems}
    return list(prefixes(shard.problems, [r for r in rollouts if r.problem_id in ids]).values())


@pytest.mark.thorough
def test_it_starts_from_its_base(results: Path) -> None:
    """A few steps of a small learning rate away from it, and with rewards from the first step on."""
    folders = [MODELS / "middle", *(results / "trained" / name for name in ("dpo", "steps"))]
    weights = [load_file(folder / "model.safetensors") for folder in folders]
    moved = [max(abs(b[k] - a[k]).max() for k in a) for a, b in pairwise(weights)]
    assert all(0 < m < 1e-3 for m in moved)
    first = json.loads((folders[2] / "history.jsonl").read_text().splitlines()[0])
    assert abs(first["loss"] - 0.5) > 1e-6, "a policy that is its own reference has 1/2"
    facts = json.loads((folders[2] / "bonbench.json").read_text())["facts"]
    assert 0 < facts["n_good_steps"] < facts["n_steps"] == first["terms"]
