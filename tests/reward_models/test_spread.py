"""Models whose parts are called through the hooks that move tensors between devices; here all devices are the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import dispatch_model
from tiny_models import make_model
from transformers import AutoModelForCausalLM

from bonbench.generators import transformers as transformers_generator
from bonbench.generators.decoding import sample
from bonbench.generators.transformers import TransformersGenerator, TransformersParams
from bonbench.reward_models.lm import causal_lm
from bonbench.reward_models.lm.causal_lm import load, response_logprobs
from bonbench.reward_models.lm.tree_attention import supports_trees
from bonbench.reward_models.text.encoding import Encoded

SOLUTIONS = [
    Encoded([1, 30, 31, 32, 33, 34], 3, []),
    Encoded([1, 30, 31, 32, 40, 41, 42], 3, []),
    Encoded([1, 50, 51], 2, []),
]


def hooked(path: str) -> Any:
    """A model with a hook on each of its parts, as `from_pretrained` leaves one that is spread."""
    model = AutoModelForCausalLM.from_pretrained(path, dtype="float32").eval()
    parts = ["model.embed_tokens", "model.layers.0", "model.layers.1", "model.norm", "model.rotary_emb", "lm_head"]
    return dispatch_model(model, dict.fromkeys(parts, "cpu"), main_device="cpu", force_hooks=True)


@pytest.mark.parametrize("tree", [True, False])
def test_log_probabilities_of_a_spread_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tree: bool) -> None:
    path = make_model(tmp_path)
    plain, spread = load(path, "float32", "cpu"), hooked(path)
    assert supports_trees(spread)
    if not tree:
        monkeypatch.setattr(causal_lm, "supports_trees", lambda _: False)
    for one, other in zip(response_logprobs(spread, SOLUTIONS), response_logprobs(plain, SOLUTIONS), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_sampling_from_a_spread_model(tmp_path: Path) -> None:
    path = make_model(tmp_path)

    def tokens(model: Any) -> list[list[int]]:
        prompts, rows = [[1, 30, 31], [1, 50]], [0, 0, 1, 1]
        limits = np.array([9, 3, 5, 9])  # rows that end early leave the batch
        return sample(model, prompts, rows, np.arange(4, dtype=np.uint64), [2], limits, 1.0, 1.0).tokens.tolist()

    assert tokens(hooked(path)) == tokens(load(path, "float32", "cpu"))


def test_weights_go_straight_to_their_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, asked = make_model(tmp_path), []
    from_pretrained = AutoModelForCausalLM.from_pretrained

    def noted(*args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs.get("device_map"))
        return from_pretrained(*args, **kwargs)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", noted)
    for module in (causal_lm, transformers_generator):
        monkeypatch.setattr(module, "placed", lambda *_: {"device_map": {"": "cpu"}})
    model = load(path, "float32", "auto")
    generator = TransformersGenerator(TransformersParams(model=path, dtype="float32"))
    assert asked == [{"": "cpu"}, {"": "cpu"}]
    plain = from_pretrained(path, dtype="float32")
    for name, weight in plain.named_parameters():
        assert torch.equal(weight, model.get_parameter(name)) and torch.equal(
            weight, generator.model.get_parameter(name)
        )
