"""Scoring with vLLM against scoring with transformers: processor time, equal values.

``python benchmarks/vllm_scoring.py [--model FOLDER_OR_GGUF]``, with a Python that has vLLM, scores recorded MATH-500
responses (read from BONBENCH_DATA, without those too long for the model): a token pass, a step-token PRM, and two
classifiers with random heads, a PRM and an ORM. Each way has a process of its own with one thread, one after the other.
Loading is not counted, and neither is a first call with one response. Tokens are those of the texts, each text once:
what of them goes through a model depends on the way.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent)]
from scoring import DATA, ROOT, recorded  # noqa: E402

from bonbench.reward_models.lm.token_logprobs import CausalLMParams  # noqa: E402
from harness.core.registry import find  # noqa: E402
from harness.experiment.model_files import loadable  # noqa: E402

#: What is scored: the kind of component, and its entry, with the model that it needs.
TASKS: dict[str, tuple[str, dict[str, Any], str]] = {
    "token pass": ("token_scorers", {}, "lm"),
    "step-token PRM": ("reward_models", {"type": "step-token", "convention": "step-end"}, "lm"),
    "head PRM": ("reward_models", {"type": "head-prm", "convention": "token-classifier"}, "head"),
    "ORM": ("reward_models", {"type": "sequence-classifier", "convention": "chat"}, "head"),
}
BACKENDS = ("transformers", "vllm")


def with_head(model: str, folder: Path) -> str:
    """The model with a random head of one output in the place of its own."""
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    torch.manual_seed(0)
    classifier = AutoModelForTokenClassification.from_pretrained(model, dtype=torch.float32, num_labels=1)
    torch.nn.init.normal_(classifier.score.weight, std=0.1)
    torch.nn.init.zeros_(classifier.score.bias)  # a sequence classifier has none
    classifier.save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return str(folder)


def component(task: str, backend: str, model: str) -> Any:
    kind, entry, _ = TASKS[task]
    cls: Any
    if kind == "token_scorers":
        cls, more = find("token_scorers", "vllm" if backend == "vllm" else "causal-lm"), {}
    else:
        cls, more = find("reward_models", entry["type"]), {"backend": backend}
    params = {key: value for key, value in entry.items() if key != "type"}
    return cls(cls.Params.model_validate({"model": model, "dtype": "float32", **params, **more}), "rm")


def one_way(options: argparse.Namespace) -> None:
    """Runs in a process of its own; prints what came out."""
    import torch

    torch.set_num_threads(1)
    each = {(s.problem.problem, s.response.text): s for s in recorded(options.problems, options.samples, options.lm)}
    solutions = list(each.values())
    scorer = component(options.task, options.backend, options.model)
    is_pass = TASKS[options.task][0] == "token_scorers"
    score = scorer.logprobs if is_pass else scorer.score
    score(solutions[:1])
    started = time.process_time()
    records = score(solutions)
    seconds = time.process_time() - started
    if is_pass:
        tokens = sum(record.n_prompt_tokens + len(record.logprobs) for record in records)
    else:
        tokens = sum(len(encoded.ids) for encoded in scorer.encode(solutions))
    found = [list(record.logprobs if is_pass else record.step_rewards) for record in records]
    print(json.dumps({"seconds": seconds, "tokens": tokens, "values": found}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "experiments/pocket/models/strong"))
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    for name in ("--task", "--backend", "--lm"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not DATA.is_file():
        print(f"no recorded responses at {DATA}: set BONBENCH_DATA", file=sys.stderr)
        return
    if importlib.util.find_spec("vllm") is None:
        print("this Python has no vLLM", file=sys.stderr)
        return
    if options.task:
        one_way(options)
        return
    lm = loadable(CausalLMParams(model=options.model)).model
    with tempfile.TemporaryDirectory() as folder:
        needs_head = any(TASKS[task][2] == "head" for task in options.tasks)
        models = {"lm": lm, "head": with_head(lm, Path(folder)) if needs_head else ""}
        print("| task | transformers, s | vLLM, s | ratio | tokens | tokens/s | tokens/s | responses | difference |")
        print(f"|{' --- |' * 9}", flush=True)
        for task in options.tasks:
            plain, served = (_ran(options, task, backend, models) for backend in BACKENDS)
            difference = max(
                abs(x - y)
                for a, b in zip(plain["values"], served["values"], strict=True)
                for x, y in zip(a, b, strict=True)
            )
            print(
                f"| {task} | {plain['seconds']:.1f} | {served['seconds']:.1f} | "
                f"{served['seconds'] / plain['seconds']:.2f} | {plain['tokens']:,} | "
                f"{plain['tokens'] / plain['seconds']:.0f} | {plain['tokens'] / served['seconds']:.0f} | "
                f"{len(plain['values'])} | {difference:.1e} |",
                flush=True,
            )


def _ran(options: argparse.Namespace, task: str, backend: str, models: dict[str, str]) -> dict[str, Any]:
    sizes = ["--problems", str(options.problems), "--samples", str(options.samples), "--lm", models["lm"]]
    what = ["--task", task, "--backend", backend, "--model", models[TASKS[task][2]]]
    # One thread: vLLM would take every core.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    command = [sys.executable, __file__, *sizes, *what]
    printed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(printed.splitlines()[-1])  # vLLM prints empty lines


if __name__ == "__main__":
    main()
