"""What the ``defaults:`` block of an experiment does to its entries."""

from __future__ import annotations

from typing import Any

import pytest

from harness.core.errors import UserError
from harness.experiment.config import Experiment
from harness.experiment.defaults import with_defaults

RESOURCES = {"replicas": 4, "num_gpus": 1}


def filled(**blocks: Any) -> Experiment:
    return with_defaults(Experiment.model_validate({"name": "x", **blocks}))[0]


def test_an_entry_takes_what_it_does_not_give_itself() -> None:
    generators = filled(
        defaults={"generators": {"type": "transformers", "model": "a/b", "dtype": "bfloat16", "num_gpus": 1}},
        generators={"one": {}, "two": {"model": "c/d", "num_gpus": 0}},
    ).generators
    assert generators == {
        "one": {"type": "transformers", "model": "a/b", "dtype": "bfloat16", "num_gpus": 1},
        "two": {"type": "transformers", "model": "c/d", "dtype": "bfloat16", "num_gpus": 0},
    }


def test_null_is_given() -> None:
    entry = {"type": "transformers", "model": "a/b", "system_prompt": None}
    defaults = {"generators": {"system_prompt": "Be brief."}}
    assert filled(defaults=defaults, generators={"one": entry}).generators["one"] == entry


def test_resources_are_for_entries_with_a_model() -> None:
    reward_models = filled(
        defaults={"reward_models": {**RESOURCES, "beta": 0.5}},
        reward_models={"length": {"type": "length"}, "implicit": {"type": "implicit", "policy": "a/b"}},
    ).reward_models
    assert reward_models["length"] == {"type": "length"}
    assert reward_models["implicit"] == {"type": "implicit", "policy": "a/b", "beta": 0.5, **RESOURCES}


def test_train_blocks_take_theirs_and_no_entry_gets_one() -> None:
    reward_models = filled(
        defaults={"train": {"base": "a/b", "lr": 1e-6, "completions": 4}},
        reward_models={
            "orm": {"type": "sequence-classifier", "train": {"lr": 1e-5}},
            "shepherd": {"type": "step-token", "train": {}},
            "public": {"type": "step-token", "model": "c/d"},
        },
    ).reward_models
    assert reward_models["orm"]["train"] == {"base": "a/b", "lr": 1e-5}, "its training has no completions"
    assert reward_models["shepherd"]["train"] == {"base": "a/b", "lr": 1e-6, "completions": 4}
    assert "train" not in reward_models["public"]


def test_policies_are_generators_and_extra_reward_models_take_part() -> None:
    experiment = Experiment.model_validate(
        {
            "name": "x",
            "defaults": {"generators": {"top_k": 5, "device": "cpu"}, "reward_models": {"num_gpus": 1}},
            "policies": {"models": {"p": {"type": "transformers", "model": "a/b"}}},
        }
    )
    with pytest.raises(UserError, match=r"defaults\.generators\.top_k: no entry has such a key"):
        with_defaults(experiment)
    experiment = experiment.model_copy(
        update={"defaults": experiment.defaults.model_copy(update={"generators": {"device": "cpu"}})}
    )
    with_policy, extra = with_defaults(experiment, [("mine", {"type": "head-prm", "model": "c/d"})])
    assert with_policy.policies.models["p"]["device"] == "cpu"
    assert extra == [("mine", {"type": "head-prm", "model": "c/d", "num_gpus": 1})]


def test_a_misspelt_default_is_one_line() -> None:
    entry = {"type": "implicit", "train": {"base": "a/b"}}
    with pytest.raises(UserError, match=r"defaults\.train\.gpu_per_worker: .* did you mean gpus_per_worker"):
        filled(defaults={"train": {"gpu_per_worker": 1}}, reward_models={"one": entry})
    with pytest.raises(UserError, match=r"generators\.one: .*no-such"):
        filled(defaults={"generators": {"dtype": "auto"}}, generators={"one": {"type": "no-such"}})
