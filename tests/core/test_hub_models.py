"""Models at a revision: where it is said, what is loaded, what the keys are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from places import MODELS
from transformers import AutoModelForCausalLM, AutoTokenizer

from bonbench.generators.transformers import TransformersGenerator, TransformersParams
from bonbench.reward_models.lm.causal_lm import load
from bonbench.reward_models.training.encode import for_likelihood
from harness.core.errors import UserError
from harness.core.hub_models import hub_id, pretrained
from harness.core.stages import StageKind
from harness.core.terms import Kind
from harness.engine.build import build_graph
from harness.experiment.config import Experiment
from harness.experiment.entries import build
from harness.experiment.model_files import Artifacts


def test_what_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    no_code = {"trust_remote_code": False}
    assert pretrained("o/m") == no_code | {"pretrained_model_name_or_path": "o/m"}
    assert pretrained("o/m@refs/pr/1") == no_code | {"pretrained_model_name_or_path": "o/m", "revision": "refs/pr/1"}
    assert hub_id("o/m@v1") == "o/m"
    (tmp_path / "o" / "m@v1").mkdir(parents=True)
    assert pretrained("o/m@v1") == no_code | {"pretrained_model_name_or_path": "o/m@v1"}, "a folder is a folder"


@pytest.mark.parametrize(
    ("kind", "type_", "model"),
    [
        ("generators", "transformers", "model"),
        ("generators", "vllm", "model"),
        ("reward_models", "step-token", "model"),
        ("reward_models", "sequence-classifier", "model"),
        ("reward_models", "implicit", "policy"),
        ("token_scorers", "causal-lm", "model"),
        ("trainers", "implicit", "base"),
        ("trainers", "autopsv", "base"),
    ],
)
def test_every_component_with_a_model_takes_a_revision(kind: Kind, type_: str, model: str) -> None:
    entry: dict[str, Any] = {"type": type_, model: "o/m"}
    if (kind, type_) == ("reward_models", "implicit"):
        entry["reference"] = "o/r@v2"

    def params(**more: str) -> dict[str, Any]:
        spec = build(kind, "x", {**entry, **more}, "x", {})
        return dict(Artifacts().identity(spec)["params"])

    assert params()[model] == "hub:o/m"
    assert "revision" not in params()
    changed = params(revision="v1")
    assert changed[model] == "hub:o/m@v1"
    assert {key for key, value in changed.items() if value != params()[key]} <= {model, "reference"}
    with pytest.raises(UserError, match=r"^x: revision: 'v1' is for a hub id"):
        build(kind, "x", {**entry, model: str(MODELS / "weak"), "revision": "v1"}, "x", {})


def test_a_name_stands_for_its_model_at_its_revision() -> None:
    raw = {
        "name": "x",
        "problems": {split: {"dataset": "pocket", "split": split, "limit": 4} for split in ("test", "train")},
        "generators": {"g": {"type": "transformers", "model": "o/m", "revision": "v1"}},
        "sampling": {"n": 2, "max_tokens": 8},
        "rollouts": {"generator": "g", "problems": "train", "n": 2},
        "reward_models": {"dpo": {"type": "implicit", "train": {"base": "g", "responses": 2}}},
    }
    graph = build_graph(Experiment.model_validate(raw))
    assert graph.trainings["dpo"].params.base == "o/m@v1"
    for kind in (StageKind.ROLLOUT_PASS, StageKind.TOKEN_PASS):
        assert graph.stage(kind, "g").model == "o/m@v1"


def test_the_revision_is_what_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def from_pretrained(*_: Any, **kwargs: Any) -> Any:
        asked.append((kwargs["pretrained_model_name_or_path"], kwargs.get("revision")))
        raise OSError("no network")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", from_pretrained)
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", from_pretrained)
    for loads in (
        lambda: load("o/m@v1", "float32", "cpu"),
        lambda: TransformersGenerator(TransformersParams(model="o/m@v1")),
        lambda: for_likelihood("o/m@v1"),
    ):
        with pytest.raises((UserError, OSError), match="no network"):
            loads()
    assert asked == 3 * [("o/m", "v1")]
