"""The verifier against Math-Verify and the PRM800K grader: verdicts, speed, a whole file, hostile answers, fuzzing.

``python benchmarks/verifier.py [--fuzz SECONDS]``. The labelled data are read from BONBENCH_DATA; without them only the
hostile corpus is measured. The peers are installed into build/bench-peers (the PRM800K grader as packaged in
``mathruler``) and run there, in the same run, one process each.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import psutil  # noqa: E402
from hostile_answers import GOLDS, HOSTILE  # noqa: E402

from bonbench import verifiers  # noqa: E402
from bonbench.verifiers.math import MathParams, MathVerifier  # noqa: E402

DATA = Path(os.environ.get("BONBENCH_DATA", ROOT.parent / "shared" / "data"))
ENVIRONMENT = ROOT / "build" / "bench-peers"
PACKAGES = ("math-verify[antlr4-13-2]==0.9.0", "mathruler==0.1.0", "pylatexenc", "tqdm")
Item = tuple[str, str]


def lines(name: str) -> list[dict[str, Any]]:
    path = DATA / name
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.splitlines()]


def ours(kind: str, items: list[Item]) -> dict[str, Any]:
    """Verdicts and processor seconds, the worker's included, of a fresh verifier whose worker runs already."""
    verifier = MathVerifier(MathParams())
    verifier.verify([(r"\sin^2 x+\cos^2 x", "1")])
    started = processor_seconds()
    verdicts = []
    for pred, gold in items:
        answer = verifier.extract(pred) if kind == "responses" else pred
        verdicts.append(verifier.verify([(answer, gold)])[0][0])
    return {"verdicts": verdicts, "seconds": processor_seconds() - started}


def processor_seconds() -> float:
    """Processor time of this process and those below it: a busy machine lengthens it less than the clock."""
    me = psutil.Process()
    times = [p.cpu_times() for p in (me, *me.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def peer_command(name: str) -> list[str]:
    """What runs a peer in its environment, which is made first."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True
        )
    return [str(python), str(ROOT / "benchmarks" / "_verifier_peer.py"), name]


def peer(name: str, tasks: list[tuple[str, list[Item]]]) -> list[dict[str, Any]]:
    done = subprocess.run(
        peer_command(name),
        input=json.dumps([{"kind": kind, "items": items} for kind, items in tasks]),
        capture_output=True,
        text=True,
        check=True,
    )
    results: list[dict[str, Any]] = json.loads(done.stdout)
    return results


def verdicts() -> None:
    """Tables of wrong verdicts, false positives and time per item."""
    sets: dict[str, tuple[str, list[Item], list[bool], list[int]]] = {}
    for name in ("math500", "gsm8k"):
        rows = [r for r in lines(f"{name}_pairs_dev.jsonl") if isinstance(r["label"], bool)]
        items = [(r["pred"], r["gold"]) for r in rows]
        sets[f"{name} pairs"] = ("pairs", items, [r["label"] for r in rows], [r["count"] for r in rows])
        right = {(r["problem_id"], r["sample"]): r["correct"] for r in lines(f"{name}_labels_dev.jsonl.gz")}
        recorded = [
            (sample["text"], row["gold"], right[row["problem_id"], i])
            for row in lines(f"{name}_recorded.jsonl.gz")
            for i, sample in enumerate(row["samples"])
        ]
        sets[f"{name} responses"] = (
            "responses",
            [r[:2] for r in recorded],
            [r[2] for r in recorded],
            [1] * len(recorded),
        )
    rows = lines("equivalence_dev.jsonl")
    sets["equivalence"] = ("pairs", [(r["pred"], r["gold"]) for r in rows], [r["equal"] for r in rows], [1] * len(rows))

    tasks = [(kind, items) for kind, items, _, _ in sets.values()]
    graded: dict[str, list[dict[str, Any]]] = {"bonbench": [ours(*task) for task in tasks]}
    for name in ("math-verify", "prm800k"):
        graded[name] = peer(name, tasks)
    print("| set | grader | items | wrong | false positives | wrong, by count | ms of processor per item |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for index, (name, (_, items, labels, counts)) in enumerate(sets.items()):
        for grader, results in graded.items():
            given = results[index]["verdicts"]
            wrong = [i for i, label in enumerate(labels) if given[i] != label]
            print(
                f"| {name} | {grader} | {len(items)} | {len(wrong)} ({100 * len(wrong) / len(items):.2f} %) "
                f"| {sum(given[i] for i in wrong)} | {100 * sum(counts[i] for i in wrong) / sum(counts):.3f} % "
                f"| {1000 * results[index]['seconds'] / len(items):.4f} |"
            )
    print("\nWrong on the equivalence pairs:")
    _, items, labels, _ = sets["equivalence"]
    for (pred, gold), label, verdict in zip(items, labels, graded["bonbench"][-1]["verdicts"], strict=True):
        if label != verdict:
            print(f"- {'accepts' if verdict else 'rejects'} {pred[:80]!r} for {gold[:80]!r}")


def end_to_end() -> None:
    """``bonbench grade`` against a script that does the same with Math-Verify: the start of the process included."""
    program = "import sys; from harness.cli import main; sys.exit(main(sys.argv[1:]))"
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "in.jsonl"), Path(folder, "out.jsonl")
        rows = [
            {"response": sample["text"], "gold": row["gold"]}
            for row in lines("math500_recorded.jsonl.gz")
            for sample in row["samples"]
        ]
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        commands = {
            "bonbench grade": [sys.executable, "-c", program, "grade", str(source), "-o", str(output)],
            "Math-Verify": [*peer_command("math-verify"), str(source), str(output)],
        }
        seconds = {}
        for name, command in commands.items():
            times = []
            for _ in range(3):
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            seconds[name] = min(times)
    print(f"\nA file of {len(rows)} responses, processor seconds from start to end (the best of three):")
    for name, spent in seconds.items():
        print(f"- {name}: {spent:.2f} s")
    print(f"- ratio: {seconds['Math-Verify'] / seconds['bonbench grade']:.1f}")


def hostile() -> None:
    """Time and memory for the hostile corpus against every gold."""
    verifier = MathVerifier(MathParams())
    verifier.verify([(r"\sin^2 x+\cos^2 x", "1")])
    worst, failed = 0.0, 0
    stop, worker_peak = threading.Event(), [0]
    sampler = threading.Thread(target=watch_children, args=(stop, worker_peak))
    sampler.start()
    started = time.perf_counter()
    for answer in HOSTILE:
        for gold in GOLDS:
            before = time.perf_counter()
            ((_, reason),) = verifier.verify([(answer, gold)])
            worst = max(worst, time.perf_counter() - before)
            failed += reason in ("timeout", "memory", "crash")
        verifier.extract(answer)
    elapsed = time.perf_counter() - started
    stop.set()
    sampler.join()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"\n{len(HOSTILE)} hostile answers x {len(GOLDS)} golds: {elapsed:.1f} s, the slowest comparison "
        f"{worst:.2f} s, {failed} stopped at a limit, peak memory {peak / 1024:.0f} MiB, "
        f"in the workers {worker_peak[0] >> 20} MiB "
        f"(limit {verifier.params.memory_mb} MiB of address space each)"
    )


def watch_children(stop: threading.Event, peak: list[int]) -> None:
    """Keep in ``peak`` the most unshared memory (bytes) that the processes below this one had together."""
    while not stop.wait(0.02):
        total = 0
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                total += child.memory_full_info().uss
        peak[0] = max(peak[0], total)


def fuzz(seconds: float) -> None:
    """Compare mutated answers for so long; one that reaches new lines of the verifier is mutated further."""
    verifier = MathVerifier(MathParams(timeout_s=1))
    generator = random.Random(0)
    folder = str(Path(verifiers.__file__).parent)
    reached: set[tuple[str, int, int]] = set()

    def run(text: str) -> int:
        """New line transitions; answering is all that is asked for."""
        new = 0
        last = 0

        def line(frame: Any, event: str, _: Any) -> Callable[..., Any] | None:
            nonlocal new, last
            if not frame.f_code.co_filename.startswith(folder):
                return None
            edge = (frame.f_code.co_filename, last, frame.f_lineno)
            last = frame.f_lineno
            if edge not in reached:
                reached.add(edge)
                new += 1
            return line

        sys.settrace(line)
        try:
            verifier.extract(text)
            verdicts = verifier.verify([(text, r"\frac{7919}{2}"), (r"\frac{7919}{2}", text)])
        finally:
            sys.settrace(None)
        assert all(reason != "error" for _, reason in verdicts), text
        return new

    corpus = [h for h in HOSTILE if len(h) < 400] + list(GOLDS)
    if DATA.is_dir():
        corpus += [text for r in lines("equivalence_dev.jsonl") for text in (r["pred"][:400], r["gold"][:400])]
    pieces = sorted({p for text in corpus for p in text.replace("{", " { ").replace("}", " } ").split()})
    inputs, slowest, worst = 0, 0.0, ""
    end = time.monotonic() + seconds
    for text in corpus:
        run(text)
    while time.monotonic() < end:
        text = mutated(generator.choice(corpus), corpus, pieces, generator)
        before = time.perf_counter()
        if run(text):
            corpus.append(text)
        elapsed = time.perf_counter() - before
        if elapsed > slowest:
            slowest, worst = elapsed, text
        inputs += 1
    print(
        f"\nfuzzed {seconds:.0f} s: {inputs} inputs, {len(corpus)} kept, {len(reached)} line transitions, no crash; "
        f"the slowest took {slowest:.2f} s: {worst[:80]!r}"
    )


def mutated(text: str, corpus: list[str], pieces: list[str], generator: random.Random) -> str:
    for _ in range(generator.randint(1, 4)):
        at, to = sorted(generator.randint(0, len(text)) for _ in range(2))
        kind = generator.randrange(5)
        if kind == 0:
            text = text[:at] + text[to:]
        elif kind == 1:
            text = text[:at] + generator.choice(pieces) + text[at:]
        elif kind == 2:
            text = text[:at] + text[at:to] * 2 + text[to:]
        elif kind == 3:
            other = generator.choice(corpus)
            text = text[:at] + other[generator.randint(0, len(other)) :]
        else:
            text = (
                text[:at]
                + chr(generator.choice((generator.randrange(32, 127), generator.randrange(0x2FFFF))))
                + text[at + 1 :]
            )
    return text[:2000]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fuzz", type=float, default=0.0, metavar="SECONDS", help="also fuzz for so long")
    parser.add_argument("--only-fuzz", action="store_true", help="nothing else")
    options = parser.parse_args()
    if not options.only_fuzz:
        if DATA.is_dir():
            verdicts()
            end_to_end()
        else:
            print(f"no labelled data at {DATA}: set BONBENCH_DATA to compare verdicts", file=sys.stderr)
        hostile()
    if options.fuzz:
        fuzz(options.fuzz)


if __name__ == "__main__":
    main()
