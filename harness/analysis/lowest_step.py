"""Where in a response a reward model finds its lowest step reward, which is the response's score by ``min``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.core.arrays import Floats, Ints


@dataclass(frozen=True, slots=True)
class LowestStep:
    """Of the responses with two steps or more: the shares whose lowest step is the first, and the last; and the mean
    place of the lowest step, from 0 for the first to 1 for the last. The first of equal steps counts."""

    first: float
    last: float
    place: float


def lowest_step(flat: Floats, lengths: Ints) -> LowestStep | None:
    """From step rewards, float [S], of responses with ``lengths`` steps, int [R]; None where none has two steps."""
    several = lengths > 1
    if not several.any():
        return None
    flat, lengths = flat[np.repeat(several, lengths)], lengths[several]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    index = np.arange(len(flat)) - np.repeat(starts, lengths)
    is_lowest = flat == np.repeat(np.minimum.reduceat(flat, starts), lengths)
    place = np.minimum.reduceat(np.where(is_lowest, index, len(flat)), starts)
    last = lengths - 1
    return LowestStep(float((place == 0).mean()), float((place == last).mean()), float((place / last).mean()))
