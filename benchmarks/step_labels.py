"""Math-Shepherd's step labels against heavily sampled success probabilities, and what deciding them early saves.

``python benchmarks/step_labels.py [--figure FILE]`` works on rollouts of a pocket model. From each of ``--problems``
problems it takes one prefix of a rollout at random and completes it 8 times for its labels and ``--completions`` times
more for its success probability p. (The model's p cannot be had exactly: that would take summing over everything that
it may write.) Half of the latter decide the bin that a prefix is in, the other half estimate p and 1 - (1 - p)^8, both
without bias: so within a bin soft labels must average p, and hard ones 1 - (1 - p)^8. Intervals are 95 % ones: by
bootstrap over problems, for the share of hard labels in a bin Wilson's.

The saving is counted on all prefixes of the first ``--saving`` problems' rollouts, for several ways to cut 8
completions into rounds: completions, tokens sampled, tokens read (each round reads its prompts anew), FLOPs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from scipy.special import comb  # noqa: E402
from scipy.stats import binomtest  # noqa: E402

from bonbench.experiments.pocket.world import PocketDataset, PocketParams  # noqa: E402
from bonbench.generators.transformers import TransformersGenerator, TransformersParams  # noqa: E402
from bonbench.verifiers.math import MathParams, MathVerifier  # noqa: E402
from harness.analysis.inference import Bootstrap, Interval  # noqa: E402
from harness.core.arrays import Floats  # noqa: E402
from harness.core.records import Problem, Response, Sampling  # noqa: E402
from harness.core.seeds import response_seed  # noqa: E402
from harness.cost_model.shape import ModelShape  # noqa: E402
from harness.engine.prefixes import Prefix, prefixes  # noqa: E402
from harness.engine.tasks import sample  # noqa: E402
from harness.report.figures.palette import looks  # noqa: E402
from harness.report.figures.panels import new_figure  # noqa: E402
from harness.report.figures.style import encode, styled  # noqa: E402
from harness.storage.arrow import to_records, to_table  # noqa: E402

N = 8
MAX_TOKENS = 96
ROLLOUTS = 8
BINS = [0.0, 0.02, 0.08, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.01]
ROUNDS: list[tuple[int, ...]] = [(8,), (1, 7), (2, 6), (4, 4), (1, 1, 6), (1, 3, 4), (2, 2, 4), (1, 1, 2, 4), (1,) * 8]


@dataclass(frozen=True, slots=True)
class Completed:
    """The completions of one prefix: whether each is right, its tokens, and those of what was read before."""

    correct: np.ndarray[Any, np.dtype[np.bool_]]
    tokens: np.ndarray[Any, np.dtype[np.int64]]
    prompt: int


def complete(
    generator: TransformersGenerator, verifier: MathVerifier, begun: Sequence[Prefix], n: int
) -> list[Completed]:
    """``n`` completions of each prefix, the first ones those that step labels are made of."""
    problems = [prefix.problem for prefix in begun]
    seeds = {p.problem_id: [response_seed(0, generator.name, p.problem_id, i) for i in range(n)] for p in problems}
    sampling = Sampling(n=n, max_tokens=MAX_TOKENS)
    responses = generator.complete(problems, [prefix.text for prefix in begun], sampling, seeds)
    completed = []
    for i, prefix in enumerate(begun):
        completions = responses[n * i : n * (i + 1)]
        whole = [Response(r.problem_id, r.generator, r.sample, prefix.text + r.text) for r in completions]
        correct = [grade.correct for grade in verifier.grade([prefix.problem], whole)]
        completed.append(
            Completed(np.array(correct), np.array([r.n_tokens for r in completions]), completions[0].n_prompt_tokens)
        )
    return completed


def at_least_one(right: Floats, m: int) -> Floats:
    """Unbiased for 1 - (1 - p)^N where ``right`` of ``m`` are right: the share of N-subsets with a right one."""
    return 1 - comb(m - right, N) / comb(m, N)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of each bin the mean success probability, the mean labels, and what the hard ones should average."""

    p: list[Interval]
    soft: list[Interval]
    hard: list[Interval]
    expected: list[Interval]


def calibrate(completed: Sequence[Completed]) -> Calibration:
    correct = np.array([c.correct for c in completed])
    labels, rest = correct[:, :N], correct[:, N:]
    m = rest.shape[1] // 2
    chosen = np.digitize(rest[:, m:].mean(axis=1), BINS) - 1
    everything = np.array(
        [rest[:, :m].mean(axis=1), labels.mean(axis=1), labels.any(axis=1), at_least_one(rest[:, :m].sum(axis=1), m)]
    ).astype(np.float64)
    bootstrap = Bootstrap(len(completed), draws=2000, seed=0)
    members = [chosen == b for b in range(len(BINS) - 1) if (chosen == b).sum() > 1]
    rows = [bootstrap.intervals(np.array([np.where(member, v, np.nan) for member in members])) for v in everything]
    # All labels of a bin may be 1, of which no resampling makes anything else; prefixes are of different problems.
    rows[2] = [_wilson(labels[member].any(axis=1)) for member in members]
    p, soft, hard, expected = everything
    for name, difference in (("soft label - p", soft - p), ("hard label - (1 - (1 - p)^8)", hard - expected)):
        (interval,) = bootstrap.intervals(difference[None])
        bounds = f"[{interval.low:+.4f}, {interval.high:+.4f}]"
        print(f"mean {name}: {interval.mean:+.4f} {bounds}, {interval.n_problems} prefixes")
    good = hard == 1
    print(f"hard labels call {good.mean():.1%} of the prefixes good, their mean success probability is {p.mean():.1%};")
    print(f"of the good ones, {(p[good] < 0.25).mean():.1%} succeed less than every fourth time (half-sampled p)\n")
    return Calibration(*rows)


def _wilson(labels: np.ndarray[Any, np.dtype[np.bool_]]) -> Interval:
    wilson = binomtest(int(labels.sum()), len(labels)).proportion_ci(method="wilson")
    return Interval(float(labels.mean()), float(wilson.low), float(wilson.high), len(labels))


def print_bins(calibration: Calibration) -> None:
    print("| prefixes | p | soft label | hard label | 1 - (1 - p)^8 |")
    print("| --: | --: | --- | --- | --: |")
    for p, soft, hard, expected in zip(
        calibration.p, calibration.soft, calibration.hard, calibration.expected, strict=True
    ):
        cells = [f"{i.mean:.3f} [{i.low:.3f}, {i.high:.3f}]" for i in (soft, hard)]
        print(f"| {p.n_problems} | {p.mean:.3f} | {cells[0]} | {cells[1]} | {expected.mean:.3f} |")
    for name, labels, wanted in (
        ("soft", calibration.soft, calibration.p),
        ("hard", calibration.hard, calibration.expected),
    ):
        held = [i.low <= e.mean <= i.high for i, e in zip(labels, wanted, strict=True)]
        print(f"{name} labels: what is expected lies in the interval in {sum(held)} of {len(held)} bins")


def draw(calibration: Calibration, file: Path) -> None:
    p = np.linspace(0, 1, 201)
    panels_of = [
        ("Soft: the share of 8 that is right", p, "y = p", calibration.soft, calibration.p),
        ("Hard: any of 8 is right", 1 - (1 - p) ** N, "1 − (1 − p)⁸", calibration.hard, calibration.expected),
    ]
    with styled():
        panels = new_figure((2.7, 2.4), panels=2, columns=2)
        for axes, (title, curve, name, labels, expected), look in zip(
            panels.axes, panels_of, looks(["DPO", "CE"]).values(), strict=True
        ):
            axes.plot(p, curve, color="#222222", linewidth=1, label=name)
            x, y = (np.array([i.mean for i in some]) for some in (calibration.p, labels))
            spans = np.array([[i.mean - i.low, i.high - i.mean] for i in labels]).T.clip(min=0)
            axes.errorbar(
                x,
                y,
                spans,
                fmt=look.marker,
                color=look.color,
                markersize=4,
                elinewidth=1,
                label="labels, mean of a bin",
            )  # fmt: skip
            axes.plot(x, [i.mean for i in expected], "_", color="#222222", markersize=9, label="expected in the bin")
            axes.set(title=title, xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
            axes.set(xlabel="success probability p, sampled", ylabel="mean label")
            axes.title.set_fontsize(8)
            axes.legend(loc="lower right", frameon=False, fontsize=7)
        file.write_bytes(encode(panels.figure, "png"))
    print(f"\n{file}: {file.stat().st_size / 1024:.0f} KiB")


def print_saving(completed: Sequence[Completed], shape: ModelShape) -> None:
    print(f"\n{len(completed)} prefixes; labels are the same in every row")
    print("| rounds | completions | tokens sampled | tokens read | FLOPs | of all at once |")
    print("| --- | --: | --: | --: | --: | --: |")
    whole = 0
    for sizes in ROUNDS:
        completions = sampled = read = flops = 0
        for one in completed:
            done = 0
            for size in sizes:
                if one.correct[:done].any():
                    break
                lengths = one.tokens[done : done + size].tolist()
                completions, sampled, read = completions + size, sampled + sum(lengths), read + one.prompt
                flops += shape.forward(one.prompt) + sum(shape.forward(t, past=one.prompt) for t in lengths)
                done += size
        whole = whole or flops
        name = ", ".join(map(str, sizes))
        print(f"| {name} | {completions:,} | {sampled:,} | {read:,} | {flops:.3g} | {flops / whole:.1%} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "experiments/pocket/models/middle"))
    parser.add_argument("--problems", type=int, default=320)
    parser.add_argument("--completions", type=int, default=128)
    parser.add_argument("--saving", type=int, default=64)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = TransformersGenerator(TransformersParams(model=options.model), "middle")
    verifier = MathVerifier(MathParams())
    problems = PocketDataset(PocketParams(split="train", limit=options.problems)).load()
    sampling = Sampling(n=ROLLOUTS, max_tokens=MAX_TOKENS)
    rollouts = to_records(Response, sample(generator, to_table(Problem, problems), sampling, 0).table)
    by_problem: dict[str, list[Prefix]] = {p.problem_id: [] for p in problems}
    for (problem_id, _), prefix in prefixes(problems, rollouts).items():
        by_problem[problem_id].append(prefix)

    rng = np.random.default_rng(0)
    chosen = [of_one[rng.integers(len(of_one))] for of_one in by_problem.values() if of_one]
    calibration = calibrate(complete(generator, verifier, chosen, N + options.completions))
    print_bins(calibration)
    if options.figure:
        draw(calibration, options.figure)
    every = [prefix for p in problems[: options.saving] for prefix in by_problem[p.problem_id]]
    print_saving(complete(generator, verifier, every, N), ModelShape.from_config(generator.describe().config))


if __name__ == "__main__":
    main()
