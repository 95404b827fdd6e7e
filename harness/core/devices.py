"""Where a component's model goes: on the GPUs that its entry asks for, or on the CPU."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol

from harness.core.errors import UserError

#: In the environment of a process: how many GPUs the component that is built there may take.
_GPUS = "BONBENCH_GPUS"
#: Share of a GPU's free memory that a spread model's weights may take.
_FOR_WEIGHTS = 0.9
#: Seconds that a driver may take to list its GPUs: one in trouble never answers.
_LISTED_WITHIN_S = 60


class Cuda(Protocol):
    """The part of ``torch.cuda`` that tells which GPUs there are."""

    def is_available(self) -> bool: ...

    def device_count(self) -> int: ...

    def current_device(self) -> int: ...

    def mem_get_info(self, device: int) -> tuple[int, int]:
        """Bytes of a GPU's memory: free ones, and all."""
        ...


def give_gpus(count: float) -> None:
    """Let the component that this process builds next take so many GPUs: the ``num_gpus`` of its entry."""
    os.environ[_GPUS] = str(math.ceil(count))


def count_gpus() -> int:
    """How many GPUs this process may use. No library is loaded that would decide there and then which ones it sees."""
    for variable in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
        if (visible := os.environ.get(variable)) is not None:
            return len([*takewhile(lambda device: device not in ("", "-1"), map(str.strip, visible.split(",")))])
    if program := shutil.which("nvidia-smi"):
        with suppress(OSError, subprocess.TimeoutExpired):
            listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=_LISTED_WITHIN_S)
            return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return len([*Path("/dev/dri").glob("renderD*")]) if Path("/dev/kfd").exists() else 0


def placed(device: str, cuda: Cuda) -> dict[str, Any]:
    """The arguments of `from_pretrained` that put a model where it is to run; none for the CPU.

    ``auto`` spreads the layers of a model over the GPUs if its component was given several, and takes one GPU
    otherwise, if there is any. The weights are read straight into the GPUs' memory.
    """
    if device == "cpu" or (device == "auto" and not cuda.is_available()):
        return {}
    gpus = min(int(os.environ.get(_GPUS, 1)), cuda.device_count())
    if device == "auto" and gpus > 1:
        room = {gpu: int(_FOR_WEIGHTS * cuda.mem_get_info(gpu)[0]) for gpu in range(gpus)}
        return {"device_map": "auto", "max_memory": room}
    return {"device_map": {"": f"cuda:{cuda.current_device()}" if device in ("auto", "cuda") else device}}


def check_fits(model: Any, name: str) -> None:
    """Refuse a spread model of which a part is not on a GPU: it would be read from disk for every batch.

    Raises:
        UserError: naming how many GPUs were too few.
    """
    devices = set(getattr(model, "hf_device_map", {}).values())
    if len(devices) > 1 and devices & {"cpu", "disk"}:
        raise UserError(f"{name} does not fit on {len(devices - {'cpu', 'disk'})} GPUs: raise num_gpus")
