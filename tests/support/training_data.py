"""Sums solved rightly and wrongly, where which is which shows in the text; and a training without Ray around it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer
from bonbench.reward_models.training.job import Job
from bonbench.reward_models.training.pairs import Indices
from bonbench.reward_models.training.sequences import Sequences
from bonbench.reward_models.training.targets import Arrays, Targets
from harness.core.records import GradedSolution, Problem, Response, Solution
from harness.core.steps import step_ends
from harness.core.trainer import TrainingFacts


def graded_sums(
    base: str | None, problems: int = 24, each: int = 4, dtype: Literal["auto", "bfloat16"] = "auto"
) -> list[GradedSolution]:
    """Half of the solutions right. With a ``base``, its token pass, in ``dtype``, is their reference. A wrong
    solution's first step is labelled good, its second one bad."""
    rng = np.random.default_rng(0)
    solutions, correct = [], []
    for p in range(problems):
        problem = Problem(f"p{p}", f"What is {p} + 4?", str(p + 4))
        for j in range(each):
            right = bool(rng.random() < 0.5)
            text = f"Step 1: {p} + 4 = {p + 4 if right else p + 5}\nStep 2: {'Answer' if right else 'apples'} "
            text += "1 " * int(rng.integers(1, 9))
            solutions.append(Solution(problem, Response(f"p{p}", "g", j, text, finish_reason="stop")))
            correct.append(right)
    passes = [{}] * len(solutions)
    if base is not None:
        passes = [{"reference": t} for t in CausalLMScorer(CausalLMParams(model=base, dtype=dtype)).logprobs(solutions)]
    return [
        GradedSolution(Solution(s.problem, s.response, p), right, (1.0, float(right)))
        for s, p, right in zip(solutions, passes, correct, strict=True)
        if len(step_ends(s.response.text)) == 2
    ]


class Stopped(Exception):
    """What stops a training."""


@dataclass
class Stopping:
    """Targets that stop the training when so many micro-batches have been made up."""

    targets: Targets
    left: int

    def terms(self, examples: Indices, sequences: Sequences) -> Indices:
        return self.targets.terms(examples, sequences)

    def batch(self, members: Indices, sequences: Sequences) -> Arrays:
        self.left -= 1
        if self.left < 0:
            raise Stopped
        return self.targets.batch(members, sequences)


def stopping(job: Job, after: int) -> Job:
    """The same job, stopped after so many micro-batches of a worker."""
    targets = Stopping(job.rollouts.targets, after)
    return replace(job, rollouts=replace(job.rollouts, targets=targets))


def trained(job: Job) -> tuple[TrainingFacts, list[dict[str, float]]]:
    """The facts and the curve of a training in this process."""
    from bonbench.reward_models.training.loop import train_worker

    job.output.mkdir(parents=True, exist_ok=True)
    facts = train_worker(job, lambda *_: None)
    return facts, curve(job.output)


def curve(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
