"""What a training's data take before its first step: the driver's time and memory, by shards and all at once.

``python benchmarks/training_data.py [--problems N] [--all-at-once N] [--workers N]`` writes N problems with eight short
rollouts each, graded, with their token passes, as stored shards. Then a DPO and a KTO training of a pocket model get
ready on them through ``run_training`` and Ray, up to where the first worker has the batch of its first step. Each is a
process of its own, whose largest memory is printed beside that of the worker. For comparison the same training, on
fewer problems if asked, has all its rollouts as objects in one process, and encodes them there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

import numpy as np  # noqa: E402

from harness.core.records import Grade, Problem, Response, TokenLogprobs  # noqa: E402
from harness.core.registry import find  # noqa: E402
from harness.engine.graph import Shard, Training  # noqa: E402
from harness.engine.training import run_training  # noqa: E402
from harness.experiment.spec import Pool, Spec  # noqa: E402
from harness.storage.arrow import to_table  # noqa: E402
from harness.storage.shards import write_shard  # noqa: E402

MODEL = str(ROOT / "experiments" / "pocket" / "models" / "middle")
EACH, PER_SHARD = 8, 32
FOLDERS = {"responses": "rollouts/main", "grades": "rollout-grades/main", "passes": "rollout-passes/middle/main"}
DRIVER_LIMIT = 2 << 30
_TEXTS = 4096  # different ones


def shards(n_problems: int) -> dict[str, list[Shard]]:
    """The shards of every stage, stored or not; all of them are full."""
    made: dict[str, list[Shard]] = {kind: [] for kind in FOLDERS}
    for index, first in enumerate(range(0, n_problems, PER_SHARD)):
        problems = tuple(
            Problem(f"p{i}", f"Compute {i % 97} + {i % 89} - {i % 83}.", str(i % 97 + i % 89 - i % 83))
            for i in range(first, first + PER_SHARD)
        )
        for kind, folder in FOLDERS.items():
            made[kind].append(Shard(folder, index, f"{kind}-{index}", problems, "middle", {}, EACH * len(problems)))
    return made


def write(results: Path, n_problems: int) -> None:
    """Store rollouts of random sums, half of them right, and a made-up pass of the model over them."""
    from bonbench.reward_models.training.encode import for_likelihood
    from harness.core.records import Solution

    rng = np.random.default_rng(0)
    texts = []
    for _ in range(_TEXTS):
        lines = [f"{a} + {b} = {a + b}" for a, b in rng.integers(10, 99, size=(rng.integers(7, 12), 2)).tolist()]
        texts.append("\n".join([*lines, f"The answer is {int(rng.integers(99))}."]))
    problem = Problem("p", "Compute 1 + 1.", "2")
    read = for_likelihood(MODEL)([Solution(problem, Response("p", "", 0, t, finish_reason="stop")) for t in texts])
    n_tokens = [len(tokens.reads) for tokens in read]
    for responses, grades, passes in zip(*shards(n_problems).values(), strict=True):
        rows: tuple[list[Response], list[Grade], list[TokenLogprobs]] = ([], [], [])
        for problem in responses.problems:
            for sample in range(EACH):
                text = int(rng.integers(_TEXTS))
                n, right = n_tokens[text], bool(rng.random() < 0.5)
                who = (problem.problem_id, "middle", sample)
                rows[0].append(Response(*who, texts[text], 12, n, "stop", sample))
                rows[1].append(Grade(*who, "1", right, "exact", 0))
                rows[2].append(TokenLogprobs(*who, tuple((-rng.random(n)).tolist()), tuple(range(1, n + 1)), 12))
        record: Any
        of: Any
        for record, shard, of in zip((Response, Grade, TokenLogprobs), (responses, grades, passes), rows, strict=True):
            write_shard(shard.path(results), to_table(record, of), shard.key)


def training(results: Path, objective: str, n_problems: int, workers: int) -> Training:
    params: Any = find("trainers", "implicit").Params.model_validate(
        {"base": MODEL, "objective": objective, "workers": workers}
    )
    stored = shards(n_problems)
    return Training(
        who=objective,
        spec=Spec("trainers", objective, "implicit", params, Pool(), "train"),
        key=objective,
        folder=results / "trained" / objective,
        rollouts=stored["responses"],
        grades=stored["grades"],
        passes={"reference": stored["passes"]},
    )


def peak() -> int:
    """The most memory that this process ever held, in bytes."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) << 10


def first_batch(job: Any, _: object) -> dict[str, Any]:
    """In a worker: what it needs for its first step."""
    rollouts = job.rollouts
    members = np.unique(rollouts.examples[: job.params.batch_size])
    batch = rollouts.batch(members)
    return {"examples": len(rollouts.examples), "tokens": int(rollouts.sequences.lengths.sum()), "rows": len(batch)}


class ReadyError(Exception):
    """The first step would begin."""


def by_shards(results: Path, asked: argparse.Namespace) -> dict[str, Any]:
    import ray

    from bonbench.reward_models.training.job import Job
    from harness.engine.ray_actors import Actors
    from harness.engine.ray_executor import start_ray
    from harness.engine.ray_room import nodes_of_ray
    from harness.engine.ray_training import Entrance, RayLauncher
    from harness.engine.room import Room

    start_ray(None)
    room, loop = Room(nodes_of_ray), asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    launch, found = RayLauncher(Actors(room), Entrance(room, loop, 0, lambda: None), True), {}
    told: list[str] = []

    def launched(work: Any, job: Any, workers: Any, scratch: Path, progress: Any) -> Any:
        if not isinstance(job, Job):
            result, seconds = launch(_measured, (work, job), workers, scratch, progress)
            found["worker"] = max(found.get("worker", 0), seconds)
            return result
        found.update(launch(first_batch, job, workers, scratch, progress))
        raise ReadyError

    clock = time.perf_counter()
    try:
        one = training(results, asked.objective, asked.problems, asked.workers)
        run_training(one, results, lambda done, total, note: told.append(note), launched)
    except ReadyError:
        found |= {"seconds": time.perf_counter() - clock, "processor": time.process_time()}
    ray.shutdown()
    return {**found, "driver": peak(), "told": told[-1]}


def _measured(job: tuple[Any, Any], progress: Any) -> tuple[Any, int]:
    work, own = job
    return work(own, progress), peak()


def all_at_once(results: Path, asked: argparse.Namespace) -> dict[str, Any]:
    from bonbench.reward_models.training.job import Job
    from bonbench.reward_models.training.responses import build_rollouts
    from harness.engine.stored_rollouts import stored_rollouts

    clock = time.perf_counter()
    one = training(results, asked.objective, asked.problems, 1)
    params: Any = one.spec.params
    data = list(stored_rollouts(one, results))
    rollouts, _ = build_rollouts(data, params)
    found = first_batch(Job("implicit", params, rollouts, MODEL, results), None)
    found |= {"seconds": time.perf_counter() - clock, "processor": time.process_time()}
    return {**found, "driver": peak()}


def measured(how: str, results: Path, objective: str, problems: int, workers: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--how", how, "--results", str(results), "--objective", objective]
    command += ["--problems", str(problems), "--workers", str(workers)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1]) if how != "write" else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=2_000)
    parser.add_argument("--all-at-once", type=int, default=2_000, help="problems of the comparison")
    parser.add_argument("--workers", type=int, default=1)
    for hidden in ("--how", "--results", "--objective"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.how == "write":
        write(Path(asked.results), asked.problems)
        return
    if asked.how:
        print(json.dumps({"by-shards": by_shards, "all-at-once": all_at_once}[asked.how](Path(asked.results), asked)))
        return
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        measured("write", results, "", max(asked.problems, asked.all_at_once), 1)
        for objective in ("dpo", "kto"):
            for how, problems in (("all-at-once", asked.all_at_once), ("by-shards", asked.problems)):
                found = measured(how, results, objective, problems, asked.workers)
                n = EACH * PER_SHARD * -(-problems // PER_SHARD)
                said = f"{objective}, {how}: {n:,} rollouts of {found['tokens'] / n:.0f} tokens, "
                said += f"{found['examples']:,} examples, ready in {found['seconds']:.1f} s "
                said += f"({1000 * found['seconds'] / n:.2f} ms each); driver {found['driver'] / 2**20:,.0f} MiB, "
                said += f"{found['processor']:.1f} s of its processor"
                said += f", worker {found['worker'] / 2**20:,.0f} MiB" if "worker" in found else ""
                print(said, flush=True)
                if how == "by-shards" and found["driver"] > DRIVER_LIMIT:
                    sys.exit("the driver held more than 2 GiB")


if __name__ == "__main__":
    main()
