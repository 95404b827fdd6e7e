"""Trainings by two processes of a gloo group on the CPU: ``two_workers.py RANK PORT JOBS``, a file of pickled jobs.

A job that stops its training half-way does so by a :class:`Stopping`; what it leaves is listed in ``left.json``.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence as Several
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from socket import create_server

from places import ROOT

from bonbench.reward_models.training.job import Job
from bonbench.reward_models.training.pairs import Indices
from bonbench.reward_models.training.sequences import Sequences
from bonbench.reward_models.training.targets import Arrays, Targets

GUARD_S = 600


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


def in_two_processes(jobs: Several[Job], folder: Path) -> None:
    """Run the jobs one after the other, each in both processes."""
    file = folder / "jobs.pickle"
    file.write_bytes(pickle.dumps(list(jobs)))
    with create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(port), str(file)],
            env=variables,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=GUARD_S)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)


def main(rank: str, port: str, file: str) -> None:
    import torch.distributed as dist
    from accelerate import DistributedType, PartialState
    from transformers import Trainer
    from two_workers import Stopped  # as the jobs have it

    from bonbench.reward_models.training.loop import train_worker

    os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    prepare = Trainer.create_accelerator_and_postprocess

    def as_if_on_gpus(trainer: Trainer) -> None:
        # Accelerate shards no model over CPUs; FSDP itself does.
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
        prepare(trainer)

    for job in pickle.loads(Path(file).read_bytes()):
        job.output.mkdir(parents=True, exist_ok=True)
        Trainer.create_accelerator_and_postprocess = as_if_on_gpus if job.params.fsdp else prepare
        try:
            train_worker(job, lambda *_: None)
        except Stopped:
            dist.barrier()
            files = [path for path in job.output.rglob("*") if path.is_file()]
            sizes = {str(path.relative_to(job.output)): path.stat().st_size for path in files}
            (job.output / "left.json").write_text(json.dumps(sizes))
            dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
