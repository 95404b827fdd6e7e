"""What of the vllm generator works without vLLM: planning with it, and saying what is wrong."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tiny_models import make_model

from bonbench.generators import vllm_start
from bonbench.generators.vllm import VLLMGenerator, VLLMParams
from harness.core.errors import UserError
from harness.experiment.entries import build
from harness.experiment.model_files import Artifacts


def test_an_entry_is_checked_without_vllm(tmp_path: Path) -> None:
    def entry(**options: object) -> object:
        given = {"type": "vllm", "model": make_model(tmp_path), "num_gpus": 2, **options}
        return Artifacts().identity(build("generators", "g", given, "generators.g", {}))

    assert entry(tensor_parallel_size=2, engine={"max_num_seqs": 8}) != entry(tensor_parallel_size=2)
    for options, message in [
        ({"engine": {"model": "other"}}, r"generators\.g\.engine: the model is a parameter of its own"),
        ({"stop": ["a", ""]}, r"generators\.g\.stop: an empty string would end every response"),
        ({"tensor_parallel": 2}, r"tensor_parallel: unknown key; did you mean tensor_parallel_size"),
        ({"few_shot": [{"problem": "1"}]}, r"generators\.g\.few_shot\[0\]\.solution: missing"),
    ]:
        with pytest.raises(UserError, match=message):
            entry(**options)


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_it_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"vLLM is not installed .* pip install 'bonbench\[vllm\]'"):
        VLLMGenerator(VLLMParams(model=make_model(tmp_path)))


def test_the_engine_loads_model_and_tokenizer_at_the_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    platforms = ModuleType("vllm.platforms")
    cpu = SimpleNamespace(is_cpu=lambda: True, is_cuda_alike=lambda: False)
    platforms.current_platform = cpu  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", ModuleType("vllm"))
    monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)
    monkeypatch.setattr(vllm_start, "Engine", dict)  # only what it would be given
    arguments: Any = vllm_start.start_engine("o/m@v1", 1, 1, {}, {})
    assert (arguments["model"], arguments["revision"], arguments["tokenizer_revision"]) == ("o/m", "v1", "v1")
    assert "revision" not in vllm_start.start_engine("o/m", 1, 1, {}, {})  # type: ignore[operator]
