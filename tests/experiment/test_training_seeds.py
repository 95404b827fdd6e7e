"""``seeds:`` in a ``train:`` block: the entries that it stands for, their keys, and mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from places import MODELS

from harness.analysis.seed_groups import seed_groups
from harness.core.errors import UserError
from harness.core.records import StepScores
from harness.core.stages import StageKind
from harness.engine.build import build_graph
from harness.engine.graph import Graph
from harness.engine.provenance import describe_results, results_key
from harness.experiment.config import Experiment
from harness.experiment.defaults import with_defaults
from harness.experiment.expansion import Entries, expand
from harness.storage.arrow import SCHEMAS
from harness.storage.shards import write_shard
from harness.storage.trained import write_trained_key

DPO = {"objective": "dpo", "base": "middle"}


def entries(train: dict[str, Any], **others: Any) -> Entries:
    models = {"dpo": {"type": "implicit", "train": {**DPO, **train}}, **others}
    return expand(Experiment.model_validate({"name": "x", "reward_models": models}))


def seeds(found: Entries) -> dict[str, int]:
    return {name: entry["train"]["seed"] for name, entry in found.reward_models.items()}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0, 1, 2], {"dpo": 0, "dpo-seed1": 1, "dpo-seed2": 2}),
        ([2, 0], {"dpo": 0, "dpo-seed2": 2}),  # the seed that it has without seeds has its name
        ([7, 3], {"dpo": 7, "dpo-seed3": 3}),
    ],
)
def test_seeds_are_entries_of_one_name(given: list[int], expected: dict[str, int]) -> None:
    found = entries({"seeds": given})
    assert seeds(found) == expected and set(found.trained) == set(expected)
    assert found.seeds_of == dict.fromkeys(expected, "dpo")


def test_one_seed_is_one_entry() -> None:
    found = entries({"seeds": [4]})
    assert seeds(found) == {"dpo": 4} and not found.seeds_of


def test_every_value_of_a_sweep_has_its_seeds_and_a_swept_seed_is_a_sweep() -> None:
    found = entries({"responses": [2, 4], "seeds": [0, 1]})
    assert found.seeds_of == {"dpo-2": "dpo-2", "dpo-2-seed1": "dpo-2", "dpo-4": "dpo-4", "dpo-4-seed1": "dpo-4"}
    assert all(len({*entry["train"]} & {"seeds"}) == 0 for entry in found.reward_models.values())
    swept = entries({"seed": [0, 1]})
    assert seeds(swept) == {"dpo-0": 0, "dpo-1": 1} and not swept.seeds_of


def test_the_name_stands_for_its_own_seed_and_another_entry_may_go_on_from_any() -> None:
    steps = {"type": "implicit", "train": {"objective": "kto", "base": "dpo-seed1"}}
    found = entries({"seeds": [0, 1]}, steps=steps)
    assert list(found.trained).index("dpo-seed1") < list(found.trained).index("steps")


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"seeds": 3}, r"reward_models.dpo: train.seeds: give it different whole numbers.*\(it is 3\)"),
        ({"seeds": []}, "train.seeds: give it different whole numbers"),
        ({"seeds": [0, "a"]}, "train.seeds: give it different whole numbers"),
        ({"seeds": [0, True]}, "train.seeds: give it different whole numbers"),
        ({"seeds": [0, 0]}, "0 is there twice"),
        ({"seeds": [2, 1, 2]}, "2 is there twice"),
        ({"seeds": [0, -1]}, "train.seeds: give it different whole numbers"),
        ({"seeds": [0, 1], "seed": 2}, "a seed beside it"),
    ],
)
def test_mistakes_are_named(train: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        entries(train)


def test_a_name_that_a_seed_needs_may_be_taken() -> None:
    with pytest.raises(UserError, match="the name 'dpo-seed1' is taken"):
        entries({"seeds": [0, 1]}, **{"dpo-seed1": {"type": "length"}})


def test_a_training_without_a_seed_has_no_seeds(tmp_path: Path) -> None:
    file = tmp_path / "fixed.py"
    file.write_text(
        "from harness.core.trainer import Trainer, TrainerParams\n\n\n"
        "class Fixed(Trainer[TrainerParams]):\n    Params = TrainerParams\n"
    )
    with pytest.raises(UserError, match="this training has no seed"):
        entries({"type": f"{file}:Fixed", "seeds": [0, 1]})


def test_seeds_may_be_a_default_and_an_entry_overrules_it() -> None:
    raw = {
        "name": "x",
        "defaults": {"train": {"base": "a/b", "seeds": [0, 1]}},
        "reward_models": {
            "dpo": {"type": "implicit", "train": {"objective": "dpo"}},
            "orm": {"type": "sequence-classifier", "train": {"seed": 5}},
        },
    }
    found = expand(with_defaults(Experiment.model_validate(raw))[0])
    assert seeds(found) == {"dpo": 0, "dpo-seed1": 1, "orm": 5}


def graph(folder: Path, **train: Any) -> Graph:
    raw = {
        "name": "x",
        "output": folder,
        "problems": {split: {"dataset": "pocket", "split": split, "limit": 2} for split in ("test", "train")},
        "sampling": {"n": 2, "max_tokens": 32},
        "generators": {"middle": {"type": "transformers", "model": str(MODELS / "middle")}},
        "rollouts": {"generator": "middle", "problems": "train", "n": 2},
        "reward_models": {"dpo": {"type": "implicit", "train": {**DPO, **train}}},
        "evaluation": {"n": [1, 2]},
    }
    return build_graph(Experiment.model_validate(raw))


def test_more_seeds_leave_what_is_stored(tmp_path: Path) -> None:
    """The training that was there before, and its scores, have the keys and the places that they had."""
    once, often = graph(tmp_path), graph(tmp_path, seeds=[0, 1, 2])
    before, after = once.trainings["dpo"], often.trainings["dpo"]
    assert (after.key, after.folder) == (before.key, before.folder)
    assert [s.key for s in often.stage(StageKind.SCORE, "dpo").shards] == [
        s.key for s in once.stage(StageKind.SCORE, "dpo").shards
    ]
    assert list(often.trainings) == ["dpo", "dpo-seed1", "dpo-seed2"]
    assert len({training.key for training in often.trainings.values()}) == 3
    assert often.seeds_of == dict.fromkeys(often.trainings, "dpo") and not once.seeds_of
    kinds = [node.kind for node in often.nodes]
    assert kinds.count(StageKind.ROLLOUT) == kinds.count(StageKind.ROLLOUT_PASS) == 1, "what they learn from is shared"


def test_the_manifest_says_whose_seeds_they_are(tmp_path: Path) -> None:
    often = graph(tmp_path, seeds=[0, 1])
    for name, training in often.trainings.items():
        training.folder.mkdir(parents=True)
        write_trained_key(training.folder, training.key, {})
        for shard in often.stage(StageKind.SCORE, name).shards:
            write_shard(shard.path(tmp_path), SCHEMAS[StepScores].empty_table(), shard.key)
    manifest = describe_results(often, [])
    assert {name: facts.seeds_of for name, facts in manifest.reward_models.items()} == dict.fromkeys(
        ("dpo", "dpo-seed1"), "dpo"
    )
    assert seed_groups(manifest) == {"dpo (2 seeds)": {0: "dpo", 1: "dpo-seed1"}}
    assert results_key(often, []) != results_key(replace(often, seeds_of={}), [])
