"""Who may score with vLLM, what it is asked for, and what enters keys. What it computes: `tests_vllm`."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from tiny_models import make_model

from harness.core.errors import UserError
from harness.core.registry import find
from harness.engine.labels import pass_label
from harness.experiment.entries import build, token_scorer_entry
from harness.experiment.model_files import Artifacts
from harness.experiment.spec import Spec, unkeyed


def spec(**entry: Any) -> Spec[Any]:
    return build("reward_models", "rm", entry, "rm", {})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"tensor_parallel_size": 2}, "rm: tensor_parallel_size is for vLLM: set backend: vllm"),
        ({"engine": {"quantization": "fp8"}}, "rm: engine is for vLLM"),
        ({"backend": "vllm", "device": "cuda:1"}, "rm: vLLM takes the GPUs that the entry's num_gpus gives it"),
        ({"backend": "vllm", "engine": {"tensor_parallel_size": 2}}, "rm.engine: tensor_parallel_size is a parameter"),
        ({"backend": "vllm", "convention": "skywork-o1-prm"}, "rm: backend: vLLM has no head for skywork-o1-prm"),
        ({"backend": "vlm"}, "rm.backend: input should be 'transformers' or 'vllm'"),
    ],
)
def test_what_is_refused_before_anything_starts(model: str, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}"):
        spec(type="head-prm", model=model, **entry)


def test_an_implicit_reward_asks_for_passes_of_vllm(model: str) -> None:
    entry = spec(
        type="implicit",
        policy=model,
        reference=None,
        backend="vllm",
        tensor_parallel_size=4,
        engine={"quantization": "fp8"},
        too_long="truncate",
    )
    asked = entry.cls.token_passes(entry.params)["policy"]
    assert asked == {
        "type": "vllm",
        "model": model,
        "too_long": "truncate",
        "tensor_parallel_size": 4,
        "engine": {"quantization": "fp8"},
    }
    scorer: Spec[Any] = build("token_scorers", "pass", token_scorer_entry(asked), "pass", {})
    assert scorer.cls is find("token_scorers", "vllm")
    assert scorer.params.model_dump().items() >= {key: value for key, value in asked.items() if key != "type"}.items()
    assert pass_label(asked, {"llama-70b": model}) == "llama-70b-truncate-vllm"


def test_keys_and_processes(model: str) -> None:
    artifacts = Artifacts()
    for type_, entry in {
        "head-prm": {"model": model},
        "step-token": {"model": model},
        "sequence-classifier": {"model": model},
        "implicit": {"policy": model, "reference": None},
    }.items():
        plain, served, split = (
            spec(type=type_, **entry, **more)
            for more in ({}, {"backend": "vllm"}, {"backend": "vllm", "tensor_parallel_size": 2})
        )
        # What came after results were stored is in no key where it is not used.
        assert {"backend", "tensor_parallel_size", "pipeline_parallel_size", "max_model_len", "engine"} <= set(
            unkeyed(plain.params)
        )
        assert len({str(artifacts.identity(each)) for each in (plain, served, split)}) == 3
        if type_ != "implicit":  # a vLLM engine leaves threads and settings behind
            assert plain.cls.may_share_process(plain.params)
            assert not served.cls.may_share_process(served.params)


def test_what_vllm_reads_at_most_is_known_without_it(model: str) -> None:
    scorer = find("token_scorers", "vllm")
    for given, limit in ((None, 512), (100, 100), (1000, 512)):
        assert scorer.context(scorer.Params(model=model, max_model_len=given)) == limit


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_one_line_says_how_to_install_it(model: str) -> None:
    scorer = find("token_scorers", "vllm")
    with pytest.raises(UserError, match=r"vLLM is not installed where the model is to run: pip install"):
        scorer(scorer.Params(model=model))
