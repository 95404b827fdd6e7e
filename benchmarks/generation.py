"""Sampling speed: the transformers generator against a ``model.generate`` loop, the vLLM one against ``LLM.generate``.

``python benchmarks/generation.py`` samples the pocket test problems from a pocket model. The members of a comparison do
the same work in turn, and the medians over their rounds are compared. The vLLM half runs where vllm is installed
(``make test-vllm`` makes ``build/vllm``): shards of 8 problems in a Ray actor, as many at a time as keep the engine
busy or each after the other, against one ``LLM.generate`` of all requests in a process like that of the actor.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
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
    from transformers import AutoConfig, AutoTokenizer

    from bonbench.generators.prompts import Codec
    from bonbench.generators.vllm import VLLMParams, _engine_arguments
    from harness.core.hub_models import pretrained

    entry = {"type": "vllm", "model": model, "engine": {"max_num_seqs": AT_ONCE}}
    params = VLLMParams.model_validate({key: value for key, value in entry.items() if key != "type"})
    arguments = _engine_arguments(params, AutoConfig.from_pretrained(**pretrained(model)))
    codec = Codec(params, AutoTokenizer.from_pretrained(**pretrained(model)), model, None)
    rows = [(codec.encode(p.problem), seed) for p in problems for seed in seeds[p.problem_id]]
    request = {
        "prompts": [ids for ids, _ in rows],
        "seeds": [seed for _, seed in rows],
        "temperature": sampling.temperature,
        "max_tokens": sampling.max_tokens,
        "stop_token_ids": codec.stop_ids,
    }
    peer = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("_vllm_peer.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": "1"},
    )
    assert peer.stdin and peer.stdout
    print(json.dumps(arguments), file=peer.stdin, flush=True)

    def plain() -> float:
        print(json.dumps(request), file=peer.stdin, flush=True)
        tokens, seconds = json.loads(peer.stdout.readline())  # type: ignore[union-attr]
        return float(tokens / seconds)

    try:
        asyncio.run(_in_shards(entry, problems, sampling, plain, rounds))
    finally:
        peer.kill()
        peer.wait()


async def _in_shards(
    entry: dict[str, object], problems: Sequence[Problem], sampling: Sampling, plain: Callable[[], float], rounds: int
) -> None:
    import ray

    from harness.core.stages import Task
    from harness.engine.executor import Machine
    from harness.engine.progress import Board
    from harness.engine.ray_actors import Actors
    from harness.engine.ray_executor import start_ray
    from harness.engine.ray_pool import ActorPool
    from harness.engine.room import Room
    from harness.experiment.entries import build
    from harness.storage.arrow import to_table

    start_ray(None)
    spec = build("generators", "benchmark", entry, "benchmark", {})
    room = Room(lambda: Machine(cpus=1, gpus=0))
    blocks = [problems[i : i + 8] for i in range(0, len(problems), 8)]

    async def sample(pool: ActorPool, block: Sequence[Problem]) -> int:
        payload = {"problems": to_table(Problem, list(block)), "sampling": sampling, "run_seed": 0}
        return (await pool.run(Task.SAMPLE, lambda: payload, sampling.n * len(block))).completion_tokens

    async def together(pool: ActorPool) -> float:
        started = time.perf_counter()
        tokens = sum(await asyncio.gather(*(sample(pool, block) for block in blocks)))
        return tokens / (time.perf_counter() - started)

    async def in_turn(pool: ActorPool) -> float:
        started = time.perf_counter()
        tokens = sum([await sample(pool, block) for block in blocks])
        return tokens / (time.perf_counter() - started)

    speeds: list[tuple[float, float, float]] = []
    with Board(live=False) as board:
        line, actors = board.line("sample", None, "responses"), Actors(room)
        async with ActorPool(spec, 1, room, 0, line, actors, at_once=spec.cls.shards_at_once) as pool:
            for _ in range(rounds + 1):
                speeds.append((await together(pool), plain(), await in_turn(pool)))
                print("tokens/s: {:,.0f}, LLM.generate {:,.0f}, one at a time {:,.0f}".format(*speeds[-1]), flush=True)
    ours, theirs, drained = zip(*speeds[1:], strict=True)  # the first round is for warming up
    for title, ways in (("shards of 8 problems", ours), ("the same, one at a time", drained)):
        ratio = statistics.median(a / b for a, b in zip(ways, theirs, strict=True))
        print(
            f"| vllm, n = {sampling.n}, {title}, against LLM.generate | {statistics.median(ways):,.0f} "
            f"| {statistics.median(theirs):,.0f} | {ratio:.2f} |",
            flush=True,
        )
    ray.shutdown()


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
