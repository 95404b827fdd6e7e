"""The graph of stages: what is computed once, and which keys a change reaches."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from places import MODELS

from harness.core.errors import UserError
from harness.core.stages import StageKind, Until
from harness.engine.build import build_graph
from harness.engine.graph import Graph
from harness.engine.tasks import response_seed
from harness.experiment.config import Experiment
from harness.experiment.entries import build, parse_spec, sweep
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


def test_sweeps_take_every_combination() -> None:
    entry = {"type": "implicit", "beta": [1, 2], "train": {"responses": [4, 8], "lr": 0.1}}
    expanded = dict(sweep("rm", entry))
    assert list(expanded) == ["rm-1-4", "rm-1-8", "rm-2-4", "rm-2-8"]
    assert expanded["rm-2-4"] == {"type": "implicit", "beta": 2, "train": {"responses": 4, "lr": 0.1}}
    assert dict(sweep("rm", {"type": "x"})) == {"rm": {"type": "x"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("implicit", ("implicit", {"type": "implicit"})),
        (
            "implicit:policy=a/b,reference=null,beta=0.5",
            ("implicit", {"type": "implicit", "policy": "a/b", "reference": None, "beta": 0.5}),
        ),
        ("my/rm.py:Mine", ("Mine", {"type": "my/rm.py:Mine"})),
        ("rm.py:Mine:model=middle", ("Mine", {"type": "rm.py:Mine", "model": "middle"})),
    ],
)
def test_specs_on_the_command_line(text: str, expected: tuple[str, dict[str, Any]]) -> None:
    assert parse_spec(text) == expected


def test_seeds_differ_in_everything_they_are_made_of() -> None:
    seeds = {response_seed(s, g, p, i) for s in (0, 1) for g in "ab" for p in ("p", "q") for i in range(50)}
    assert len(seeds) == 2 * 2 * 2 * 50 and all(0 <= seed < 2**63 for seed in seeds)
    assert response_seed(0, "a", "p1", 2) == response_seed(0, "a", "p1", 2)


def test_every_stage_is_of_a_known_kind() -> None:
    assert {s.kind for s in graph().stages} == {
        "sample", "grade", "rollout", "rollout-grade", "rollout-pass", "token-pass", "score",
    }  # fmt: skip
