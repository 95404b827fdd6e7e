"""Scoring with vLLM: equal to transformers, for every convention that vLLM has, and for token passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reward_checkpoints import PROBLEM, TEXT, TOKENIZERS, make_checkpoint

from bonbench.reward_models.generative.model import GenerativeRewardModel
from bonbench.reward_models.generative.params import GenerativeParams
from bonbench.reward_models.hidden_state_model import HiddenStateRewardModel
from bonbench.reward_models.lm.token_logprobs import CausalLMScorer
from bonbench.reward_models.vllm.token_logprobs import VLLMScorer
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Solution
from harness.core.registry import find
from harness.streams.scorer import Scorer

#: vLLM's attention on a CPU takes heads of 32 and more.
SIZES = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32}
POSITIONS = 256


@dataclass(frozen=True)
class Case:
    """A convention, and a checkpoint of it."""

    type: str
    convention: str
    family: str
    heads: dict[str, tuple[int, ...]]
    config: dict[str, Any] = field(default_factory=dict)


def lm_head(family: str) -> dict[str, tuple[int, ...]]:
    return {"lm_head.weight": (len(TOKENIZERS[family]()), 64)}


QWEN_HEAD = {"score.0.weight": (64, 64), "score.0.bias": (64,), "score.2.weight": (2, 64), "score.2.bias": (2,)}
CASES = {
    "math-shepherd": Case("step-token", "math-shepherd", "mistral", lm_head("mistral"), {"sliding_window": 64}),
    "qwen-prm": Case("head-prm", "qwen2.5-math-prm", "qwen", QWEN_HEAD | lm_head("qwen")),
    "two-labels": Case(
        "head-prm", "token-classifier", "llama", {"score.weight": (2, 64), "score.bias": (2,)}, {"num_labels": 2}
    ),
    "classifier": Case("sequence-classifier", "chat", "llama", {"score.weight": (1, 64)}, {"num_labels": 1}),
}
LONG = "7 + 7 = 14. " * 5 + "\n\n" + "7 + 7 = 14. " * 60
TEXTS = [TEXT, "Step 1: 14", "", "so\n\n14\n", "a\nb\nc", "½ ∞ naïve 😀 ки + -\n", TEXT, "apples " * 20, LONG]
#: Engines start faster with little memory for keys and values.
SMALL = {"kv_cache_memory_bytes": 32 << 20}


def solution(text: str, sample: int = 0, finish_reason: str = "stop") -> Solution:
    response = Response("p", "g", sample, text, finish_reason=finish_reason)  # type: ignore[arg-type]
    return Solution(Problem("p", PROBLEM, "14"), response)


def checkpoint(folder: Path, case: Case) -> str:
    config = {**SIZES, "max_position_embeddings": POSITIONS, **case.config}
    return make_checkpoint(folder, case.family, case.heads, seed=3, **config)


def load(case: Case, folder: str, **params: Any) -> HiddenStateRewardModel[Any]:
    cls = find("reward_models", case.type)
    entry = {"model": folder, "convention": case.convention, "too_long": "truncate", **params}
    model = cls(cls.Params.model_validate(entry), "rm")
    assert isinstance(model, HiddenStateRewardModel)
    return model


@pytest.mark.parametrize("name", list(CASES))
def test_rewards_equal_those_of_transformers(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    folder = checkpoint(tmp_path, case)
    plain = load(case, folder)
    served = load(case, folder, backend="vllm", engine=SMALL)
    # One is as long as the model's positions reach, to the token.
    lengths = {len(plain.encode([solution("a" * n)])[0].ids): n for n in range(POSITIONS)}
    batch = [solution(text, i) for i, text in enumerate([*TEXTS, "a" * lengths[POSITIONS]])]
    assert max(len(tokens.ids) for tokens in plain.encode(batch)) == POSITIONS
    wanted = plain.score(batch)
    for ours, theirs in zip(served.score(batch), wanted, strict=True):
        assert (ours.step_ends, ours.n_tokens, ours.sample) == (theirs.step_ends, theirs.n_tokens, theirs.sample)
        np.testing.assert_allclose(ours.step_rewards, theirs.step_rewards, atol=1e-4)
    assert len({record.step_rewards for record in wanted}) > 5  # the comparison could have failed
    assert served.unscored_because == plain.unscored_because
    facts, plain_facts = served.describe(), plain.describe()
    assert facts is not None
    assert plain_facts is not None
    assert (facts.device, facts.output_head) == (plain_facts.device, plain_facts.output_head)
    assert facts.config["hidden_size"] == 64


def test_log_probabilities_equal_those_of_transformers(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, Case("", "", "llama", lm_head("llama")))
    plain = CausalLMScorer(CausalLMScorer.Params.model_validate({"model": folder}))
    served = VLLMScorer(VLLMScorer.Params.model_validate({"model": folder, "engine": SMALL}))
    # One is as long as the model's positions reach, to the token; one has no token at all.
    ends = {len(plain.encoder.encode([(PROBLEM, "a" * n, False)])[0].ids): n for n in range(POSITIONS)}
    batch = [solution(text, i) for i, text in enumerate(TEXTS)]
    batch += [solution("a" * ends[POSITIONS], 20, "length"), solution("", 21, "length")]
    wanted, found = plain.logprobs(batch), served.logprobs(batch)
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours.token_ends, ours.n_prompt_tokens) == (theirs.token_ends, theirs.n_prompt_tokens)
        np.testing.assert_allclose(ours.logprobs, theirs.logprobs, atol=1e-4)
    assert [record.n_prompt_tokens == 0 for record in found] == [text == LONG for text in TEXTS] + [False, False]
    assert found[-2].n_prompt_tokens + len(found[-2].logprobs) == POSITIONS
    assert found[0].logprobs == found[6].logprobs  # equal responses


def test_implicit_rewards_without_an_experiment(models: Path) -> None:
    """Policy and reference are two engines of one process there."""
    rows = [("What is 3 + 4?", "Step 1: 3 + 4 = 7.\nThe answer is \\boxed{7}."), ("What is 2 + 2?", "4")]
    pair = f"policy={models / 'strong'},reference={models / 'weak'}"
    served = Scorer(f"implicit:{pair},backend=vllm,engine={{kv_cache_memory_bytes: {32 << 20}}}")
    for ours, theirs in zip(served.score(rows), Scorer(f"implicit:{pair}").score(rows), strict=True):
        np.testing.assert_allclose(ours.scores.step_rewards, theirs.scores.step_rewards, atol=1e-3)


def test_what_vllm_refuses_is_one_line(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, CASES["classifier"])
    with pytest.raises(UserError, match=r"vLLM refuses .*unexpected keyword argument 'block_sizes'") as caught:
        load(CASES["classifier"], folder, backend="vllm", engine={"block_sizes": 32})
    assert "\n" not in str(caught.value)


def test_the_first_token_of_a_judge_equals_that_of_transformers(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, Case("", "", "llama", lm_head("llama")))
    entry = {"model": folder, "answer_yes": "+", "answer_no": "-"}
    plain, served = (
        GenerativeRewardModel(GenerativeParams.model_validate({**entry, **more}), "rm")
        for more in ({}, {"backend": "vllm", "engine": SMALL})
    )
    batch = [solution(text, i) for i, text in enumerate(TEXTS)]
    wanted = plain.score(batch)
    for ours, theirs in zip(served.score(batch), wanted, strict=True):
        assert (ours.step_ends, ours.n_tokens, ours.sample) == (theirs.step_ends, theirs.n_tokens, theirs.sample)
        np.testing.assert_allclose(ours.step_rewards, theirs.step_rewards, atol=1e-4)
    assert [len(record.step_rewards) for record in wanted] == [int(text != LONG) for text in TEXTS]
    assert len({record.step_rewards for record in wanted}) > 5
