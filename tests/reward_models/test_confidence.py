"""Confidence of a generator: statistics of whole distributions, windows, and passes that are a few columns wider."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny_models import make_model
from transformers import AutoModelForCausalLM

from bonbench.reward_models.confidence import Confidence, ConfidenceParams, lowest_mean
from bonbench.reward_models.lm import token_statistics
from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Solution, TokenLogprobs

PROBLEM = Problem("p", "2 + 2 + 3", "7")
TEXTS = ["Step 1: 2 + 2 = 4\nStep 2: 4 + 3 = 7\nThe answer is 7", "so 7", ""]
BATCH = [Solution(PROBLEM, Response("p", "g", j, text, finish_reason="stop")) for j, text in enumerate(TEXTS)]


@torch.inference_mode()
def test_statistics_equal_those_of_whole_distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model(tmp_path)
    monkeypatch.setattr(token_statistics, "LOGITS_COLUMNS", 77)  # of 300 tokens: the last block is short
    wide = CausalLMScorer(CausalLMParams(model=folder, statistics=True))
    model = AutoModelForCausalLM.from_pretrained(folder)
    for solution, record in zip(BATCH, wide.logprobs(BATCH), strict=True):
        ids = wide.encoder.encode([(PROBLEM.problem, solution.response.text, True)])[0].ids
        logits = model(torch.tensor([ids])).logits[0, record.n_prompt_tokens - 1 : -1].double()
        p = logits.softmax(dim=-1)
        targets = torch.tensor(ids[record.n_prompt_tokens :])
        uniform = torch.full_like(p, 1 / p.shape[-1])
        expected = {
            "logprobs": p.gather(1, targets[:, None])[:, 0].log(),
            "entropies": torch.distributions.Categorical(p).entropy(),
            "self_certainty": (uniform * (uniform / p).log()).sum(dim=-1),
        }
        for name, values in expected.items():
            np.testing.assert_allclose(getattr(record, name), values, atol=1e-4, err_msg=name)
    narrow = CausalLMScorer(CausalLMParams(model=folder)).logprobs(BATCH)
    for record, usual in zip(wide.logprobs(BATCH), narrow, strict=True):
        assert usual.entropies is None and usual.self_certainty is None
        np.testing.assert_allclose(record.logprobs, usual.logprobs, atol=1e-6)


def test_impossible_tokens_take_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = AutoModelForCausalLM.from_pretrained(make_model(tmp_path))
    logits = torch.tensor([[0.0, 1.0, -torch.inf, 2.0], [0.5, -torch.inf, -torch.inf, -1.0]])
    monkeypatch.setattr(token_statistics, "LOGITS_COLUMNS", 1)  # one block has impossible tokens alone
    monkeypatch.setattr(model.get_output_embeddings(), "weight", torch.nn.Parameter(torch.zeros(4, 32)))
    monkeypatch.setattr(token_statistics, "token_logits", lambda _, hidden, some: logits[:, list(some)])
    found = token_statistics.token_statistics(model, torch.zeros(2, 32), torch.tensor([3, 0]))
    for row, target, values in zip(logits, (3, 0), found, strict=True):
        p = row[row > -torch.inf].softmax(dim=-1).double()
        certainty = -(p * len(p)).log().mean()
        expected = [row.log_softmax(dim=-1)[target], -(p * p.log()).sum(), certainty]
        np.testing.assert_allclose(values, expected, atol=1e-6)
    logits[0, 1] = torch.inf  # it says nothing of the others: they are not of the probability 0
    found = token_statistics.token_statistics(model, torch.zeros(2, 32), torch.tensor([3, 2]))
    assert found[0, 0].isnan() and found[1, 0] == -torch.inf


@settings(max_examples=50, derandomize=True)
@given(st.lists(st.floats(-9, 9), max_size=12), st.none() | st.integers(1, 15))
def test_the_lowest_window(values: list[float], window: int | None) -> None:
    width = min(window or len(values), len(values))
    means = [np.mean(values[i : i + width]) for i in range(len(values) - width + 1)] if values else [0.0]
    assert lowest_mean(values, window) == pytest.approx(min(means), abs=1e-9)


def scored(**params: Any) -> float:
    tokens = TokenLogprobs("p", "g", 0, (-1.0, -4.0, -1.0), (1, 2, 4), 9, (0.5, 2.0, 0.5), (3.0, 1.0, 5.0))
    solution = replace(BATCH[1], logprobs={"model": tokens})
    (record,) = Confidence(ConfidenceParams(model="m", **params), "c").score_read([solution])
    assert (record.step_ends, record.n_tokens) == ((4,), 3)
    return record.step_rewards[0]


def test_measures_by_hand() -> None:
    assert scored() == 3.0
    assert scored(window=2) == 2.0
    assert scored(measure="entropy") == -1.0
    assert scored(measure="entropy", window=1) == -2.0
    assert scored(measure="log-probability") == -2.0
    assert scored(measure="log-probability", window=2) == -2.5


def test_only_what_needs_more_asks_for_a_wider_pass() -> None:
    def asked(**params: Any) -> Any:
        return Confidence.token_passes(ConfidenceParams(model="m", **params))["model"]

    assert asked(measure="log-probability") == "m"
    assert asked() == asked(measure="entropy", window=9) == {"model": "m", "statistics": True}
    with pytest.raises(ValidationError, match="let backend be transformers for entropy"):
        ConfidenceParams(model="m", measure="entropy", backend="vllm")
    unread = replace(BATCH[0], logprobs={"model": TokenLogprobs("p", "g", 0, (), (), 0)})
    (record,) = Confidence(ConfidenceParams(model="m")).score_read([unread])
    assert record.step_rewards == ()
    with pytest.raises(UserError, match="sample 0 of g for problem 'p' is longer than the model reads"):
        Confidence(ConfidenceParams(model="m", too_long="error")).score_read([unread])
    # It was read, and is not too long: it has a token of the probability 0.
    impossible = replace(BATCH[1], logprobs={"model": TokenLogprobs("p", "g", 1, (-np.inf,), (4,), 9)})
    (record,) = Confidence(ConfidenceParams(model="m", too_long="error")).score_read([impossible])
    assert record.step_rewards == ()


def test_the_confidence_in_an_answer_is_that_of_its_tokens(tmp_path: Path) -> None:
    text = "<think>4 + 3\n\nis 7</think>\n\nso 7"
    whole = Solution(PROBLEM, Response("p", "g", 0, text, finish_reason="stop"))
    folder = make_model(tmp_path)
    tokens = CausalLMScorer(CausalLMParams(model=folder, statistics=True)).logprobs([whole])[0]
    read = replace(whole, logprobs={"model": tokens})
    begin = text.index("so")
    for measure, values in (
        ("entropy", [-e for e in tokens.entropies or ()]),
        ("self-certainty", tokens.self_certainty),
    ):
        model = Confidence(ConfidenceParams(model=folder, measure=measure, reads="answer"), "c")
        (scored,) = model.score_read([read])
        own = [value for value, end in zip(values or (), tokens.token_ends, strict=True) if end > begin]
        assert scored.step_rewards == pytest.approx((np.mean(own),)) and scored.step_ends == (len(text),)
    cut = replace(read, response=replace(read.response, text="<think>4"))
    assert model.score_read([cut])[0].step_rewards == ()
