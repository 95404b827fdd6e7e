"""What the shards in one folder of the results cost, from their ledger."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass

import pandas as pd

from harness.analysis.costs import with_time
from harness.storage.results import Results


@dataclass(frozen=True, slots=True)
class Cost:
    """Work: GPU-seconds, seconds of models and of all else without GPUs, and FLOPs (both NaN where not known)."""

    gpu_seconds: float
    model_seconds: float
    other_seconds: float
    flops: float

    @classmethod
    def of(cls, results: Results, *place: str) -> Cost:
        """What a folder of the results cost."""
        return cls.of_ledger(results.ledger_of(*place))

    @classmethod
    def of_ledger(cls, ledger: pd.DataFrame) -> Cost:
        """What the rows of a ledger cost."""
        rows = with_time(ledger)
        ran = rows["flops"] > 0
        return cls(
            gpu_seconds=float(rows["gpu_seconds"].sum(skipna=False)),
            model_seconds=float(rows.loc[ran, "seconds"].sum()),
            other_seconds=float(rows.loc[~ran, "seconds"].sum()),
            flops=float(rows["flops"].sum(skipna=False)),
        )

    @classmethod
    def sum(cls, costs: Iterable[Cost]) -> Cost:
        """All of them together."""
        return cls(*(math.fsum(values) for values in zip(*map(astuple, costs), strict=True)))

    @property
    def unit(self) -> str:
        """What its time is measured in: "time", the seconds of workers, where no GPU was held, else "GPU time"."""
        return "time" if self.gpu_seconds == 0 else "GPU time"

    def seconds_in(self, unit: str) -> float:
        """Its time in a unit; NaN where it is not of that unit. In GPU time, what computes without a model is left
        out."""
        if unit == "time":
            return math.nan if self.gpu_seconds != 0 else self.model_seconds + self.other_seconds
        return math.nan if self.model_seconds > 0 else self.gpu_seconds

    def time_of(self, whole: Cost) -> float:
        """Its time as a share of the time of ``whole``, in the unit of ``whole``; NaN where it is not of that unit."""
        return self.seconds_in(whole.unit) / whole.seconds_in(whole.unit)
