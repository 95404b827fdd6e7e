"""The whole pipeline at size: ``bonbench run`` over replayed responses, no model anywhere.

``python benchmarks/scale.py [RESPONSES …]`` writes a synthetic file of recorded responses for each size, runs the real
command on it in a process of its own and prints the time per response, the largest memory of the driver and of any
other process, and where the time went (from the ledger's clock readings). Texts are all different; answers need
comparing; every response has the step scores of one process and one outcome reward model.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
SIZES = (10_000, 100_000)
SAMPLES = 64
DRIVER_LIMIT = 2 << 30
POLL_S = 0.25

_SENTENCES = (
    "Adding {a} and {b} gives {c}, which we keep for later",
    "We multiply both sides by {a} and collect the terms in $x$, so that {b}x = {c}",
    "There are {a} ways to choose the first and {b} ways to choose the second, {c} in all",
    "By the Pythagorean theorem the side is $\\sqrt{{{a}^2 + {b}^2}}$, a little more than {c}",
    "Dividing {c} by {a} leaves a remainder of {b}, so the claim holds for this case",
    "Substituting $x = {a}$ into the equation we find ${b} - {a} = {c}$ after simplifying",
)


@dataclass(frozen=True)
class Stage:
    """A stage as the ledger saw it: seconds from its first start to its last end, and seconds of work in actors."""

    name: str
    elapsed_s: float
    busy_s: float


@dataclass(frozen=True)
class Run:
    """One run: wall and processor time, peaks of resident memory in bytes, its stages in order of their start."""

    responses: int
    seconds: float
    processor_s: float
    before_s: float
    after_s: float
    driver_peak: int
    other_peak: int
    stages: list[Stage]
    results_bytes: int


def problems(n_problems: int, n_samples: int, seed: int) -> Iterator[dict[str, Any]]:
    """Problems in the format of ``harness.data.response_files``: better responses have, on average, higher scores."""
    rng = random.Random(seed)
    for number in range(n_problems):
        gold, equal, wrong = _answers(rng)
        easy = rng.random()
        samples = []
        for _ in range(n_samples):
            right = rng.random() < easy
            answer = rng.choice(equal) if right else rng.choice(wrong)
            steps = [_sentence(rng, k) for k in range(1, rng.randint(3, 8))]
            text = "\n".join([*steps, f"Step {len(steps) + 1}: The answer is $\\boxed{{{answer}}}$."])
            scores = [round(rng.betavariate(6 if right else 4, 2), 6) for _ in range(len(steps) + 1)]
            outcome = round(rng.gauss(1.0 if right else 0.0, 1.0), 6)
            samples.append(
                {"text": text, "num_tokens": len(text) // 3, "step_scores": {"process": scores, "outcome": [outcome]}}
            )
        yield {
            "problem_id": f"p{number:07d}",
            "problem": f"Problem {number}: a box holds {rng.randint(2, 999)} balls of {rng.randint(2, 9)} colours. "
            "How many draws are needed?",
            "gold": gold,
            "subject": rng.choice(("algebra", "geometry", "counting")),
            "level": rng.randint(1, 5),
            "samples": samples,
        }


def _sentence(rng: random.Random, step: int) -> str:
    a, b, c = (rng.randint(1, 9999) for _ in range(3))
    d, e, f = (rng.randint(1, 9999) for _ in range(3))
    first, second = rng.choice(_SENTENCES).format(a=a, b=b, c=c), rng.choice(_SENTENCES).format(a=d, b=e, c=f)
    return f"Step {step}: {first}. {second}."


def _answers(rng: random.Random) -> tuple[str, list[str], list[str]]:
    """A gold answer, spellings equal to it and wrong answers: mostly integers, some fractions, some surds."""
    kind, n = rng.random(), rng.randint(2, 500)
    others = [n + k for k in (-2, -1, 1, 2, 10)]
    if kind < 0.7:
        return str(n), [str(n), f"{n}.0"], [str(k) for k in others]
    if kind < 0.9:
        return f"\\frac{{{n}}}{{4}}", [f"\\frac{{{n}}}{{4}}", str(n / 4)], [f"\\frac{{{k}}}{{4}}" for k in others]
    return f"{n}\\sqrt{{3}}", [f"{n}\\sqrt{{3}}", f"\\sqrt{{{3 * n * n}}}"], [f"{k}\\sqrt{{3}}" for k in others]


def run(responses: int, folder: Path) -> Run:
    """Make the file, run the command on it, and watch."""
    source = folder / "responses.jsonl"
    with source.open("w") as file:
        for problem in problems(-(-responses // SAMPLES), SAMPLES, seed=responses):
            file.write(json.dumps(problem) + "\n")
    results = folder / "results"
    command = [str(Path(sys.executable).parent / "bonbench"), "run", str(ROOT / "experiments" / "replay.yaml")]
    command += ["--set", f"responses={source}", "--set", f"output={results}"]
    started = time.time()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"})
        processor_s, driver_peak, other_peak = _watch(process)
    seconds = time.time() - started
    if process.returncode:
        sys.exit(f"bonbench run failed with exit code {process.returncode}:\n{(folder / 'log').read_text()}")
    stages, first, last = _stages(results)
    return Run(
        responses=-(-responses // SAMPLES) * SAMPLES,
        seconds=seconds,
        processor_s=processor_s,
        before_s=first - started,
        after_s=started + seconds - last,
        driver_peak=driver_peak,
        other_peak=other_peak,
        stages=stages,
        results_bytes=sum(f.stat().st_size for f in results.rglob("*") if f.is_file()),
    )


def _watch(process: subprocess.Popen[bytes]) -> tuple[float, int, int]:
    """Processor seconds, and the largest resident memory of the driver and of any process below it, until it ends."""
    driver, driver_peak, other_peak = psutil.Process(process.pid), 0, 0
    spent: dict[psutil.Process, float] = {}  # as last seen: other work on the machine does not lengthen it
    while process.poll() is None:
        try:
            for each in (driver, *driver.children(recursive=True)):
                times, resident = each.cpu_times(), each.memory_info().rss
                spent[each] = times.user + times.system
                if each is driver:
                    driver_peak = max(driver_peak, resident)
                else:
                    other_peak = max(other_peak, resident)
        except psutil.NoSuchProcess:
            pass
        time.sleep(POLL_S)
    return sum(spent.values()), driver_peak, other_peak


def _stages(results: Path) -> tuple[list[Stage], float, float]:
    """The ledger's stages in order, and when the first began and the last ended (seconds since the epoch)."""
    ledger = pa.concat_tables([pq.read_table(p, partitioning=None) for p in (results / "ledger").rglob("*.parquet")])
    frame = ledger.to_pandas()
    frame["ended_at"] = frame["started_at"] + frame["wall_s"]
    frame["name"] = frame["stage"] + " " + frame["what"]
    stages = []
    for name, rows in sorted(frame.groupby("name"), key=lambda item: item[1]["started_at"].min()):
        elapsed = rows["ended_at"].max() - rows["started_at"].min()
        stages.append(Stage(str(name), float(elapsed), float(rows["wall_s"].sum())))
    return stages, float(frame["started_at"].min()), float(frame["ended_at"].max())


def show(runs: list[Run]) -> None:
    def row(label: str, *values: str) -> None:
        table.add_row(label, *values)

    table = Table(box=None, pad_edge=False)
    table.add_column("responses")
    for r in runs:
        table.add_column(f"{r.responses:,}", justify="right")
    row("wall time", *(f"{r.seconds:.0f} s" for r in runs))
    row("per response", *(f"{1000 * r.seconds / r.responses:.2f} ms" for r in runs))
    row("processor time per response", *(f"{1000 * r.processor_s / r.responses:.2f} ms" for r in runs))
    row("peak memory, driver", *(f"{r.driver_peak / 2**20:,.0f} MiB" for r in runs))
    row("peak memory, any other process", *(f"{r.other_peak / 2**20:,.0f} MiB" for r in runs))
    row("results on disk, per response", *(f"{r.results_bytes / r.responses:,.0f} bytes" for r in runs))
    row("reading, planning, start", *(f"{r.before_s:.1f} s" for r in runs))
    for i, stage in enumerate(runs[0].stages):
        of_runs = [r.stages[i] for r in runs]
        row(f"{stage.name}: elapsed (in its actor)", *(f"{s.elapsed_s:.1f} s ({s.busy_s:.1f} s)" for s in of_runs))
    row("manifest, report", *(f"{r.after_s:.1f} s" for r in runs))
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("responses", nargs="*", type=int, default=list(SIZES), help="sizes (default: %(default)s)")
    options = parser.parse_args()
    runs = []
    for responses in options.responses:
        folder = Path(tempfile.mkdtemp(prefix="bonbench-scale-"))
        try:
            runs.append(run(responses, folder))
        finally:
            shutil.rmtree(folder)
        print(f"{runs[-1].responses:,} responses: {runs[-1].seconds:.0f} s", file=sys.stderr)
    show(runs)
    if max(r.driver_peak for r in runs) > DRIVER_LIMIT:
        sys.exit(f"the driver took more than {DRIVER_LIMIT / 2**30:.0f} GiB")


if __name__ == "__main__":
    main()
