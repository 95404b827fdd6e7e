"""The report page at size: how large it is, what it takes to write, and how soon a browser can use it.

``python benchmarks/report.py [--problems 500] [--samples 64] [--generators 1] [--reward-models 4] [--copies 1]`` writes
the results of a run that never was (text drawn from words and formulas, responses to one problem alike as a model's
are, scores drawn at random; copies are further problems), makes the report in a process of its own, and opens the page
in headless Chromium from disk, in a fresh profile, three times: the median time from the start of loading until the
chart and the list of problems answer, until the first problem is shown, and from pressing a key until the next one is.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from browser import Browser, find_chromium  # noqa: E402

from harness.core.records import Grade, Problem, Response, StepScores  # noqa: E402
from harness.storage.arrow import to_table  # noqa: E402
from harness.storage.shards import read_shard, shard_path, write_shard  # noqa: E402

PROBLEMS_PER_SHARD = 16
STEPS = (4, 9)  # of a response, of about 85 characters each

_WORDS = (
    "the of and we to that is in for so this with have as can get let by then from now each are if find value number "
    "equation sides both since first solve term function point line triangle angle area radius root factor positive "
    "integer digits sum product remainder divide multiply subtract substitute simplify expand square cube probability "
    "expected total ratio therefore because given distance sequence coefficient polynomial vector matrix circle length"
)
_VOCABULARY = _WORDS.split()
_FORMULAS = (
    r"\frac{{{a}}}{{{b}}}",
    r"x^2 - {a}x + {b} = 0",
    r"\sqrt{{{a}}}",
    r"{a} \cdot {b} = {c}",
    r"\begin{{pmatrix}} {a} \\ {b} \end{{pmatrix}}",
    r"\left( {a}, \frac{{\pi}}{{{b}}} \right)",
    r"{a} + {b} - {c}",
    r"\binom{{{a}}}{{{b}}}",
)


def sentence(rng: random.Random, length: int) -> str:
    """Words, the frequent ones more often, with a formula now and then."""
    parts: list[str] = []
    while sum(map(len, parts)) < length:
        if rng.random() < 0.2:
            a, b, c = (rng.randint(1, 99) for _ in range(3))
            parts.append(rf"\( {rng.choice(_FORMULAS).format(a=a, b=b, c=c)} \)")
        else:
            parts.append(_VOCABULARY[int(len(_VOCABULARY) * rng.random() ** 2)])
    return " ".join(parts).capitalize() + "."


def step(rng: random.Random, common: list[str]) -> str:
    """Half of what is said about a problem is said in other responses to it too, as with a model's samples."""
    return rng.choice(common) if rng.random() < 0.5 else sentence(rng, 80)


def write_results(folder: Path, n_problems: int, n_samples: int, n_generators: int, n_models: int) -> int:
    """A results folder in the stored layout; returns the characters of all responses."""
    rng = random.Random(0)
    models = [f"reward-model-{i}" for i in range(n_models)]
    characters = 0
    for start in range(0, n_problems, PROBLEMS_PER_SHARD):
        shard = start // PROBLEMS_PER_SHARD
        numbers = range(start, min(start + PROBLEMS_PER_SHARD, n_problems))
        problems = [
            Problem(f"p{i:05d}", sentence(rng, 200), str(i), rng.choice(["Algebra", "Geometry"]), rng.randint(1, 5))
            for i in numbers
        ]
        write_shard(shard_path(folder / "problems" / "test", shard), to_table(Problem, problems), "key")
        for g in range(n_generators):
            generator = f"generator-{g}"
            responses, grades = [], []
            scores: dict[str, list[StepScores]] = {model: [] for model in models}
            for problem in problems:
                common, skill = [sentence(rng, 80) for _ in range(12)], rng.random()
                for sample in range(n_samples):
                    right = rng.random() < skill
                    answer = problem.answer if right else str(rng.randint(0, 9))
                    steps = [step(rng, common) + "\n\n" for _ in range(rng.randint(*STEPS))]
                    steps.append(rf"The answer is \(\boxed{{{answer}}}\).")
                    text = "".join(steps)
                    ends = tuple(len("".join(steps[: k + 1])) for k in range(len(steps)))
                    characters += len(text)
                    key = (problem.problem_id, generator, sample)
                    responses.append(Response(*key, text, 80, len(text) // 3, "stop", 0))
                    reason = "exact" if right else "different"
                    grades.append(Grade(*key, answer, right, reason, 0 if right else 1 + int(answer)))
                    for model in models:
                        rewards = tuple(rng.gauss(0.3 * right, 1.0) for _ in steps)
                        scores[model].append(StepScores(*key, model, rewards, ends, len(text) // 3))
            write_shard(shard_path(folder / "responses" / generator, shard), to_table(Response, responses), "key")
            write_shard(shard_path(folder / "grades" / generator, shard), to_table(Grade, grades), "key")
            for model, rows in scores.items():
                write_shard(shard_path(folder / "scores" / model / generator, shard), to_table(StepScores, rows), "key")
    manifest = {
        "name": "benchmark",
        "seed": 0,
        "evaluation": {"n": [1, 4, 16, 64], "bootstrap": 1000},
        "generators": {f"generator-{g}": {"type": "replay"} for g in range(n_generators)},
        "reward_models": {model: {"type": "recorded", "score_type": "log-ratio"} for model in models},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return characters


def copy_problems(folder: Path, copies: int) -> None:
    """Have each problem, with all that is stored of it, so many times, under ids of their own: a large run sooner."""
    for path in sorted(folder.rglob("part-*.parquet")):
        table = read_shard(path)
        place = table.column_names.index("problem_id")
        ids = [pc.binary_join_element_wise(table.column(place), str(copy), "-") for copy in range(copies)]
        copied = pa.concat_tables(table.set_column(place, "problem_id", of_copy) for of_copy in ids)
        write_shard(path, copied.combine_chunks(), "key")


def make_report(folder: Path) -> tuple[float, int]:
    """Seconds and peak resident bytes of a process that makes the report."""
    code = "import sys; from pathlib import Path; from harness.report.write import write_report; "
    code += "write_report(Path(sys.argv[1]))"
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
    return time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def open_page(chromium: str, page: Path) -> tuple[float, float, float]:
    """Milliseconds to a list of problems that answers, to the first problem, and to the next one."""
    with Browser(chromium) as browser:
        opened = browser.open(page)
        opened.wait("!!document.querySelector('.problem h3')", "the first problem")
        ready, first = (
            opened.run(f"performance.getEntriesByName('{name}')[0].startTime")
            for name in ("explorer ready", "problem shown")
        )
        opened.run("document.querySelector('[role=listbox]').focus()")
        opened.run("performance.clearMarks(); window.pressed = performance.now()")
        opened.press("ArrowDown")
        opened.wait("performance.getEntriesByName('problem shown').length > 0", "the next problem")
        following = opened.run("performance.getEntriesByName('problem shown')[0].startTime - window.pressed")
    return ready, first, following


def plain_size(page: str) -> int:
    """Bytes of what the page's blocks hold, had they been written into it as they are."""
    blocks = re.findall(r'<script type="application/octet-stream" id="[^"]*">([^<]*)</script>', page)
    return sum(len(zlib.decompress(base64.b64decode(block))) for block in blocks)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    for name, default in (("problems", 500), ("samples", 64), ("generators", 1), ("reward-models", 4)):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N")
    parser.add_argument("--copies", type=int, default=1, metavar="N", help="of each problem")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write the results there, and leave them")
    options = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        sys.exit("no Chromium found: install one, or name it in $CHROMIUM")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        characters = write_results(folder, options.problems, options.samples, options.generators, options.reward_models)
        if options.copies > 1:
            copy_problems(folder, options.copies)
        seconds, memory = make_report(folder)
        page = folder / "report.html"
        ready, first, following = (
            statistics.median(times) for times in zip(*(open_page(chromium, page) for _ in range(3)), strict=True)
        )
        text = page.read_text()
        note = text.partition('<p class="note">To stay small')[2].partition("</p>")[0]
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_row("text of the responses", f"{options.copies * characters / 1e6:.1f} MB")
        table.add_row("report.html", f"{page.stat().st_size / 1e6:.1f} MB")
        table.add_row("its data as plain JSON", f"{plain_size(text) / 1e6:.1f} MB")
        table.add_row("left out", f"To stay small{note}" if note else "nothing")
        table.add_row("tables, figures and page", f"{seconds:.1f} s")
        table.add_row("peak memory", f"{memory / 2**20:,.0f} MiB")
        table.add_row("until the list of problems answers", f"{ready / 1000:.2f} s")
        table.add_row("until the first problem is shown", f"{first / 1000:.2f} s")
        table.add_row("from one problem to the next", f"{following:.0f} ms")
        Console(width=120).print(table)


if __name__ == "__main__":
    main()
