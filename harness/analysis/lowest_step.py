"""Where in a response a reward model finds its lowest step reward, which is the response's score by ``min``."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

import numpy as np

from harness.core.arrays import Floats, Ints


@dataclass(frozen=True, slots=True)
class LowestStep:
    """Of the responses with two steps or more: the shares whose lowest step is the first, and the last; and the mean
    place of the lowest step, from 0 for the first to 1 for the last. The first of equal steps counts."""

    first: float
    last: float
    place: float


class LowestSteps:
    """Counts where the lowest steps of responses lie, part by part."""

    def __init__(self) -> None:
        self._responses = self._first = self._last = 0
        self._places: list[float] = []

    def add(self, flat: Floats, lengths: Ints) -> None:
        """Count step rewards, float [S], of responses with ``lengths`` steps, int [R]."""
        several = lengths > 1
        if not several.any():
            return
        flat, lengths = flat[np.repeat(several, lengths)], lengths[several]
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        index = np.arange(len(flat)) - np.repeat(starts, lengths)
        is_lowest = flat == np.repeat(np.minimum.reduceat(flat, starts), lengths)
        place = np.minimum.reduceat(np.where(is_lowest, index, len(flat)), starts)
        last = lengths - 1
        self._responses += len(lengths)
        self._first += int((place == 0).sum())
        self._last += int((place == last).sum())
        self._places.append(float((place / last).sum()))

    def found(self) -> LowestStep | None:
        """What all of them say; None where no response has two steps."""
        n = self._responses
        return LowestStep(self._first / n, self._last / n, fsum(self._places) / n) if n else None
