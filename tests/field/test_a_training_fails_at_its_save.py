"""A training does all of its steps, and then its model cannot be saved: hours are lost.

huggingface/transformers#29988: a base whose `generation_config.json` has a temperature and does not sample is loaded
with a warning, and its trained child is refused.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tiny_models import make_model
from training_data import graded_sums, trained

from bonbench.reward_models.lm.causal_lm import load
from bonbench.reward_models.training import loop, rehearsal
from bonbench.reward_models.training.job import Job
from bonbench.reward_models.training.params import ImplicitTrainerParams, LoraParams
from bonbench.reward_models.training.responses import build_rollouts
from harness.core.errors import UserError


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = Path(make_model(tmp_path_factory.mktemp("base")))
    config = {"temperature": 0.6, "top_p": 0.9, "num_beams": 1, "length_penalty": 0.5, "eos_token_id": [1, 4]}
    (folder / "generation_config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.fixture(scope="module")
def job(base: str) -> Job:
    params = ImplicitTrainerParams.model_validate(
        {"base": base, "reference": None, "objective": "ce", "batch_size": 16, "cpus_per_worker": 1}
    )
    rollouts, _ = build_rollouts(graded_sums(None, problems=8), params)
    return Job("implicit", params, rollouts, base, Path())


@pytest.mark.parametrize("lora", [None, pytest.param(LoraParams(rank=2), marks=pytest.mark.thorough)])
def test_what_nothing_here_samples_by_refuses_no_model(job: Job, tmp_path: Path, lora: LoraParams | None) -> None:
    params = job.params.model_copy(update={"lora": lora})
    facts, _ = trained(replace(job, params=params, output=tmp_path / "out"))
    assert facts.extra["steps"] == 2
    kept = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert kept["eos_token_id"] == [1, 4] and not {"temperature", "top_p", "length_penalty"} & kept.keys()
    load(str(tmp_path / "out"), "float32", "cpu")
    assert not (tmp_path / "out" / "rehearsal").exists()


class _Disk(NamedTuple):
    free: int


def test_whatever_cannot_be_saved_is_refused_before_the_first_step(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Any] = []
    monkeypatch.setattr(loop, "go", lambda *given: steps.append(given))
    (tmp_path / "file").touch()
    with pytest.raises((UserError, OSError), match="file"):
        loop.train_worker(replace(job, output=tmp_path / "file" / "out"), lambda *_: None)
    monkeypatch.setattr(rehearsal.shutil, "disk_usage", lambda _: _Disk(1000))
    with pytest.raises(UserError, match=r"out: the trained model takes 0\.0 GiB, and 0\.0 GiB are free: make room$"):
        loop.train_worker(replace(job, output=tmp_path / "out"), lambda *_: None)
    monkeypatch.undo()
    monkeypatch.setattr(loop, "go", lambda *given: steps.append(given))
    # A config that cannot be written as JSON stands for whatever a class refuses to save.
    load_ = loop.MODEL_LOSSES["implicit"].load

    def unsavable(self: Any, model: str) -> Any:
        loaded = load_(self, model)
        loaded.config.of_a_new_kind = {1, 2}
        return loaded

    monkeypatch.setattr(loop.MODEL_LOSSES["implicit"], "load", unsavable)
    with pytest.raises(UserError, match="a model trained from it could not be saved: TypeError"):
        loop.train_worker(replace(job, output=tmp_path / "out"), lambda *_: None)
    assert steps == [] and {p.name for p in (tmp_path / "out").iterdir()} <= {"checkpoints"}


def test_a_base_that_cannot_be_copied_is_not_asked_for_its_weights(base: str, tmp_path: Path) -> None:
    """The rehearsal before anything is computed reads what a model is, not what it weighs."""
    folder = shutil.copytree(base, tmp_path / "m")
    params = ImplicitTrainerParams.model_validate({"base": str(folder), "reference": None, "objective": "ce"})
    from bonbench.reward_models.training.implicit import ImplicitTrainer

    ImplicitTrainer.rehearse(params)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": "wide"}))
    with pytest.raises(UserError, match="m cannot be loaded: "):
        ImplicitTrainer.rehearse(params)
