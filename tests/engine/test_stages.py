"""The graph of stages: what is computed once, and which keys a change reaches."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import MODELS

from harness.core.errors import UserError
from harness.core.params import Mark
from harness.core.registry import find
from harness.core.seeds import response_seed
from harness.core.stages import StageKind, Until
from harness.engine.build import build_graph
from harness.engine.graph import Graph, Stage
from harness.experiment.config import Experiment
from harness.experiment.entries import build
from harness.experiment.model_files import Artifacts

RAW: dict[str, Any] = {
    "name": "x",
    "problems": {
        "test": {"dataset": "pocket", "split": "test", "limit": 10},
        "train": {"dataset": "pocket", "split": "train", "limit": 6},
    },
    "sampling": {"n": 4, "max_tokens": 64},
    "generators": {g: {"type": "transformers", "model": str(MODELS / g)} for g in ("weak", "middle")},
    "rollouts": {"generator": "middle", "problems": "train", "n": 4},
    "reward_models": {
        "log-likelihood": {"type": "implicit", "policy": "middle", "reference": None},
        "dpo": {"type": "implicit", "train": {"objective": "dpo", "base": "middle", "beta": 0.5, "responses": [2, 4]}},
        "dpo-4-no-reference": {"type": "implicit", "policy": "dpo-4", "reference": None},
    },
    "evaluation": {"n": [1, 4]},
    "problems_per_shard": 4,
}


def graph(change: dict[str, Any] | None = None, extra: Any = ()) -> Graph:
    raw = copy.deepcopy(RAW)
    for path, value in (change or {}).items():
        *parents, last = path.split("/")
        node = raw
        for parent in parents:
            node = node[parent]
        node[last] = value
    return build_graph(Experiment.model_validate(raw), extra)


def keys(g: Graph) -> dict[str, str]:
    found = {f"trained/{name}": training.key for name, training in g.trainings.items()}
    for stage in g.stages:
        found |= {f"{s.folder}/{s.index}": s.key for s in stage.shards}
    return found


def changed(change: dict[str, Any]) -> set[str]:
    """Folders, above the shards, in which a change of the experiment alters keys or adds shards."""
    before, after = keys(graph()), keys(graph(change))
    return {name.rsplit("/", 1)[0] for name, key in after.items() if before.get(name) != key}


def test_a_pass_is_shared_by_all_who_ask() -> None:
    g = graph()
    assert sorted(s.who for s in g.stages if s.kind is StageKind.TOKEN_PASS) == ["dpo-2", "dpo-4", "middle"]
    assert sum(s.kind is StageKind.ROLLOUT_PASS for s in g.stages) == 1
    assert list(g.trainings) == ["dpo-2", "dpo-4"]


def test_training_comes_before_what_needs_it() -> None:
    g = graph()
    scoring = g.stage(StageKind.SCORE, "dpo-4-no-reference")
    pass_ = g.stage(StageKind.TOKEN_PASS, "dpo-4")
    assert pass_ in scoring.requires and g.trainings["dpo-4"] in pass_.requires
    makers = {name: g.trained_by(spec) for name, spec in g.reward_models.items()}
    assert {name: maker.who for name, maker in makers.items() if maker} == {
        "dpo-2": "dpo-2",
        "dpo-4": "dpo-4",
        "dpo-4-no-reference": "dpo-4",
    }
    assert [n.kind for n in g.until(Until.GRADE)] == [StageKind.SAMPLE] * 2 + [StageKind.GRADE] * 2


SAMPLED = {"responses/weak", "responses/middle", "rollouts/middle"}


@pytest.mark.parametrize(
    ("change", "reaches"),
    [
        ({"generators/middle/replicas": 4, "generators/weak/num_cpus": 2}, set()),
        ({"evaluation/bootstrap": 10, "evaluation/n": [1, 2]}, set()),
        ({"reward_models/log-likelihood/beta": 0.1}, {f"scores/log-likelihood/{g}" for g in ("weak", "middle")}),
        (
            {"reward_models/dpo-4-no-reference/policy": "dpo-2"},
            {f"scores/dpo-4-no-reference/{g}" for g in ("weak", "middle")},
        ),
    ],
)
def test_a_change_reaches_what_depends_on_it(change: dict[str, Any], reaches: set[str]) -> None:
    assert changed(change) == reaches


def test_sampling_and_seed_reach_everything() -> None:
    everything = {name.rsplit("/", 1)[0] for name in keys(graph())}
    assert changed({"sampling/temperature": 0.5}) == everything
    assert changed({"seed": 1}) == everything


def test_a_problem_counts_by_all_that_it_says(tmp_path: Path) -> None:
    """Under the same id: whoever reads it must not be handed what was computed for another text."""

    def read(problem: str, answer: str) -> dict[str, str]:
        file = tmp_path / "problems.jsonl"
        file.write_text(json.dumps({"problem_id": "p", "problem": problem, "answer": answer}) + "\n")
        return keys(graph({"problems/test": {"dataset": "jsonl", "path": str(file)}}))

    before = read("1 + 1?", "2")
    for after in (read("1 + 2?", "2"), read("1 + 1?", "3")):
        assert all(before[name] != key for name, key in after.items() if name.startswith("responses/"))


def test_a_raised_revision_reaches_what_the_component_made(monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys(graph())
    monkeypatch.setattr(find("reward_models", "implicit"), "revision", 99)
    after = keys(graph())
    assert {name.split("/")[0] for name, key in after.items() if before[name] != key} == {"scores"}


def test_a_grading_option_leaves_responses_and_scores_of_the_untrained() -> None:
    reached = changed({"verifier": {"type": "math", "timeout_s": 5}})
    assert not reached & SAMPLED and not any("log-likelihood" in name for name in reached)
    assert {"grades/weak", "rollout-grades/middle", "trained", "scores/dpo-2/weak"} <= reached


def test_a_training_option_leaves_the_other_objectives_alone() -> None:
    reached = changed({"reward_models/dpo/train": RAW["reward_models"]["dpo"]["train"] | {"lr": 1e-3}})
    assert reached == {
        "trained",
        *(f"token-passes/{rm}/{g}" for g in ("weak", "middle") for rm in ("dpo-2", "dpo-4")),
        *(f"scores/{rm}/{g}" for g in ("weak", "middle") for rm in ("dpo-2", "dpo-4", "dpo-4-no-reference")),
    }


def test_more_problems_keep_the_full_shards() -> None:
    before, after = keys(graph()), keys(graph({"problems/test/limit": 16}))
    same = {name for name in before if after.get(name) == before[name]}
    assert {"responses/weak/0", "responses/weak/1"} <= same and "responses/weak/2" not in same


def test_another_model_in_the_same_place_is_another_key(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (MODELS / "weak").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    first = keys(graph({"generators/weak/model": str(folder)}))
    assert first == keys(graph()), "the same content elsewhere is the same"
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(weights))
    assert first["responses/weak/0"] != keys(graph({"generators/weak/model": str(folder)}))["responses/weak/0"]


def test_a_class_from_a_file_counts_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "rm.py"
    text = "from harness.registry import RewardModel\nclass Mine(RewardModel):\n    def score(self, batch): return []\n"
    found = []
    for i, content in enumerate((text, text + "# edited\n")):
        file = tmp_path / f"rm{i}.py"
        file.write_text(content)
        spec = build("reward_models", "mine", {"type": f"{file}:Mine"}, "reward_models.mine", {})
        found.append(Artifacts().identity(spec))
    assert found[0]["class"] == found[1]["class"] and found[0]["source"] != found[1]["source"]


def test_problem_sets_must_not_overlap() -> None:
    with pytest.raises(UserError, match="share"):
        graph({"problems/train/split": "test"})


def test_names_stand_for_what_is_meant() -> None:
    with pytest.raises(UserError, match="taken"):
        graph({"reward_models": {"weak": {"type": "implicit", "policy": "middle", "reference": None}}})
    with pytest.raises(UserError, match=r"reward_models\.x\.policy.*did you mean middle"):
        graph({"reward_models": {"x": {"type": "implicit", "policy": "midle", "reference": None}}})
    with pytest.raises(UserError, match=r"responses: 8 wanted, rollouts\.n is 4"):
        graph({"reward_models/dpo/train/responses": 8})


def test_seeds_differ_in_everything_they_are_made_of() -> None:
    seeds = {response_seed(s, g, p, i) for s in (0, 1) for g in "ab" for p in ("p", "q") for i in range(50)}
    assert len(seeds) == 2 * 2 * 2 * 50 and all(0 <= seed < 2**63 for seed in seeds)
    assert response_seed(0, "a", "p1", 2) == response_seed(0, "a", "p1", 2)


def test_every_stage_is_of_a_known_kind() -> None:
    assert {s.kind for s in graph().stages} == {
        "sample", "grade", "rollout", "rollout-grade", "rollout-pass", "token-pass", "score",
    }  # fmt: skip


def implicit(policy: str, **options: Any) -> dict[str, Any]:
    return {"type": "implicit", "policy": policy, "reference": None, **options}


def copied(folder: Path, model: str) -> str:
    """A copy of one of the pocket models."""
    shutil.copytree(MODELS / model, folder)
    return str(folder)


def passes(reward_models: dict[str, Any]) -> list[Stage]:
    return [s for s in graph({"reward_models": reward_models}).stages if s.kind is StageKind.TOKEN_PASS]


def test_two_models_with_one_label_have_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    long = "m" * 70
    paths = ["middle-copies/run/1", "middle-copies/run-1", f"a/{long}", f"b/{long}"]
    copied(tmp_path / "middle", "weak")
    for path, model in zip(paths, ("weak", "middle", "weak", "middle"), strict=True):
        copied(tmp_path / path, model)
    entries = {"named": implicit("middle"), "path": implicit("./middle")}
    entries |= {f"rm{i}": implicit(path) for i, path in enumerate(paths)}
    g = graph({"reward_models": entries})
    assert {g.reward_models[name].paths(Mark.MODEL)["policy"] for name in ("named", "path")} == {
        str(MODELS / "middle"),
        str(tmp_path / "middle"),
    }
    folders = [shard.folder for stage in passes(entries) for shard in stage.shards]
    # Half of the copies have the content of the others: 2 models, and 2 evaluated generators of 3 shards each.
    assert len(folders) == 2 * 2 * 3
    assert_folders_belong_to_one_stage(g)
    assert g.passes["named"]["policy"] == "middle", "a generator's model is filed under the generator's name"
    assert g.passes["path"]["policy"].startswith("middle-") and g.passes["path"]["policy"] != "middle"


def test_labels_of_paths_that_end_alike_differ(tmp_path: Path) -> None:
    entries = {}
    for i, path in enumerate(("run/1", "run-1", f"a/{'m' * 70}", f"b/{'m' * 70}")):
        folder = Path(copied(tmp_path / path, "weak"))
        weights = bytearray((folder / "model.safetensors").read_bytes())
        weights[-1] ^= i + 1
        (folder / "model.safetensors").write_bytes(bytes(weights))
        entries[f"rm{i}"] = implicit(str(folder))
    g = graph({"reward_models": entries})
    labels = [g.passes[name]["policy"] for name in entries]
    assert len(set(labels)) == 4
    assert_folders_belong_to_one_stage(g)


def test_sets_and_rounds_whose_names_read_alike_keep_apart() -> None:
    prm = {"type": "step-token", "train": {"base": "middle", "completions": 4, "rollouts": ["main"]}}
    early = {"type": "step-token", "train": {**prm["train"], "stop_when_decided": True}}
    sets = {name: {"generator": "middle", "problems": "train", "n": n} for name, n in (("main", 4), ("main-1", 2))}
    rounds = {"type": "step-token", "train": {**prm["train"], "completions": 3, "rollouts": ["main-1"]}}
    g = graph({"rollouts": sets, "reward_models": {"early": early, "rounds": rounds}})
    places = {s.who.partition("/")[0] for s in g.stages if s.kind is StageKind.COMPLETE}
    assert len(places) == 2 and "main-1-3" in places and all(place.startswith("main-1-3") for place in places)
    assert {s.inputs["responses"].folder for s in g.trainings["rounds"].completions} == {"rollouts/main-1"}
    assert_folders_belong_to_one_stage(g)


@pytest.mark.parametrize("order", [("small", "large"), ("large", "small")])
def test_a_shared_pass_has_what_any_of_its_askers_asks_for(order: tuple[str, str]) -> None:
    entries = {"small": implicit("middle", num_cpus=2), "large": implicit("middle", num_gpus=1, replicas=4, beta=0.1)}
    (shared,) = passes({name: entries[name] for name in order})
    assert (shared.spec.pool.replicas, shared.spec.pool.num_cpus, shared.spec.pool.num_gpus) == (4, 2, 1)


@pytest.mark.parametrize("order", [("small", "auto"), ("auto", "small")])
def test_a_pass_that_any_asker_leaves_to_the_cluster_is_left_to_it(order: tuple[str, str]) -> None:
    entries = {"small": implicit("middle", replicas=4), "auto": implicit("middle", replicas="auto", beta=0.1)}
    (shared,) = passes({name: entries[name] for name in order})
    assert shared.spec.pool.replicas == "auto"


def assert_folders_belong_to_one_stage(g: Graph) -> None:
    owners: dict[tuple[str, int], str] = {}
    for stage in g.stages:
        for shard in stage.shards:
            assert owners.setdefault((shard.folder, shard.index), f"{stage.kind} {stage.who}") == (
                f"{stage.kind} {stage.who}"
            )
    assert len(owners) == sum(len(stage.shards) for stage in g.stages)


#: What a change of an experiment reaches: nothing, or the keys of what is sampled, graded, scored or trained.
CHANGES: dict[str, tuple[dict[str, Any], bool]] = {
    "seed": ({"seed": 3}, True),
    "temperature": ({"sampling/temperature": 0.3}, True),
    "model": ({"generators/weak/model": str(MODELS / "strong")}, True),
    "verifier": ({"verifier": {"type": "math", "timeout_s": 3}}, True),
    "beta": ({"reward_models/log-likelihood/beta": 0.2}, True),
    "epochs": ({"reward_models/dpo/train/epochs": 3}, True),
    "replicas": ({"generators/weak/replicas": 2}, False),
    "replicas of a pass": ({"reward_models/log-likelihood/replicas": "auto"}, False),
    "sizes": ({"evaluation/n": [1, 2]}, False),
    "output": ({"output": "elsewhere"}, False),
    "selection": ({"evaluation/selection": {"bests": {"type": "majority_of_best", "k": [2, 4]}}}, False),
    "interval": ({"evaluation/interval": "percentile"}, False),
}


@settings(max_examples=10)
@given(
    changes=st.sets(st.sampled_from(sorted(CHANGES)), max_size=4),
    order=st.permutations(sorted(RAW["reward_models"])),
    size=st.integers(1, 12),
)
def test_keys_change_exactly_with_inputs(changes: set[str], order: list[str], size: int) -> None:
    """Whatever the experiment: folders belong to one stage, and keys are others exactly where an input is another."""
    models = {"reward_models": {name: RAW["reward_models"][name] for name in order}, "problems_per_shard": size}
    before = graph(models)
    change = dict(item for name in sorted(changes) for item in CHANGES[name][0].items())
    after = graph(copy.deepcopy(models) | change)
    assert_folders_belong_to_one_stage(after)
    assert set(keys(before)) == set(keys(after))
    assert (keys(before) != keys(after)) == any(CHANGES[name][1] for name in changes)


def test_shards_by_responses_are_those_of_as_many_problems() -> None:
    """Per stage: 10 problems x 2 responses and 6 x 4, in shards of 12 responses."""
    unsaid: dict[str, Any] = {"sampling/n": 2, "evaluation/n": [1, 2], "problems_per_shard": None}
    by_responses = graph(unsaid | {"responses_per_shard": 12})
    stages = [stage for stage in by_responses.stages if stage.who == "middle"]
    sizes = {stage.kind: [shard.n_responses for shard in stage.shards] for stage in stages}
    assert sizes[StageKind.SAMPLE] == sizes[StageKind.GRADE] == [12, 8]
    assert sizes[StageKind.ROLLOUT] == sizes[StageKind.ROLLOUT_GRADE] == [12, 12]
    of_six = keys(graph(unsaid | {"problems_per_shard": 6}))
    sampled = {name: key for name, key in keys(by_responses).items() if name.startswith(("responses", "grades"))}
    assert sampled and sampled.items() <= of_six.items()
    smallest = graph(unsaid | {"responses_per_shard": 1})
    assert {len(shard.problems) for stage in smallest.stages for shard in stage.shards} == {1}
    assert keys(graph(unsaid)) == keys(graph(unsaid | {"problems_per_shard": 16})), "what stored results have"
    with pytest.raises(ValueError, match="exclude each other"):
        graph({"responses_per_shard": 12})


def test_an_aggregation_of_its_own_changes_the_scores_alone() -> None:
    entry = {"type": "implicit", "policy": "middle", "reference": None}
    unsaid = keys(graph({"reward_models/log-likelihood": entry}))
    assert keys(graph({"reward_models/log-likelihood": entry | {"aggregation": None}})) == unsaid
    mean = keys(graph({"reward_models/log-likelihood": entry | {"aggregation": "mean"}}))
    assert {name for name in unsaid if mean[name] != unsaid[name]} == {
        name for name in unsaid if name.startswith("scores/log-likelihood")
    }


@pytest.mark.parametrize("type_", ["implicit", "head-prm"])
def test_only_truncation_of_long_responses_enters_a_key(type_: str) -> None:
    entry = {"type": "implicit", "policy": "middle", "reference": None}
    if type_ == "head-prm":
        entry = {"type": type_, "model": "middle"}
    by_choice = {}
    for choice in (None, "skip", "error", "truncate"):
        more = {} if choice is None else {"too_long": choice}
        by_choice[choice] = keys(graph({"reward_models/log-likelihood": entry | more}))
    assert by_choice[None] == by_choice["skip"] == by_choice["error"]
    folder = "scores/log-likelihood/weak/0"
    assert by_choice["truncate"][folder] != by_choice[None][folder]
    others = {name for name in by_choice[None] if not name.startswith(("scores/log-likelihood", "token-passes/middle"))}
    assert all(by_choice["truncate"][name] == by_choice[None][name] for name in others)


def test_only_truncation_of_long_prompts_enters_a_key() -> None:
    entry = {"type": "transformers", "model": str(MODELS / "weak")}
    by_choice = {
        choice: keys(graph({"generators/weak": entry | ({} if choice is None else {"too_long": choice})}))
        for choice in (None, "skip", "error", "truncate")
    }
    assert by_choice[None] == by_choice["skip"] == by_choice["error"]
    assert by_choice["truncate"]["responses/weak/0"] != by_choice[None]["responses/weak/0"]
    assert by_choice["truncate"]["responses/middle/0"] == by_choice[None]["responses/middle/0"]
