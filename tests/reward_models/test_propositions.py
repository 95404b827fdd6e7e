"""Propositions 3.1 and 3.2 of "Free Process Rewards without Process Labels", by enumerating every response.

Two random language models over a toy vocabulary, in which every line of a response is one token: all responses of
LENGTH tokens can be listed. The scores come from the implicit reward model as it is used; the expectations over
continuations from the models' next-token distributions.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from bonbench.reward_models.implicit import ImplicitParams, ImplicitPRM
from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer
from harness.core.records import Problem, Response, Solution, TokenLogprobs

VOCABULARY = ["a\n", "b\n", "c\n", "<|user|>", "<|end|>"]
LENGTH = 4
PROMPT = [3, 0, 4]  # <|user|>a\n<|end|>
BETA = 0.3
RESPONSES = [(0, 1, 2, 0), (2, 2, 1, 1), (1, 0, 0, 2)]  # without special tokens, which no text can spell
Table = dict[tuple[int, ...], np.ndarray]


def save_model(folder: Path, seed: int) -> str:
    backend = Tokenizer(models.WordLevel({token: i for i, token in enumerate(VOCABULARY)}, unk_token=VOCABULARY[0]))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r".\n"), behavior="isolated")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|end|>", additional_special_tokens=["<|user|>"]
    )
    tokenizer.chat_template = "{% for m in messages %}<|user|>{{ m.content }}<|end|>{% endfor %}"
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        initializer_range=0.6,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def conditionals(model: str) -> Table:
    """log p(next token | prompt, prefix) for every prefix of a response, [vocabulary]."""
    lm = AutoModelForCausalLM.from_pretrained(model)
    table = {}
    with torch.no_grad():
        for t in range(LENGTH):
            prefixes = list(product(range(len(VOCABULARY)), repeat=t))
            logits = lm(torch.tensor([[*PROMPT, *prefix] for prefix in prefixes])).logits[:, -1]
            table |= dict(zip(prefixes, logits.double().log_softmax(-1).numpy(), strict=True))
    return table


def logp(table: Table, y: tuple[int, ...], start: int = 0) -> float:
    return sum(float(table[y[:t]][y[t]]) for t in range(start, LENGTH))


def continuations(prefix: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [prefix + rest for rest in product(range(len(VOCABULARY)), repeat=LENGTH - len(prefix))]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    return save_model(folder / "policy", 1), save_model(folder / "reference", 2)


def running_sums(solutions: list[Solution], beta: float) -> list[np.ndarray]:
    """q_1 .. q_LENGTH of each solution; every step is one token."""
    prm = ImplicitPRM(ImplicitParams(policy="policy", reference="reference", beta=beta))
    return [np.cumsum(record.step_rewards) for record in prm.score(solutions)]


def test_proposition_3_1(pair: tuple[str, str]) -> None:
    """q_t is beta times the log of the reference's expectation of exp(r / beta) over continuations."""
    policy, reference = map(conditionals, pair)
    bare = [
        Solution(Problem("p", "a\n", ""), Response("p", "g", i, "".join(VOCABULARY[token] for token in y)))
        for i, y in enumerate(RESPONSES)
    ]
    passes = [CausalLMScorer(CausalLMParams(model=model)).logprobs(bare) for model in pair]
    solutions = [
        Solution(s.problem, s.response, {"policy": p, "reference": r}) for s, p, r in zip(bare, *passes, strict=True)
    ]
    for y, q in zip(RESPONSES, running_sums(solutions, BETA), strict=True):
        assert len(q) == LENGTH
        for t in range(1, LENGTH + 1):
            rest = continuations(y[:t])
            reward = np.array([BETA * (logp(policy, z) - logp(reference, z)) for z in rest])
            weight = np.exp([logp(reference, z, start=t) for z in rest])
            assert weight.sum() == pytest.approx(1)
            assert q[t - 1] == pytest.approx(BETA * np.log(weight @ np.exp(reward / BETA)), abs=1e-5)
            # Proposition 3.2: between the expectation and the best of what can still come.
            assert weight @ reward <= q[t - 1] + 1e-5
            assert q[t - 1] <= reward.max() + 1e-5
            if t < LENGTH:  # and strictly so while something can still come
                assert weight @ reward < q[t - 1] < reward.max()


@pytest.mark.parametrize(("beta", "limit"), [(1e4, "expectation"), (2e-4, "maximum")])
def test_the_limits_of_proposition_3_2(pair: tuple[str, str], beta: float, limit: str) -> None:
    """For one reward r and the policy that is optimal for it at beta, ref * exp(r / beta) / Z."""
    reference = conditionals(pair[1])
    everything = continuations(())
    rewards = dict(zip(everything, np.random.default_rng(3).normal(size=len(everything)), strict=True))
    # log of the sum over continuations of ref(rest | prefix) exp(r / beta), for every prefix, from the longest back.
    value = {z: rewards[z] / beta for z in everything}
    for t in reversed(range(LENGTH)):
        for prefix in product(range(len(VOCABULARY)), repeat=t):
            following = [reference[prefix][token] + value[(*prefix, token)] for token in range(len(VOCABULARY))]
            value[prefix] = float(np.logaddexp.reduce(following))
    solutions = []
    for i, y in enumerate(RESPONSES):
        ref = [float(reference[y[:t]][y[t]]) for t in range(LENGTH)]
        optimal = [ref[t] + value[y[: t + 1]] - value[y[:t]] for t in range(LENGTH)]
        text, ends = "".join(VOCABULARY[token] for token in y), (2, 4, 6, 8)
        roles = {
            role: TokenLogprobs("p", "g", i, tuple(logprobs), ends, len(PROMPT))
            for role, logprobs in (("policy", optimal), ("reference", ref))
        }
        solutions.append(Solution(Problem("p", "a\n", ""), Response("p", "g", i, text), roles))
    for y, q in zip(RESPONSES, running_sums(solutions, beta), strict=True):
        for t in range(1, LENGTH + 1):
            rest = continuations(y[:t])
            weight = np.exp([logp(reference, z, start=t) for z in rest])
            reward = np.array([rewards[z] for z in rest])
            expected = weight @ reward if limit == "expectation" else reward.max()
            # The policy's own reward is r less beta log Z, and so is q_t.
            assert q[t - 1] + beta * value[()] == pytest.approx(expected, abs=0.01)
