"""How busy a cluster's GPUs are while it runs the graph of the paper's experiment: real scheduling of work that sleeps.

``python benchmarks/cluster.py`` starts a Ray of two nodes with eight logical GPUs each, and runs ``paper.yaml`` on it:
its stages, trainings, replicas, GPUs and workers, with real processes, a real store and real shards. Every model is a
stub that sleeps as long as ``bonbench plan`` says (``--speed`` times faster). There are fewer problems, so that there
are some hundred shards, and each stage keeps its share of the work.

What it prints: when each stage and training worked; the wall time; the share of GPU-seconds with work in them, and the
share that was reserved in Ray, which a thread looks at.

A process starts in about a second where a large model would take a minute or two to load: at the default speed that is
about as long, in proportion. On few cores, where a dozen start at once, it is longer. ``--start`` measures it.

``--virtual`` replaces Ray, and the clock, by ones in this process: actors that start in ``START_S`` and load in
``LOAD_S`` seconds, without any other cost. All else is as in a run: what is ready, in which order
it starts, which replicas wait, end or go on. It takes a minute, and its seconds are those of the plan.

A training of several workers is one process here, which holds the place of all of them: Ray Train would import PyTorch
in each.

To measure an earlier commit, run that commit's own copy.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(os.environ.get("PYTHONPATH", "").split(":")[0] or Path(__file__).resolve().parent.parent)
sys.path.insert(0, str(ROOT))

from harness.core.components import Generator, RewardModel, TokenScorer, Verifier  # noqa: E402
from harness.core.params import ComponentParams  # noqa: E402
from harness.core.records import (  # noqa: E402
    Grade,
    GradedSolution,
    Problem,
    Response,
    Sampling,
    Solution,
    StepScores,
    TokenLogprobs,
)
from harness.core.trainer import Trainer, TrainerParams, TrainingFacts  # noqa: E402
from harness.core.workers import Launcher, Progress  # noqa: E402

START_S, LOAD_S = 10.0, 60.0
NODES, GPUS_PER_NODE, CPUS_PER_NODE = 2, 8, 32
TEST_SHARDS, TRAIN_SHARDS, PROBLEMS_PER_SHARD, ROLLOUTS = 8, 48, 2, 8
CONFIG = {"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 8}
CONFIG |= {"intermediate_size": 8}


class StubParams(ComponentParams):
    """``seconds``: of the work on one problem, by task and split of the problem."""

    stands_for: str
    seconds: dict[str, float]


class Stub:
    """Sleeps, and answers at once."""

    params: Any
    name: str

    def works(self, task: str, problems: Sequence[Problem]) -> None:
        time.sleep(sum(self.params.seconds.get(f"{task} {problem.split}", 0.0) for problem in problems))


class StubGenerator(Stub, Generator[StubParams]):
    Params = StubParams

    def generate(
        self, problems: Sequence[Problem], sampling: Sampling, seeds: Mapping[str, Sequence[int]]
    ) -> list[Response]:
        self.works("sample", problems)
        return self.responses(problems, sampling)

    def complete(
        self,
        problems: Sequence[Problem],
        prefixes: Sequence[str],
        sampling: Sampling,
        seeds: Mapping[str, Sequence[int]],
    ) -> list[Response]:
        # The problems of prefixes: there is one prefix for each of a problem's rollouts.
        time.sleep(len(problems) / ROLLOUTS * self.params.seconds.get("complete train", 0.0))
        return self.responses(problems, sampling)

    def responses(self, problems: Sequence[Problem], sampling: Sampling) -> list[Response]:
        return [
            Response(p.problem_id, self.name, i, f"step {i}\n\nand another", 8, 8, "stop")
            for p in problems
            for i in range(sampling.n)
        ]


class StubVerifier(Verifier[StubParams]):
    Params = StubParams

    def grade(self, problems: Sequence[Problem], responses: Sequence[Response]) -> list[Grade]:
        return [
            Grade(r.problem_id, r.generator, r.sample, "1", r.sample % 2 == 0, "exact", r.sample % 2) for r in responses
        ]

    def extract(self, text: str) -> str | None:
        return "1"

    def verify(self, pairs: Sequence[tuple[str | None, str]]) -> list[tuple[bool, str]]:
        return [(True, "exact") for _ in pairs]


class StubTokenScorer(Stub, TokenScorer[StubParams]):
    Params = StubParams

    def logprobs(self, batch: Sequence[Solution]) -> list[TokenLogprobs]:
        self.works("token-pass", [*{s.problem.problem_id: s.problem for s in batch}.values()])
        return [
            TokenLogprobs(s.response.problem_id, s.response.generator, s.response.sample, (-1.0,), (1,), 8)
            for s in batch
        ]


class StubRewardModel(Stub, RewardModel[StubParams]):
    Params = StubParams

    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        self.works("score", [*{s.problem.problem_id: s.problem for s in batch}.values()])
        return [
            StepScores(r.problem_id, r.generator, r.sample, self.name, (0.5,), (len(r.text),), r.n_tokens)
            for r in (s.response for s in batch)
        ]


class StubTrainerParams(TrainerParams):
    seconds: float = 0.0


class StubTrainer(Trainer[StubTrainerParams]):
    Params = StubTrainerParams

    def train(
        self, data: Sequence[GradedSolution], output: Path, progress: Progress, launch: Launcher
    ) -> TrainingFacts:
        from ray import cloudpickle

        cloudpickle.register_pickle_by_value(sys.modules[__name__])  # which other processes cannot import
        launch(sleep, self.params.seconds, self.params.in_workers(), output / "scratch", progress)
        (output / "config.json").write_text(json.dumps(CONFIG))
        return TrainingFacts(CONFIG, "stub", True, 1, 1)


def sleep(seconds: float, progress: Progress) -> None:
    time.sleep(seconds)


STUBS: dict[str, type[Any]] = {
    "generators": StubGenerator,
    "verifiers": StubVerifier,
    "token_scorers": StubTokenScorer,
    "reward_models": StubRewardModel,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", type=float, default=110.0, help="how much faster than planned the work is")
    parser.add_argument("--virtual", action="store_true", help="without Ray, by a clock that does not wait")
    parser.add_argument("--start", action="store_true", help="only measure how long processes take to start")
    parser.add_argument("--only", nargs="*", default=[], help="only reward models of these names, for a quick look")
    arguments = parser.parse_args()
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_prestart_worker_first_driver": "0",
        "PYTHONPATH": str(ROOT),
    }

    if arguments.virtual:
        with tempfile.TemporaryDirectory() as folder:
            run(None, Path(folder), 1.0, arguments.only)
        return

    import ray
    from ray.cluster_utils import Cluster

    size: dict[str, Any] = {"num_cpus": CPUS_PER_NODE, "num_gpus": GPUS_PER_NODE, "object_store_memory": 128 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
    try:
        for _ in range(NODES - 1):
            cluster.add_node(**size)
        if arguments.start:
            measure_starts(cluster.address)
        else:
            with tempfile.TemporaryDirectory() as folder:
                run(cluster.address, Path(folder), arguments.speed, arguments.only)
    finally:
        ray.shutdown()
        cluster.shutdown()


def measure_starts(address: str) -> None:
    """How long actors take to start and load a stub: one alone, and eight at once."""
    import ray

    from harness.engine.ray_actors import _Actor
    from harness.engine.ray_executor import start_ray

    start_ray(address)
    for count in (1, 1, 8):
        clock = time.perf_counter()
        actors = [ray.remote(_Actor).options(num_cpus=1, num_gpus=1).remote(1) for _ in range(count)]
        stub = f"{Path(__file__).resolve()}:StubGenerator"
        ray.get([a.build.remote("generators", stub, {"stands_for": "a", "seconds": {}}, "a") for a in actors])
        print(f"{count} at once: {time.perf_counter() - clock:.1f} s")
        for actor in actors:
            ray.kill(actor)


def planned_seconds(speed: float) -> dict[tuple[str, str], float]:
    """GPU-seconds of each stage and training of the paper's experiment, by kind and name, at a speed."""
    from harness.cost_model.gpus import GPUS
    from harness.engine.build import build_graph
    from harness.engine.plan import plan
    from harness.experiment.config import load_experiment

    graph = build_graph(load_experiment(ROOT / "experiments" / "paper.yaml", []), stand_ins=True)
    return {(row.kind, row.who): (row.gpu_hours or 0.0) * 3600 / speed for row in plan(graph, GPUS["h100"], 512).stages}


def run(address: str | None, folder: Path, speed: float, only: Sequence[str]) -> None:
    from harness.engine.build import build_graph
    from harness.engine.graph import Training
    from harness.engine.progress import Board
    from harness.engine.ray_executor import RayExecutor
    from harness.engine.run import run_stages
    from harness.experiment.config import Experiment, load_experiment
    from harness.experiment.spec import Spec

    changes = [f"output={folder}", f"problems_per_shard={PROBLEMS_PER_SHARD}", "sampling.n=8"]
    if "responses_per_shard" in Experiment.model_fields:  # not so in older versions
        changes.append("responses_per_shard=null")
    for split, shards in (("test", TEST_SHARDS), ("train", TRAIN_SHARDS)):
        changes.append(f"problems.{split}={{dataset: pocket, split: {split}, limit: {shards * PROBLEMS_PER_SHARD}}}")
    graph = build_graph(load_experiment(ROOT / "experiments" / "paper.yaml", changes))
    seconds = planned_seconds(speed)

    def identity(spec: Spec[Any]) -> str:
        return json.dumps([spec.kind, spec.type_, spec.params.model_dump(mode="json")])

    work: dict[str, dict[str, float]] = defaultdict(dict)  # component -> task and split -> seconds per problem
    for stage in graph.stages:
        problems = [problem for shard in stage.shards for problem in shard.problems]
        each = seconds[stage.kind, stage.who] / max(stage.spec.pool.num_gpus, 1) / len(problems)
        work[identity(stage.spec)][f"{stage.task} {problems[0].split}"] = each
    file = Path(__file__).resolve()

    def stub(spec: Spec[Any]) -> Spec[Any]:
        if spec.kind == "trainers":
            gpu_s = seconds["train", spec.name]
            params: Any = StubTrainerParams(
                **{name: getattr(spec.params, name) for name in TrainerParams.model_fields},
                seconds=gpu_s / spec.params.workers,  # type: ignore[attr-defined]
            )
            return Spec(spec.kind, spec.name, f"{file}:StubTrainer", params, spec.pool, spec.where)
        cls, known = STUBS[spec.kind], identity(spec)
        params = StubParams(stands_for=known, seconds=work[known])
        return Spec(spec.kind, spec.name, f"{file}:{cls.__name__}", params, spec.pool, spec.where)

    class Stubbed(RayExecutor):
        """Stubs in the place of models, in all else the executor of every run."""

        def pool(self, spec: Spec[Any], *arguments: Any) -> Any:
            return super().pool(stub(spec), *arguments)

    for training in graph.trainings.values():
        training.spec = stub(training.spec)
    looks: Any
    executor: Any
    if address is None:
        looks = Virtual(len(graph.trainings))
        executor = looks.executor(Stubbed)
    else:
        hold_places_of_all_workers()
        looks, executor = Looks(), Stubbed(address)
    nodes = [node for node in graph.nodes if not only or any(name in node.who for name in only)]
    clock = looks.now()
    with Board(live=False) as board:
        outcome = run_stages(graph, nodes, executor, looks_at(board, looks))
    wall = looks.now() - clock
    looks.stop()
    for line in outcome.lines(folder):
        print(line)

    busy, lines = 0.0, []
    for node in nodes:
        spans = looks.spans.get(node.who) if isinstance(node, Training) else None
        spans = spans or ledger_spans(node, folder)
        if not spans:
            continue
        worked = seconds[node.kind, node.who]
        busy += worked
        first, last = min(s for s, _ in spans) - clock, max(e for _, e in spans) - clock
        lines.append((first, f"{first:7.1f} - {last:7.1f} s  {worked:8.1f} GPU-s  {node.kind} {node.who}"))
    print("\n".join(line for _, line in sorted(lines)))
    gpus = NODES * GPUS_PER_NODE
    print(f"wall {wall:.1f} s; {busy:.0f} GPU-seconds of work, {looks.reserved:.0f} reserved, {gpus * wall:.0f} there")
    print(f"busy {100 * busy / gpus / wall:.1f} % of {gpus} GPUs; reserved {100 * looks.reserved / gpus / wall:.1f} %")


def ledger_spans(node: Any, folder: Path) -> list[tuple[float, float]]:
    """When the shards of a stage, or a training, were worked on."""
    from harness.core.records import LedgerRow
    from harness.engine.graph import Stage
    from harness.storage.arrow import to_records
    from harness.storage.shards import read_shard

    files = [s.ledger(folder) for s in node.shards] if isinstance(node, Stage) else [node.ledger(folder)]
    rows = [row for file in files if file.is_file() for row in to_records(LedgerRow, read_shard(file))]
    if not isinstance(node, Stage):
        rows = [row for row in rows if row.stage == "development/training" and row.model == node.who]
    return [(row.started_at, row.started_at + row.wall_s) for row in rows]


class Looks:
    """How many GPUs are reserved in Ray, looked at all the time from the start of the run."""

    def __init__(self) -> None:
        self.reserved = 0.0
        self.spans: dict[str, list[tuple[float, float]]] = {}  # of trainings: their ledger has them
        self.now = time.time
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def start(self) -> None:
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        self._ends.set()

    def _look(self) -> None:
        import ray

        before = time.time()
        while not self._ends.wait(0.2):
            try:
                free = ray.available_resources().get("GPU", 0.0) if ray.is_initialized() else None
            except Exception:
                free = None
            now = time.time()
            if free is not None:
                self.reserved += (NODES * GPUS_PER_NODE - free) * (now - before)
            before = now


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock goes to the next thing that is to happen as soon as nothing else is left to do."""

    seconds = 0.0

    def time(self) -> float:
        return VirtualLoop.seconds

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            VirtualLoop.seconds = max(VirtualLoop.seconds, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class Virtual:
    """A Ray in this process, by a clock that does not wait. It says what is reserved, and when trainings work."""

    def __init__(self, trainings: int) -> None:
        self.reserved = 0.0
        self.spans: dict[str, list[tuple[float, float]]] = {}
        self.slept = 0.0
        self.starts = self.loads = 0

    def now(self) -> float:
        return VirtualLoop.seconds

    def start(self) -> None: ...

    def stop(self) -> None:
        print(f"{self.starts} processes with GPUs started, {self.loads} models loaded by them")

    def sleep(self, seconds: float) -> None:
        """In the place of ``time.sleep``: what stubs do is over at once, and counted."""
        self.slept += seconds

    def slept_by(self, work: Any) -> tuple[Any, float]:
        self.slept = 0.0
        return work(), self.slept

    def hold(self, gpus: float) -> Any:
        """GPUs are reserved until the function that this gives is called."""
        began = [self.now()]

        def end(*_: Any) -> None:
            if began:
                self.reserved += gpus * (self.now() - began.pop())

        return end

    def executor(self, cls: type[Any]) -> Any:
        import ray

        from harness.engine import progress, ray_actors, room
        from harness.engine.worker import Worker

        virtual = self
        nodes = [
            {"NodeID": f"{i:056x}", "Alive": True, "Resources": {"CPU": CPUS_PER_NODE, "GPU": GPUS_PER_NODE}}
            for i in range(NODES)
        ]
        total = {"CPU": float(NODES * CPUS_PER_NODE), "GPU": float(NODES * GPUS_PER_NODE)}

        class Method:
            def __init__(self, function: Any) -> None:
                self.remote = function

        class Actor:
            def __init__(self, gpus: float, node: str) -> None:
                self._worker, self._gpus, self._node, self._runs = Worker(), gpus, node, False
                self.end = virtual.hold(gpus)
                self._built: Any = None
                virtual.starts += gpus > 0

            def __getattr__(self, name: str) -> Method:
                return Method(getattr(self, f"do_{name.strip('_')}"))

            async def do_ray_ready(self) -> None:
                await asyncio.sleep(0 if self._runs else START_S)
                self._runs = True

            async def do_ray_call(self, function: Any) -> str:
                await self.do_ray_ready()
                return self._node

            async def do_build(self, *what: Any) -> Any:
                before = self._worker._component
                failure = self._worker.build(*what)
                if self._gpus and self._worker._component is not before:
                    virtual.loads += 1
                    await asyncio.sleep(LOAD_S)
                return failure

            async def do_run(self, task: Any, payload: Any, *_: Any) -> Any:
                began = virtual.now()
                result, seconds = virtual.slept_by(lambda: self._worker.run(task, payload))
                await asyncio.sleep(seconds)
                result.started_at, result.wall_s = began, seconds
                return result

            def do_drop(self) -> None:
                self._worker.drop()

        def start(actors: Any, *asked: Any) -> Actor:
            seat = asked[0]
            if hasattr(seat, "gpus"):  # in older versions the numbers themselves
                return Actor(seat.gpus, next(iter(seat.nodes), ""))
            return Actor(asked[1], "")

        class Timeless(cls):  # type: ignore[misc]
            def start(self) -> None: ...

            def check(self, spec: Any) -> None: ...

            def close(self) -> None: ...

            async def train(self, spec: Any, place: int, training: Any, line: Any) -> Any:
                workers = spec.params.in_workers()
                asked = [workers.count * workers.cpus, workers.count * workers.gpus]
                if hasattr(self, "_desk"):
                    seat = await self._desk.take(place, 1, 0)
                    asked = [workers.cpus, workers.gpus, workers.count]
                async with self._room.hold(place, *asked):
                    if hasattr(self, "_desk"):
                        self._desk.give_back(seat)
                    end = virtual.hold(workers.count * workers.gpus)
                    launch = lambda work, job, of, scratch, progress: work(job, progress)  # noqa: E731
                    result, seconds = virtual.slept_by(lambda: training(launch))
                    await asyncio.sleep(START_S + LOAD_S)
                    began = virtual.now()
                    await asyncio.sleep(seconds)
                    virtual.spans[spec.name] = [(began, virtual.now())]
                    end()
                return result

        ray.nodes, ray.cluster_resources = lambda: nodes, lambda: total
        ray.available_resources, ray.is_initialized = lambda: total, lambda: True
        ray.kill = lambda actor: actor.end()
        time.sleep = self.sleep  # type: ignore[assignment]
        ray_actors.Actors.start = start  # type: ignore[method-assign, assignment]
        room._LOOK_S = progress._LOOK_S = 1e9  # no machine comes or goes
        asyncio.set_event_loop_policy(VirtualPolicy())
        return Timeless()


class VirtualPolicy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = VirtualLoop


def looks_at(board: Any, looks: Looks) -> Any:
    """The board of a run; with its first line the looks begin."""
    line = board.line

    def first(*arguments: Any) -> Any:
        looks.start()
        return line(*arguments)

    board.line = first
    return board


def hold_places_of_all_workers() -> None:
    """Run a training of several workers in one process that holds the places of all."""
    import ray
    from ray.util.placement_group import placement_group, placement_group_table, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    from harness.engine import ray_training

    def together(work: Any, job: Any, workers: Any, said: Path) -> Any:
        group = placement_group([{"CPU": workers.cpus, "GPU": workers.gpus}] * workers.count, strategy="PACK")
        try:
            ray.get(group.ready())
            placed = placement_group_table(group)["bundles_to_node_id"]
            strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0)
            options = {"num_cpus": workers.cpus, "num_gpus": workers.gpus, "scheduling_strategy": strategy}
            if hasattr(ray_training, "_marks"):
                said.with_name("placed").mkdir()
                for rank, node in placed.items():
                    (said.with_name("placed") / str(rank)).write_text(f"{node} {group.id.hex()}")
            else:
                said.with_name("placed").touch()
            return ray.get(ray.remote(call).options(**options).remote(work, job))
        finally:
            remove_placement_group(group)

    def call(work: Any, job: Any) -> Any:
        return work(job, lambda *_: None)

    ray_training._together = together


if __name__ == "__main__":
    main()
