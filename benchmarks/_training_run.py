"""Train by DPO, ours or TRL's, in a process of its own: ``_training_run.py ours|trl TASK`` prints a result as JSON.

A task is a JSON file: ``model``, ``reference`` and ``output`` folders, ``data`` (problem, responses, which of them are
correct, the reference's log-probabilities of each), ``pairs`` (all or one) and their ``rows`` of response numbers,
``beta``, ``lr``, ``batch_size``, ``log``. The seconds are of the processor, from loading the model to having saved the
trained one, without tokenisation and the reference's pass. The memory is the most that the process ever held.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Result = dict[str, Any]


def measured(train: Callable[[], Any]) -> tuple[Any, Result]:
    started = time.process_time()
    out = train()
    seconds = time.process_time() - started
    # Not getrusage: its maximum is inherited from the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return out, {"seconds": seconds, "mib": int(status["VmHWM"].split()[0]) / 1024}


def ours(task: dict[str, Any]) -> Result:
    from bonbench.reward_models.training.job import Job
    from bonbench.reward_models.training.loop import train_worker
    from bonbench.reward_models.training.params import ImplicitTrainerParams
    from bonbench.reward_models.training.responses import build_rollouts
    from harness.core.records import GradedSolution, Problem, Response, Solution, TokenLogprobs

    data = []
    for p, item in enumerate(task["data"]):
        problem = Problem(str(p), item["problem"], "")
        for i, (text, correct, logprobs) in enumerate(
            zip(item["responses"], item["correct"], item["reference"], strict=True)
        ):
            passed = TokenLogprobs(str(p), "", i, tuple(logprobs), (), 0)
            response = Response(str(p), "", i, text, finish_reason="stop")
            data.append(GradedSolution(Solution(problem, response, {"reference": passed}), correct))
    params = ImplicitTrainerParams(
        base=task["model"], reference=task["reference"], pairs=task["pairs"], responses=1000,
        **{key: task[key] for key in ("beta", "lr", "batch_size")},
    )  # fmt: skip
    rollouts, facts = build_rollouts(data, params)
    output = Path(task["output"])
    output.mkdir()
    _, result = measured(
        lambda: train_worker(Job("implicit", params, rollouts, task["model"], output), lambda *_: None)
    )
    losses = [json.loads(line)["loss"] for line in (output / "history.jsonl").read_text().splitlines()]
    return {**result, "losses": losses, "pairs": facts["n_pairs"]}


def trl(task: dict[str, Any]) -> Result:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    responses = [(item["problem"], text) for item in task["data"] for text in item["responses"]]
    rows = []
    for right, wrong in task["rows"]:
        problem, chosen = responses[right]
        turns = {"prompt": ("user", problem), "chosen": ("assistant", chosen)}
        turns["rejected"] = ("assistant", responses[wrong][1])
        rows.append({key: [{"role": role, "content": text}] for key, (role, text) in turns.items()})
    args = DPOConfig(
        output_dir=task["output"],
        beta=task["beta"],
        learning_rate=task["lr"],
        per_device_train_batch_size=task["batch_size"],
        num_train_epochs=1,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": 0.1},
        precompute_ref_log_probs=True,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_steps=1 if task["log"] else 50,
        max_length=None,
    )
    reference, policy = (
        AutoModelForCausalLM.from_pretrained(task[key], dtype=torch.float32) for key in ("reference", "model")
    )
    trainer = DPOTrainer(
        policy,
        reference,
        args,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(task["model"], padding_side="right"),
    )

    def train() -> None:
        AutoModelForCausalLM.from_pretrained(task["model"], dtype=torch.float32)
        trainer.train()
        trainer.save_model()

    _, result = measured(train)
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return {**result, "losses": losses, "pairs": len(rows)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    who, file = sys.argv[1:]
    print(json.dumps({"ours": ours, "trl": trl}[who](json.loads(Path(file).read_text()))))
