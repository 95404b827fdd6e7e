"""The benchmarks by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.core.errors import UserError, suggest
from harness.streams.benchmarks.base import Benchmark
from harness.streams.benchmarks.prmbench import PRMBench
from harness.streams.benchmarks.processbench import ProcessBench
from harness.streams.benchmarks.rewardbench2 import RewardBench2
from harness.streams.benchmarks.rm_bench import RMBench

BENCHMARKS: Mapping[str, Benchmark[Any]] = {
    one.name: one for one in (ProcessBench(), PRMBench(), RewardBench2(), RMBench())
}


def find_benchmark(name: str) -> Benchmark[Any]:
    """The benchmark of a name.

    Raises:
        UserError: where there is none.
    """
    if name not in BENCHMARKS:
        raise UserError(f"no benchmark is named {name!r}{suggest(name, BENCHMARKS)}")
    return BENCHMARKS[name]
