"""The vllm generator, on the pocket models: counts, seeds, ends, and that it samples what transformers samples."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pocket import correct, problems, seeds, z_of_difference
from transformers import AutoConfig, AutoTokenizer

from bonbench.generators.transformers import TransformersGenerator, TransformersParams
from bonbench.generators.vllm import VLLMGenerator, VLLMParams
from bonbench.generators.vllm_engine import EngineDeadError
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Sampling
from harness.engine.failures import breaks_process

PROBLEMS = problems(60)
SEEDS = seeds(PROBLEMS, 16)
SAMPLING = Sampling(n=16, temperature=1.0, max_tokens=96)
_alive: dict[str, VLLMGenerator] = {}


def generator(model: Path, **params: object) -> VLLMGenerator:
    """A generator. A process holds one vLLM engine at a time: another one is shut down first."""
    wanted = VLLMParams.model_validate({"model": str(model), **params})
    key = wanted.model_dump_json()
    if key not in _alive:
        _alive.clear()
        gc.collect()
        _alive[key] = VLLMGenerator(wanted, "g")
    return _alive[key]


@pytest.fixture
def middle(models: Path) -> VLLMGenerator:
    return generator(models / "middle", keep_token_ids=True)


@pytest.fixture(scope="module")
def whole(models: Path) -> list[Response]:
    return generator(models / "middle", keep_token_ids=True).generate(PROBLEMS, SAMPLING, SEEDS)


def test_counts_order_and_tokens(whole: list[Response], models: Path) -> None:
    assert [(r.problem_id, r.sample, r.seed) for r in whole] == [
        (p.problem_id, i, SEEDS[p.problem_id][i]) for p in PROBLEMS for i in range(16)
    ]
    tokenizer = AutoTokenizer.from_pretrained(models / "middle")
    by_id = {p.problem_id: p.problem for p in PROBLEMS}
    for r in whole:
        chat = [{"role": "user", "content": by_id[r.problem_id]}]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        assert r.n_prompt_tokens == len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        assert r.token_ids is not None
        assert len(r.token_ids) == r.n_tokens
        assert (r.token_ids[-1] == tokenizer.eos_token_id) == (r.finish_reason == "stop")
        assert tokenizer.eos_token_id not in r.token_ids[:-1]
        assert r.n_tokens == 96 or r.finish_reason == "stop"
        assert r.text == tokenizer.decode(r.token_ids, skip_special_tokens=True)
        assert not any(token in r.text for token in tokenizer.all_special_tokens)
    assert len({r.text for r in whole[:16]}) > 1


def test_shards_in_flight_change_nothing_but_rounding(middle: VLLMGenerator, whole: list[Response]) -> None:
    """Shards of 6 problems, four at a time, among requests that vLLM refuses and requests that nobody waits for."""
    from vllm import SamplingParams
    from vllm.exceptions import VLLMValidationError

    wanted = {(r.problem_id, r.sample): r for r in whole}
    blocks = [PROBLEMS[i : i + 6] for i in range(0, 60, 6)]
    refused = [([1, 2], SamplingParams(max_tokens=9)), ([10**6], SamplingParams(max_tokens=9))]
    with ThreadPoolExecutor(4) as threads:
        shards = [threads.submit(middle.generate, block, SAMPLING, SEEDS) for block in blocks]
        with pytest.raises(VLLMValidationError, match="out of vocabulary"):
            list(middle.engine.outputs(refused))
        next(middle.engine.outputs([([1, 2], SamplingParams(max_tokens=n)) for n in (1, 200, 200)]))
        for block, shard in zip(blocks, shards, strict=True):
            order = [(r.problem_id, r.sample) for r in shard.result()]
            assert order == [(p.problem_id, i) for p in block for i in range(16)]
    responses = [r for shard in shards for r in shard.result()]
    differing = sum(wanted[r.problem_id, r.sample] != r for r in responses)
    print(f"{differing} of {len(responses)} responses differ in flight with others")
    assert differing <= 0.005 * len(responses)
    other = middle.generate(PROBLEMS[:8], SAMPLING, seeds(PROBLEMS, 16, run=1))
    assert sum(a.token_ids == b.token_ids for a, b in zip(whole, other, strict=False)) < len(other) / 2


def test_other_batches_differ_by_rounding_alone(middle: VLLMGenerator, whole: list[Response]) -> None:
    wanted = {(r.problem_id, r.sample): r for r in whole}
    shuffled = [PROBLEMS[i] for i in np.random.default_rng(0).permutation(60)]
    others = middle.generate(shuffled, SAMPLING, SEEDS)
    others += middle.generate(PROBLEMS[::7], replace(SAMPLING, n=5), SEEDS)
    differing = sum(wanted[r.problem_id, r.sample] != r for r in others)
    print(f"{differing} of {len(others)} responses differ in another batch")
    assert differing <= 0.005 * len(others)


def test_responses_are_cut_at_max_tokens(middle: VLLMGenerator, whole: list[Response]) -> None:
    cut = middle.generate(PROBLEMS[:8], replace(SAMPLING, max_tokens=7), SEEDS)
    for r, full in zip(cut, whole, strict=False):
        assert r.finish_reason == ("length" if full.n_tokens > 7 else "stop")
        assert r.n_tokens == min(7, full.n_tokens)
        assert full.text.startswith(r.text)
    assert middle.generate([], SAMPLING, {}) == []


def test_what_goes_past_the_context_is_cut_and_prompts_without_room_are_left_out(middle: VLLMGenerator) -> None:
    long = Problem("long", "What is 1 + 1? " * 200, "2")
    responses = middle.generate([PROBLEMS[0], long], Sampling(n=2, max_tokens=400), {**SEEDS, "long": [1, 2]})
    assert [(r.problem_id, r.sample) for r in responses] == [(PROBLEMS[0].problem_id, i) for i in range(2)]
    assert all(r.n_prompt_tokens + r.n_tokens <= 256 for r in responses)


def test_what_the_ledger_is_told(middle: VLLMGenerator, models: Path) -> None:
    facts = middle.describe()
    assert facts is not None
    assert facts.device == "cpu"
    config = AutoConfig.from_pretrained(models / "middle").to_dict()
    for size in ("hidden_size", "num_hidden_layers", "vocab_size", "intermediate_size", "num_attention_heads"):
        assert facts.config[size] == config[size]


def test_stop_strings(whole: list[Response], models: Path) -> None:
    stopping = generator(models / "middle", stop=["\nStep 2", "boxed"])
    for r, full in zip(stopping.generate(PROBLEMS[:8], SAMPLING, SEEDS), whole, strict=False):
        ends = [full.text.find(s) for s in stopping.params.stop if s in full.text]
        assert r.text == full.text[: min(ends)]
        assert r.finish_reason == "stop"
        assert r.n_tokens < full.n_tokens
        assert r.token_ids is None


def test_a_tight_engine_changes_nothing_but_rounding(whole: list[Response], models: Path) -> None:
    """Few prompts per step, requests put back for want of memory: no prompt is split, seeds still decide."""
    engine = {"max_num_batched_tokens": 256, "kv_cache_memory_bytes": 9_000_000, "max_num_seqs": 48}
    tight = generator(models / "middle", engine=engine, keep_token_ids=True)
    responses = tight.generate(PROBLEMS[:16], SAMPLING, SEEDS)
    assert sum(a != b for a, b in zip(responses, whole, strict=False)) <= 0.01 * len(responses)


def test_a_failure_of_the_engine_reaches_all_who_wait(models: Path) -> None:
    """A seeded prompt that is split over two steps is more than vLLM can do on CPU."""
    engine = {"enable_chunked_prefill": True, "max_num_batched_tokens": 48, "max_num_seqs": 8}
    broken = generator(models / "middle", engine=engine)
    with ThreadPoolExecutor(3) as threads:
        shards = [threads.submit(broken.generate, [problem], SAMPLING, SEEDS) for problem in PROBLEMS[:3]]
        for shard in shards:
            with pytest.raises(EngineDeadError, match=r"vLLM's engine failed: .*offset") as caught:
                shard.result()
            assert breaks_process(caught.value), "the actor is replaced"
    with pytest.raises(EngineDeadError):
        broken.generate(PROBLEMS[:1], SAMPLING, SEEDS)


@pytest.mark.parametrize("name", ["weak", "middle", "strong"])
def test_it_samples_what_transformers_samples(name: str, models: Path) -> None:
    vllm = generator(models / name)
    plain = TransformersGenerator(TransformersParams(model=str(models / name)), "g")
    greedy = replace(SAMPLING, n=1, temperature=0)
    texts = [[r.text for r in g.generate(PROBLEMS, greedy, SEEDS)] for g in (vllm, plain)]
    assert sum(a == b for a, b in zip(*texts, strict=True)) >= 59
    ours, theirs = (g.generate(PROBLEMS, SAMPLING, SEEDS) for g in (vllm, plain))
    a, b = correct(PROBLEMS, ours), correct(PROBLEMS, theirs)
    z = z_of_difference(a, b)
    print(f"{name}: pass@1 vllm {a.mean():.2%}, transformers {b.mean():.2%}, z {z:.2f}")
    assert abs(z) < 3.3  # 1 in 1000 for equal distributions; the seeds are fixed
    lengths = [np.array([r.n_tokens for r in rs], dtype=float).reshape(60, 16) for rs in (ours, theirs)]
    assert abs(z_of_difference(*lengths)) < 3.3
    # The test could have seen another temperature.
    colder = plain.generate(PROBLEMS, replace(SAMPLING, temperature=0.5), SEEDS)
    assert abs(z_of_difference(correct(PROBLEMS, colder), b)) > 3.3


def test_answers_are_weighed_as_transformers_weighs_them(models: Path) -> None:
    """Where responses of several lengths go on; the prompt and what was said are in vLLM's cache."""
    begun = ["", "Step 1: ", "Step 1: 3 + 4 = 7\n", "Step 1: 3 + 4 = 7\nThe answer is "]
    answers = "4", "2"
    problems = [PROBLEMS[0]] * len(begun)
    plain = TransformersGenerator(TransformersParams(model=str(models / "middle")), "plain")
    wanted = plain.weigh(problems, begun, answers)
    for found in (generator(models / "middle", keep_token_ids=True).weigh(problems, begun, answers) for _ in range(2)):
        assert [one.n_read + one.n_cached for one in found] == [one.n_read for one in wanted]
        assert [one.probability for one in found] == pytest.approx([one.probability for one in wanted], abs=1e-4)
    assert len({one.probability for one in wanted} - {None}) > 1


def test_errors_say_what_vllm_says_in_one_line(models: Path, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, object], str]] = [
        ({"engine": {"block_sizes": 32}}, "unexpected keyword argument 'block_sizes'"),
        ({"max_model_len": 100_000}, r"max_model_len \(100000\) is greater than"),
        ({"engine": {"quantization": "awq"}}, "awq"),
    ]
    for params, message in cases:
        with pytest.raises(UserError, match=message) as caught:
            generator(models / "middle", **params)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=f"{tmp_path} cannot be loaded"):
        generator(tmp_path)
