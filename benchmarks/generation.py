"""Sampling speed: the transformers generator against a ``model.generate`` loop, the vLLM one against ``LLM.generate``.

``python benchmarks/generation.py`` samples the pocket test problems from a pocket model. The members of a comparison do
the same work in turn, and the medians over their rounds are compared. The vLLM half runs where vllm is installed
(``make test-vllm`` makes ``build/vllm``): shards of 8 problems through the local executor, as many at a time as keep
the engine busy or each after the other, against one ``LLM.generate`` of all requests on the same engine. Besides tokens
per second it prints tokens per step, which say how full the engine's batches are, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
VLLM_PYTHON = ROOT / "build" / "vllm" / "bin" / "python"

from bonbench.experiments.pocket.world import PocketDataset, PocketParams  # noqa: E402
from harness.core.records import Problem, Sampling  # noqa: E402
from harness.core.seeds import response_seed  # noqa: E402

Seeds = dict[str, list[int]]
AT_ONCE = 64  # responses that vLLM's engine computes at once here


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
    import vllm

    from bonbench.generators.vllm_engine import settle_environment

    settle_environment()
    made: list[vllm.LLM] = []

    class Remembered(vllm.LLM):
        def __init__(self, *arguments: object, **settings: object) -> None:
            super().__init__(*arguments, **settings)  # type: ignore[arg-type]
            made.append(self)

    vllm.LLM = Remembered  # type: ignore[misc]
    asyncio.run(_in_shards(problems, sampling, seeds, model, rounds, made))


async def _in_shards(
    problems: Sequence[Problem], sampling: Sampling, seeds: Seeds, model: str, rounds: int, made: list[Any]
) -> None:
    from transformers import AutoTokenizer
    from vllm import SamplingParams, TokensPrompt

    from bonbench.generators.prompts import Codec
    from bonbench.generators.vllm import VLLMParams
    from harness.core.stages import Task
    from harness.engine.local_executor import LocalExecutor
    from harness.engine.progress import Board
    from harness.experiment.entries import build
    from harness.storage.arrow import to_table

    entry = {"type": "vllm", "model": model, "engine": {"max_num_seqs": AT_ONCE}}
    spec = build("generators", "benchmark", entry, "benchmark", {})
    codec = Codec(VLLMParams(model=model), AutoTokenizer.from_pretrained(model), model, None)
    blocks = [problems[i : i + 8] for i in range(0, len(problems), 8)]
    steps = 0

    async def sample(pool: Any, block: Sequence[Problem]) -> int:
        payload = {"problems": to_table(Problem, list(block)), "sampling": sampling, "run_seed": 0}
        result = await pool.run(Task.SAMPLE, lambda: payload, sampling.n * len(block))
        return int(result.completion_tokens)

    async def together(pool: Any) -> int:
        return sum(await asyncio.gather(*(sample(pool, block) for block in blocks)))

    async def in_turn(pool: Any) -> int:
        return sum([await sample(pool, block) for block in blocks])

    async def plain(_: Any) -> int:
        shared = {"temperature": sampling.temperature, "max_tokens": sampling.max_tokens}
        rows = [(p, seed) for p in problems for seed in seeds[p.problem_id]]
        settings = [SamplingParams(**shared, seed=seed, stop_token_ids=codec.stop_ids) for _, seed in rows]
        prompts = [TokensPrompt(prompt_token_ids=codec.encode(p.problem)) for p, _ in rows]
        outputs = made[0].generate(prompts, settings, use_tqdm=False)
        return sum(len(output.outputs[0].token_ids) for output in outputs)

    def counted(step: Callable[[], Any]) -> Callable[[], Any]:
        def counting() -> Any:
            nonlocal steps
            steps += 1
            return step()

        return counting

    ways = {"shards of 8 problems": together, "shards of 8, one at a time": in_turn, "LLM.generate": plain}
    speeds: dict[str, list[tuple[float, float, float]]] = {title: [] for title in ways}
    with Board(live=False) as board:
        line = board.line("sample", None, "responses")
        async with LocalExecutor().pool(spec, len(blocks), 0, line) as pool:
            await together(pool)
            made[0].llm_engine.step = counted(made[0].llm_engine.step)
            for _ in range(rounds):
                for title, way in ways.items():
                    steps, started, used = 0, time.perf_counter(), time.process_time()
                    tokens = await way(pool)
                    elapsed, used = time.perf_counter() - started, time.process_time() - used
                    speeds[title].append((tokens / elapsed, tokens / used, tokens / steps))
    print("| vllm | tokens/s | of LLM.generate | per processor second | of LLM.generate | per step | of LLM.generate |")
    for title in ways:
        cells = []
        for k in range(3):
            pairs = zip(speeds[title], speeds["LLM.generate"], strict=True)
            ratio = statistics.median(a[k] / b[k] for a, b in pairs)
            cells += [f"{statistics.median(way[k] for way in speeds[title]):,.0f}", f"{ratio:.2f}"]
        print(f"| n = {sampling.n}, {title} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "experiments/pocket/models/middle"))
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    problems = PocketDataset(PocketParams(split="test", limit=options.problems)).load()
    has_vllm = importlib.util.find_spec("vllm") is not None
    if not has_vllm:
        print("| tokens per second | ours | plain | ratio |\n| --- | --- | --- | --- |", flush=True)
    for n in (8,) if has_vllm else (8, 64):
        sampling = Sampling(n=n, temperature=1.0, max_tokens=200 if has_vllm else 96)
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
