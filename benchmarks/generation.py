"""Sampling speed: the transformers generator against a ``model.generate`` loop, the vLLM one against ``LLM.generate``.

``python benchmarks/generation.py`` samples the pocket test problems from a pocket model. The two of a pair do the same
work in the same process in alternation, and the median of their rounds is compared. The vLLM half runs
where vllm is installed (``make test-vllm`` makes ``build/vllm``).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
VLLM_PYTHON = ROOT / "build" / "vllm" / "bin" / "python"

from bonbench.experiments.pocket.world import PocketDataset, PocketParams  # noqa: E402
from harness.core.records import Problem, Sampling  # noqa: E402
from harness.engine.tasks import response_seed  # noqa: E402

Seeds = dict[str, list[int]]


def compare(title: str, ours: Callable[[], int], plain: Callable[[], int], rounds: int) -> None:
    """Print tokens per second of both (each returns its tokens) and their ratio, after one round for warming up."""
    speeds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for which, sample in enumerate((ours, plain)):
            started = time.perf_counter()
            tokens = sample()
            speeds[which].append(tokens / (time.perf_counter() - started))
    a, b = (statistics.median(s[1:]) for s in speeds)
    print(f"| {title} | {a:,.0f} | {b:,.0f} | {a / b:.2f} |", flush=True)


def transformers_half(problems: Sequence[Problem], sampling: Sampling, seeds: Seeds, model: str, rounds: int) -> None:
    import torch

    from bonbench.generators.transformers import TransformersGenerator, TransformersParams

    torch.set_num_threads(1)
    generator = TransformersGenerator(TransformersParams(model=model))

    def ours() -> int:
        return sum(r.n_tokens for r in generator.generate(problems, sampling, seeds))

    def plain() -> int:
        tokens = 0
        for problem in problems:
            prompt = torch.tensor([generator.codec.encode(problem.problem)])
            output = generator.model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=True,
                temperature=sampling.temperature,
                top_k=0,
                num_return_sequences=sampling.n,
                max_new_tokens=sampling.max_tokens,
                eos_token_id=generator.codec.stop_ids,
                pad_token_id=generator.codec.stop_ids[0],
            )
            new = output[:, prompt.shape[1] :]
            ended = torch.isin(new, torch.tensor(generator.codec.stop_ids))
            length = torch.where(ended.any(1), ended.int().argmax(1) + 1, new.shape[1])
            tokens += int(length.sum())
        return tokens

    compare(f"transformers, n = {sampling.n}, against model.generate", ours, plain, rounds)


def vllm_half(problems: Sequence[Problem], sampling: Sampling, seeds: Seeds, model: str, rounds: int) -> None:
    from vllm import SamplingParams, TokensPrompt

    from bonbench.generators.vllm import VLLMGenerator, VLLMParams

    generator = VLLMGenerator(VLLMParams(model=model))
    prompts = [TokensPrompt(prompt_token_ids=generator.codec.encode(p.problem)) for p in problems]
    params = SamplingParams(
        n=sampling.n, temperature=sampling.temperature, max_tokens=sampling.max_tokens, seed=0, detokenize=False
    )

    def ours() -> int:
        return sum(r.n_tokens for r in generator.generate(problems, sampling, seeds))

    def plain() -> int:
        outputs = generator.llm.generate(prompts, params, use_tqdm=False)
        return sum(len(sample.token_ids) for output in outputs for sample in output.outputs)

    compare(f"vllm, n = {sampling.n}, against LLM.generate", ours, plain, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "experiments/pocket/models/middle"))
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    problems = PocketDataset(PocketParams(split="test", limit=options.problems)).load()
    has_vllm = importlib.util.find_spec("vllm") is not None
    if not has_vllm:
        print("| tokens per second | ours | plain | ratio |\n| --- | --- | --- | --- |", flush=True)
    for n in (8, 64):
        sampling = Sampling(n=n, temperature=1.0, max_tokens=96)
        seeds = {p.problem_id: [response_seed(0, "benchmark", p.problem_id, i) for i in range(n)] for p in problems}
        half = vllm_half if has_vllm else transformers_half
        half(problems, sampling, seeds, options.model, options.rounds)
    if not has_vllm:
        if VLLM_PYTHON.exists():
            quiet = {**os.environ, "VLLM_LOGGING_LEVEL": "ERROR"}
            subprocess.run([str(VLLM_PYTHON), *sys.argv], check=True, env=quiet)
        else:
            print("no build/vllm: run `make test-vllm` for the vllm half", file=sys.stderr)


if __name__ == "__main__":
    main()
