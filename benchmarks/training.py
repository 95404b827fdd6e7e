"""DPO against TRL's DPOTrainer: the loss of one batch, speed and memory, on the pocket world's rollouts.

``python benchmarks/training.py [--problems N]``. TRL is installed into build/bench-trl, beside the libraries of this
environment, and runs with the reference's log-probabilities computed beforehand, as ours are. Both run in processes of
their own on one thread, one after the other, alternating.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM  # noqa: E402

from bonbench.experiments.pocket.world import PocketDataset  # noqa: E402
from bonbench.generators.transformers import TransformersGenerator  # noqa: E402
from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer  # noqa: E402
from bonbench.reward_models.training.pairs import pair_up  # noqa: E402
from bonbench.verifiers.math import MathParams, MathVerifier  # noqa: E402
from harness.core.records import Sampling, Solution  # noqa: E402
from harness.core.seeds import response_seed  # noqa: E402

ENVIRONMENT = ROOT / "build" / "bench-trl"
PACKAGES = ("trl==1.16.0",)
MODELS = ROOT / "experiments" / "pocket" / "models"
Items = list[dict[str, Any]]


def environment() -> Path:
    """TRL's Python; torch, transformers and the rest are this environment's."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        site = next(ENVIRONMENT.glob("lib/python*/site-packages"))
        (site / "project.pth").write_text(str(Path(transformers.__file__).parent.parent) + "\n")
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", *PACKAGES]
    subprocess.run(command, check=True)
    return python


def rollouts(n_problems: int, reference: str) -> Items:
    """Pocket problems with eight graded responses each that ended, and the reference's log-probabilities of them."""
    problems = PocketDataset(PocketDataset.Params(split="train", limit=n_problems)).load()
    generator = TransformersGenerator(TransformersGenerator.Params(model=str(MODELS / "middle")), "middle")
    seeds = {p.problem_id: [response_seed(0, "middle", p.problem_id, i) for i in range(8)] for p in problems}
    responses = generator.generate(problems, Sampling(n=8, max_tokens=96), seeds)
    grades = MathVerifier(MathParams()).grade(problems, responses)
    by_id = {p.problem_id: p for p in problems}
    solutions = [Solution(by_id[r.problem_id], r) for r in responses]
    passes = CausalLMScorer(CausalLMParams(model=reference, dtype="float32")).logprobs(solutions)
    items: dict[str, dict[str, Any]] = {}
    for solution, grade, passed in zip(solutions, grades, passes, strict=True):
        if solution.response.finish_reason != "stop":
            continue
        empty: dict[str, Any] = {
            "problem": solution.problem.problem, "responses": [], "correct": [], "reference": [],
        }  # fmt: skip
        item = items.setdefault(solution.problem.problem_id, empty)
        item["responses"].append(solution.response.text)
        item["correct"].append(grade.correct)
        item["reference"].append(passed.logprobs)
    return [item for item in items.values() if 0 < sum(item["correct"]) < len(item["correct"])]


def run(who: str, python: Path, task: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "task.json"
        problems = [p for p, item in enumerate(task["data"]) for _ in item["responses"]]
        correct = [right for item in task["data"] for right in item["correct"]]
        rows = pair_up(problems, correct, task["pairs"], 0).tolist()
        file.write_text(json.dumps({**task, "rows": rows, "output": f"{folder}/out"}))
        command = [str(python), str(Path(__file__).with_name("_training_run.py")), who, str(file)]
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, env=variables, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr[-4000:])
        return dict(json.loads(done.stdout.splitlines()[-1]))


def wide(folder: Path) -> str:
    """A random model with a vocabulary of the usual size, where logits are what takes memory."""
    tokenizer = AutoTokenizer.from_pretrained(MODELS / "middle")
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 3, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=32768, eos_token_id=tokenizer.eos_token_id, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    pythons = {"ours": Path(sys.executable), "trl": environment()}
    middle, strong = str(MODELS / "middle"), str(MODELS / "strong")
    settings = {"beta": 0.5, "lr": 1e-4, "batch_size": 16}

    items = rollouts(arguments.problems, middle)
    few = [
        {**item, **{key: [item[key][i] for i in chosen] for key in ("responses", "correct", "reference")}}
        for item in items[:8]
        for chosen in [(item["correct"].index(True), item["correct"].index(False))]
    ]
    # A policy that is not its reference: otherwise the loss is log 2 whatever one does.
    task = {**settings, "model": strong, "reference": middle, "data": few, "pairs": "all", "log": True}
    first = {who: run(who, python, task)["losses"][0] for who, python in pythons.items()}
    print(f"loss of a batch of {len(few)} pairs: " + ", ".join(f"{who} {loss:.7f}" for who, loss in first.items()))

    with tempfile.TemporaryDirectory() as folder:
        tasks: list[tuple[str, dict[str, object]]] = [
            ("pocket model, all pairs", {"model": middle, "reference": middle, "pairs": "all", "data": items}),
            ("pocket model, one counterpart", {"model": middle, "reference": middle, "pairs": "one", "data": items}),
        ]
        random = wide(Path(folder) / "wide")
        short = items[: arguments.problems // 8]
        tasks.append(("vocabulary of 32768, all pairs", {"model": random, "reference": random, "pairs": "all"}))
        tasks[-1][1]["data"] = _with_reference(short, random)
        for name, task in tasks:
            results: dict[str, list[dict[str, Any]]] = {who: [] for who in pythons}
            for _ in range(arguments.rounds):
                for who, python in pythons.items():
                    results[who].append(run(who, python, {**settings, **task, "log": False}))
            _report(name, results)


def _with_reference(items: Items, model: str) -> Items:
    """The same rollouts with another reference's log-probabilities."""
    from harness.core.records import Problem, Response

    solutions = [
        Solution(Problem(str(p), item["problem"], ""), Response(str(p), "", i, text, finish_reason="stop"))
        for p, item in enumerate(items)
        for i, text in enumerate(item["responses"])
    ]
    passes = iter(CausalLMScorer(CausalLMParams(model=model, dtype="float32")).logprobs(solutions))
    return [{**item, "reference": [next(passes).logprobs for _ in item["responses"]]} for item in items]


def _report(name: str, results: dict[str, list[dict[str, Any]]]) -> None:
    print(f"\n{name}: {results['ours'][0]['pairs']} pairs")
    seconds = {who: median(r["seconds"] for r in runs) for who, runs in results.items()}
    for who, runs in results.items():
        spread = ", ".join(f"{r['seconds']:.1f}" for r in runs)
        memory = median(r["mib"] for r in runs)
        rate = runs[0]["pairs"] / seconds[who]
        print(f"  {who:5} {rate:7.1f} pairs per processor second ({spread} s), at most {memory:.0f} MiB")
    print(f"  TRL takes {seconds['trl'] / seconds['ours']:.2f} x our processor time for the same pairs")


if __name__ == "__main__":
    main()
