"""Work that takes less memory when it takes less at once: halved wherever memory is too short, until it fits."""

from __future__ import annotations

import gc
import logging
import re
import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: What processes say that could not get memory: CUDA, cuBLAS, PyTorch's allocator for the CPU.
_SHORT = re.compile(
    r"out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED|can't allocate memory|not enough memory"
    r"|std::bad_alloc",
    re.IGNORECASE,
)
_logger = logging.getLogger("bonbench.memory")


def is_short(error: BaseException) -> bool:
    """Whether an error says that there was too little memory."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_SHORT.search(str(error))))


def halving(work: Callable[[int], T], most: int, least: int, unit: str, who: str) -> tuple[T, int]:
    """Call ``work`` with how much it may take at once: with half as much whenever memory was too short for that.

    Args:
        most: how much to begin with.
        least: with so much, or less, nothing is halved.
        unit: what is counted.
        who: whose work it is.

    Returns:
        What ``work`` returned, and with how much.

    Raises:
        MemoryError: where memory is too short for ``least``.
    """
    while True:
        try:
            return work(most), most
        except Exception as error:
            if not is_short(error):
                raise
            short = str(error).splitlines()[0] if str(error) else type(error).__name__
        # Here the error is gone, and with it what its traceback held.
        if most <= least:
            raise MemoryError(f"{who} has too little memory even for {most} {unit} at once: {short}")
        most = max(least, most // 2)
        _logger.warning("%s: memory is short, it takes %d %s at once from now on (%s)", who, most, unit, short)
        _free()


def _free() -> None:
    """Give back what caches hold."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
