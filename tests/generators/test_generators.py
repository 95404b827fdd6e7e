"""The transformers generator: what it samples, and that nothing but the seed decides it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from places import ROOT
from scipy.stats import chisquare, kstest
from tiny_models import make_model, make_tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from bonbench.generators.decoding import choose, sample
from bonbench.generators.transformers import TransformersGenerator, TransformersParams
from bonbench.generators.uniforms import seed_array, uniforms
from harness.core.errors import UserError
from harness.core.records import Problem, Sampling

PROBLEMS = [
    Problem(f"p{i}", text, "0") for i, text in enumerate(["2 + 2?", "What is 12 * 3 - 1?", "Tom has 4 apples.", "5"])
]
SEEDS = {p.problem_id: [1000 * i + j for j in range(9)] for i, p in enumerate(PROBLEMS)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    return make_model(tmp_path_factory.mktemp("model"), seed=3)


def generator(model: str, **params: object) -> TransformersGenerator:
    return TransformersGenerator(TransformersParams.model_validate({"model": model, **params}), "tiny")


def test_uniforms_are_uniform_and_independent() -> None:
    seeds = seed_array([0, 1, 2, 2**63, -1, 2**70 + 5])
    draws = np.stack([uniforms(seeds, t) for t in range(4000)])
    assert draws.min() >= 0
    assert draws.max() < 1
    for column in draws.T:
        assert kstest(column, "uniform").pvalue > 1e-3
    across = np.corrcoef(draws.T)
    assert np.abs(across - np.eye(len(seeds))).max() < 0.07
    consecutive = uniforms(seed_array(range(4000)), 0)
    assert kstest(consecutive, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(consecutive[1:], consecutive[:-1])[0, 1]) < 0.07


def test_samples_do_not_depend_on_the_batch(model: str) -> None:
    sampling = Sampling(n=9, max_tokens=16)
    whole = generator(model).generate(PROBLEMS, sampling, SEEDS)
    assert [(r.problem_id, r.sample) for r in whole] == [(p.problem_id, j) for p in PROBLEMS for j in range(9)]
    for batch_size in (1, 4, 11):
        assert generator(model, batch_size=batch_size).generate(PROBLEMS, sampling, SEEDS) == whole
    # Another order, fewer samples, other neighbours.
    some = generator(model).generate(PROBLEMS[::-2], Sampling(n=2, max_tokens=16), SEEDS)
    by_sample = {(r.problem_id, r.sample): r for r in whole}
    assert some == [by_sample[r.problem_id, r.sample] for r in some]
    other = generator(model).generate(PROBLEMS, sampling, {p: [s + 1 for s in seeds] for p, seeds in SEEDS.items()})
    assert sum(a.text == b.text for a, b in zip(whole[:-1], other[:-1], strict=True)) < 5


def test_seed_and_lengths(model: str) -> None:
    responses = generator(model).generate(PROBLEMS, Sampling(n=9, max_tokens=60), SEEDS)
    tokenizer = make_tokenizer()
    assert {r.finish_reason for r in responses} == {"stop", "length"}
    for r in responses:
        assert r.seed == SEEDS[r.problem_id][r.sample]
        problem = next(p.problem for p in PROBLEMS if p.problem_id == r.problem_id)
        prompt = f"<|bos|><|user|>{problem}<|end|><|assistant|>"
        assert r.n_prompt_tokens == len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        assert r.n_tokens == 60 or r.finish_reason == "stop"
        assert not any(special in r.text for special in tokenizer.all_special_tokens)


def test_greedy_is_the_plain_argmax_loop(model: str) -> None:
    tokenizer, plain = make_tokenizer(), AutoModelForCausalLM.from_pretrained(model)
    responses = generator(model).generate(PROBLEMS, Sampling(n=1, temperature=0, max_tokens=25), SEEDS)
    for problem, response in zip(PROBLEMS, responses, strict=True):
        text = f"<|bos|><|user|>{problem.problem}<|end|><|assistant|>"
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        n_prompt = len(ids)
        while len(ids) < n_prompt + 25 and (len(ids) == n_prompt or ids[-1] != tokenizer.eos_token_id):
            with torch.no_grad():
                ids.append(int(plain(torch.tensor([ids])).logits[0, -1].argmax()))
        assert response.n_tokens == len(ids) - n_prompt
        assert response.text == tokenizer.decode(ids[n_prompt:], skip_special_tokens=True)


def test_going_on_from_a_beginning_ends_as_the_whole_did() -> None:
    """A greedy response of a real model, cut after each line, continues to the same end at the same length."""
    sampler = generator(str(ROOT / "experiments" / "pocket" / "models" / "middle"))
    problem = Problem("p", "Compute 3 + 4 + 5 + 6 + 7.", "25")
    greedy = Sampling(n=1, temperature=0, max_tokens=96)
    (whole,) = sampler.generate([problem], greedy, {"p": [0]})
    cuts = [i + 1 for i, letter in enumerate(whole.text) if letter == "\n"]
    assert len(cuts) > 1
    cut = [Problem(f"p{i}", problem.problem, "") for i in cuts]
    rest = sampler.complete(cut, [whole.text[:i] for i in cuts], greedy, {p.problem_id: [0] for p in cut})
    for i, following in zip(cuts, rest, strict=True):
        assert whole.text[:i] + following.text == whole.text
        assert following.n_prompt_tokens + following.n_tokens == whole.n_prompt_tokens + whole.n_tokens
        assert following.finish_reason == whole.finish_reason
    shorter = Sampling(n=1, temperature=0, max_tokens=20)
    short = sampler.complete(cut, [whole.text[:i] for i in cuts], shorter, {p.problem_id: [0] for p in cut})
    for response in short:
        begun = response.n_prompt_tokens - whole.n_prompt_tokens
        assert response.n_tokens == min(whole.n_tokens - begun, max(20 - begun, 1))


def test_what_responses_have_in_common_goes_through_the_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows sampled together are the rows sampled alone, and a step reads as many tokens as there are distinct ones."""
    model = AutoModelForCausalLM.from_pretrained(ROOT / "experiments" / "pocket" / "models" / "weak").eval()
    prompts, rows = [[1, 30, 31, 40], [1, 50]], [0, 1] * 60
    seeds, limits = seed_array(range(120)), np.array([3, 9, 20, 12] * 30)
    read = []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda **kw: read.append(kw["input_ids"].shape) or forward(**kw))
    together = sample(model, prompts, rows, seeds, [2], limits, 0.6, 1.0)
    sampled = [tuple(tokens[:n]) for tokens, n in zip(together.tokens.tolist(), together.lengths, strict=True)]
    begun = [{(row, t[:k]) for row, t in zip(rows, sampled, strict=True) if len(t) > k} for k in range(1, 20)]
    assert read == [(2, 4), *((len(distinct), 1) for distinct in begun if distinct)]
    assert any(2 < len(distinct) < 60 for distinct in begun)
    for row in range(120):
        one = [values[row : row + 1] for values in (seeds, limits)]
        alone = sample(model, [prompts[rows[row]]], [0], one[0], [2], one[1], 0.6, 1.0)
        assert tuple(alone.tokens[0, : alone.lengths[0]].tolist()) == sampled[row]
        assert alone.stopped[0] == together.stopped[row]


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.7)])
def test_sampled_frequencies_are_the_exact_probabilities(temperature: float, top_p: float) -> None:
    """All sequences of up to 3 tokens over a vocabulary of 5, their probabilities by enumeration."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=5, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=16, initializer_range=0.5, eos_token_id=4,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    prompts, n = [[1, 2, 3], [0]], 6000
    rows = [0] * n + [1] * n
    result = sample(model, prompts, rows, seed_array(range(2 * n)), [4], np.full(2 * n, 3), temperature, top_p)
    for which, prompt in enumerate(prompts):
        exact = _enumerated(model, prompt, 3, temperature, top_p)
        assert sum(exact.values()) == pytest.approx(1, abs=1e-5)
        counts = dict.fromkeys(exact, 0)
        for row in range(which * n, (which + 1) * n):
            counts[tuple(result.tokens[row, : result.lengths[row]].tolist())] += 1
        assert all(count == 0 for tokens, count in counts.items() if exact[tokens] == 0)
        common = [tokens for tokens, p in exact.items() if p * n >= 5]
        rest = n - sum(counts[tokens] for tokens in common)
        observed = [counts[tokens] for tokens in common] + [rest]
        expected = [exact[tokens] * n for tokens in common]
        expected.append(n - sum(expected))
        keep = slice(None) if expected[-1] > 1e-3 else slice(-1)
        f_exp = np.array(expected[keep]) * sum(observed[keep]) / sum(expected[keep])
        assert chisquare(observed[keep], f_exp).pvalue > 1e-3


def _enumerated(
    model: LlamaForCausalLM, prompt: list[int], length: int, temperature: float, top_p: float, stop: int = 4
) -> dict[tuple[int, ...], float]:
    """Probability of each sequence of at most ``length`` tokens that ends with ``stop`` or is cut off."""
    exact: dict[tuple[int, ...], float] = {}
    open_ends: dict[tuple[int, ...], float] = {(): 1.0}
    while open_ends:
        tokens, probability = open_ends.popitem()
        with torch.no_grad():
            logits = model(torch.tensor([prompt + list(tokens)])).logits[0, -1]
        p = np.exp(np.array(logits.double()) / temperature)
        p /= p.sum()
        mass = 0.0
        for candidate in np.argsort(-p):
            if mass >= top_p:
                p[candidate] = 0
            else:
                mass += p[candidate]
        for token, share in enumerate(p / p.sum()):
            longer = (*tokens, token)
            (exact if token == stop or len(longer) == length else open_ends)[longer] = probability * float(share)
    return exact


def test_choose_inverts_the_distribution_function() -> None:
    p = torch.tensor([0.1, 0.0, 0.6, 0.3])
    draws = torch.tensor([0.0, 0.0999, 0.1001, 0.6999, 0.7001, 1 - 2**-53], dtype=torch.float64)
    logits = p.log().expand(len(draws), -1)
    assert choose(logits, draws, 1.0, 1.0).tolist() == [0, 0, 2, 2, 3, 3]
    # The nucleus of 0.65 is {2, 3}: 0.6 alone falls short.
    assert choose(logits, draws, 1.0, 0.65).tolist() == [2, 2, 2, 3, 3, 3]
    assert choose(logits, draws, 1.0, 0.6 - 1e-9).tolist() == [2] * 6


def test_long_prompts_and_single_tokens(model: str) -> None:
    problems = [Problem("short", "5", "0"), Problem("long", "12 apples and " * 30, "0")]
    seeds = {"short": [1], "long": [2]}
    responses = generator(model).generate(problems, Sampling(n=1, max_tokens=1), seeds)
    assert [r.n_tokens for r in responses] == [1, 1]
    assert generator(model).generate([], Sampling(n=4), {}) == []


def test_a_response_ends_where_the_model_ends(model: str) -> None:
    """``max_tokens`` beyond the model's 512 positions are cut to what is left, for each prompt by itself."""
    problems = [Problem("a", "5", "0"), Problem("b", "12 apples and " * 30, "0")]
    seeds = {"a": [1, 2, 3, 4], "b": [5, 6, 7, 8]}
    whole = generator(model).generate(problems, Sampling(n=4, max_tokens=600), seeds)
    assert len(whole) == 8 and {r.finish_reason for r in whole} == {"stop", "length"}
    for r in whole:
        assert r.n_prompt_tokens + r.n_tokens <= 512
        assert (r.n_prompt_tokens + r.n_tokens == 512) == (r.finish_reason == "length")
    alone = [r for p in problems for r in generator(model).generate([p], Sampling(n=4, max_tokens=600), seeds)]
    assert alone == whole


def test_a_prompt_without_room_for_a_response(model: str) -> None:
    """It is left out and changes nothing for the others; cut, its end is read; or it is an error that names it."""
    problems = [PROBLEMS[0], Problem("long", "12 apples and " * 200, "0"), PROBLEMS[1]]
    seeds, sampling = {**SEEDS, "long": [7, 8]}, Sampling(n=2, max_tokens=16)
    others = generator(model).generate([PROBLEMS[0], PROBLEMS[1]], sampling, seeds)
    assert generator(model).generate(problems, sampling, seeds) == others
    assert generator(model).generate(problems[1:2], sampling, seeds) == []
    cut = [
        r for r in generator(model, too_long="truncate").generate(problems, sampling, seeds) if r.problem_id == "long"
    ]
    assert [(r.sample, r.n_prompt_tokens) for r in cut] == [(0, 496), (1, 496)]
    with pytest.raises(UserError, match=r"reads 512 tokens, the prompt of problem 'long' has \d+ and leaves no room"):
        generator(model, too_long="error").generate(problems, sampling, seeds)


def test_system_prompt_is_read(model: str) -> None:
    plain = generator(model).generate(PROBLEMS[:1], Sampling(n=1, max_tokens=4), SEEDS)[0]
    system = generator(model, system_prompt="Be brief.").generate(PROBLEMS[:1], Sampling(n=1, max_tokens=4), SEEDS)[0]
    assert system.n_prompt_tokens > plain.n_prompt_tokens


def test_errors_name_the_model(model: str, tmp_path: Path) -> None:
    make_model(tmp_path)
    make_tokenizer(template=None).save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="no chat template"):
        generator(str(tmp_path))


@pytest.mark.parametrize(
    "changed",
    [{"model_type": None}, {"hidden_size": "x"}, {"num_attention_heads": 0}, {"hidden_act": "x"}, {"vocab_size": -1}],
)
def test_a_damaged_config_is_one_line(tmp_path: Path, changed: dict[str, object]) -> None:
    make_model(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changed))
    with pytest.raises(UserError, match=f"^{tmp_path} cannot be loaded: .") as raised:
        generator(str(tmp_path))
    assert "\n" not in str(raised.value)


def test_seeds_of_neighbouring_samples_differ_at_every_position() -> None:
    seeds = seed_array(range(50))
    columns = [uniforms(seeds, t) for t in range(50)]
    assert all(not np.isin(a, b).any() for a, b in pairwise(columns))
