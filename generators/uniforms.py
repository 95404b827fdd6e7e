"""Uniform random numbers addressed by (seed, position).

A sampled response must depend on its seed alone, not on the other rows of its batch. So no generator has a state: the
number for position t of the response with seed s is a hash of (s, t), computed for a whole batch at once. The hash is
SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014), started from the mixed seed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def seed_array(seeds: Sequence[int]) -> npt.NDArray[np.uint64]:
    """The low 64 bits of integer seeds of any size, [seeds]."""
    return np.array([seed & 0xFFFF_FFFF_FFFF_FFFF for seed in seeds], dtype=np.uint64)


def uniforms(seeds: npt.NDArray[np.uint64], position: int) -> npt.NDArray[np.float64]:
    """One number in [0, 1) per seed, with 53 random bits, for one token position: [seeds] -> [seeds]."""
    offset = np.uint64(((position + 1) * int(_GOLDEN)) & 0xFFFF_FFFF_FFFF_FFFF)
    bits = _mix(_mix(seeds + _GOLDEN) + offset)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
