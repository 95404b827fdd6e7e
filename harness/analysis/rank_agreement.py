"""Do two numbers put reward models in the same order? Rank correlations, and what chance alone would give.

Arrays: k reward models; ``x`` float [..., k], ``y`` float [k].
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
from scipy.stats import rankdata

from harness.core.arrays import Floats

#: A rank correlation: (x, y) -> float [...], NaN where all of x, or all of y, are equal.
Correlation = Callable[[Floats, Floats], Floats]

_ALL_ORDERS = 8  # up to so many, every order is tried: 40,320 of them
_DRAWN_ORDERS = 9_999
_TAILS = (0.025, 0.975)


def spearman(x: Floats, y: Floats) -> Floats:
    """Spearman's rho: the correlation of ranks, equals sharing the mean of theirs: float [...] from x, float [..., k],
    and y, float [k]."""
    a, b = rankdata(x, axis=-1), rankdata(y)
    return _cosine(a - a.mean(axis=-1, keepdims=True), b - b.mean())


def kendall(x: Floats, y: Floats) -> Floats:
    """Kendall's tau-b (Kendall 1945): of the pairs, those in the same order minus those in the other one, over the
    geometric mean of the pairs that are no tie in x and of those that are none in y: float [...] from x, float
    [..., k], and y, float [k]."""
    first, second = np.triu_indices(len(y), 1)
    return _cosine(np.sign(x[..., first] - x[..., second]), np.sign(y[first] - y[second]))


def _cosine(a: Floats, b: Floats) -> Floats:
    lengths = np.sqrt((a**2).sum(axis=-1) * (b**2).sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine: Floats = np.where(lengths > 0, (a @ b) / lengths, np.nan)
    return cosine


def permutation_p(x: Floats, y: Floats, correlation: Correlation, seed: int) -> float:
    """How often orders of y, float [k], drawn at random agree or disagree with x, float [k], as strongly as y does.

    Exact up to 8 reward models, where every order is tried; else of 9,999 random orders and the one there is. NaN
    where the correlation does not exist.
    """
    observed = abs(float(correlation(x, y)))
    if np.isnan(observed):
        return float("nan")
    if len(y) <= _ALL_ORDERS:
        orders = np.array(list(permutations(range(len(y)))))
        return float((np.abs(correlation(x[orders], y)) >= observed - 1e-9).mean())
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(np.arange(len(y)), (_DRAWN_ORDERS, 1)), axis=1)
    reached = (np.abs(correlation(x[orders], y)) >= observed - 1e-9).sum()
    return float((1 + reached) / (1 + _DRAWN_ORDERS))


def drawn_interval(drawn: Floats, y: Floats, correlation: Correlation) -> tuple[float, float]:
    """The 2.5 and 97.5 percentiles of the correlation over bootstrap draws of x, float [draws, k].

    Draws without a correlation are left out. Noise in the draws pulls them towards 0, so the interval may reach lower
    than the correlation's own uncertainty would.
    """
    values = correlation(drawn, y)
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, _TAILS)
    return float(low), float(high)
