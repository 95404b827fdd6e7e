"""Trainings by two processes of a gloo group on the CPU: ``two_workers.py RANK PORT JOBS``, a file of pickled jobs.

A job may stop its training half-way, by :func:`training_data.stopping`; what it leaves is listed in ``left.json``.
``rounded.json`` says whether the last outputs and gradients of a training were rounded to bfloat16.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence as Several
from datetime import timedelta
from pathlib import Path
from socket import create_server
from typing import Any

import torch
from places import ROOT

from bonbench.reward_models.training.job import Job

GUARD_S = 600


def in_two_processes(jobs: Several[Job], folder: Path, gathered: bool = False) -> None:
    """Run the jobs one after the other, each in both processes; if ``gathered``, the first one writes checkpoints."""
    file = folder / "jobs.pickle"
    file.write_bytes(pickle.dumps(list(jobs)))
    with create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(port), str(file), *(["gathered"] if gathered else [])],
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


def main(rank: str, port: str, file: str, gathered: str = "") -> None:
    import torch.distributed as dist
    from accelerate import DistributedType, PartialState
    from training_data import Stopped
    from transformers import Trainer

    from bonbench.reward_models.training import dealing, loop

    dealing._EACH = 1  # batches here are so small that one micro-batch would always be the fastest
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    dist.init_process_group("gloo", timeout=timedelta(seconds=300))
    prepare = Trainer.create_accelerator_and_postprocess

    def as_if_on_gpus(trainer: Trainer) -> None:
        # Accelerate shards no model over CPUs; FSDP itself does.
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
        if gathered:
            trainer.args.fsdp_plugin_args["state_dict_type"] = "FULL_STATE_DICT"
        prepare(trainer)

    call, go = loop._call, loop.go
    rounded: dict[str, bool] = {}

    def watched_call(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
        outputs = call(model, batch)
        rounded["outputs"] = _is_rounded(outputs)
        return outputs

    def watched_go(loss: Any, step: dict[str, Any], passes: Any, judged: Any) -> None:
        go(loss, step, passes, judged)
        gradients = [weights.grad for weights in passes.call.args[0].parameters() if weights.grad is not None]
        rounded["gradients"] = all(_is_rounded(getattr(g, "_local_tensor", g)) for g in gradients)

    loop._call, loop.go = watched_call, watched_go
    for job in pickle.loads(Path(file).read_bytes()):
        job.output.mkdir(parents=True, exist_ok=True)
        Trainer.create_accelerator_and_postprocess = as_if_on_gpus if job.params.fsdp else prepare
        try:
            loop.train_worker(job, lambda *_: None)
            (job.output / "rounded.json").write_text(json.dumps(rounded))
        except Stopped:
            dist.barrier()
            files = [path for path in job.output.rglob("*") if path.is_file()]
            sizes = {str(path.relative_to(job.output)): path.stat().st_size for path in files}
            (job.output / "left.json").write_text(json.dumps(sizes))
            dist.barrier()
    dist.destroy_process_group()


def _is_rounded(values: torch.Tensor) -> bool:
    """Whether all values are such as bfloat16 has."""
    return bool((values == values.bfloat16().float()).all())


if __name__ == "__main__":
    main(*sys.argv[1:])
