"""The pocket problems as the vLLM tests use them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bonbench.experiments.pocket.world import PocketDataset, PocketParams
from bonbench.verifiers.math import MathParams, MathVerifier
from harness.core.records import Problem, Response


def problems(limit: int) -> list[Problem]:
    return PocketDataset(PocketParams(limit=limit)).load()


def seeds(problems: Sequence[Problem], n: int, run: int = 0) -> dict[str, list[int]]:
    """63-bit seeds, as the harness makes them: the highest bits are in use."""
    rng = np.random.default_rng(run)
    return {p.problem_id: [int(s) for s in rng.integers(2**62, 2**63, size=n)] for p in problems}


def correct(problems: Sequence[Problem], responses: Sequence[Response]) -> npt.NDArray[np.float64]:
    """Correctness [problems, samples]."""
    grades = MathVerifier(MathParams(), "math").grade(problems, responses)
    return np.array([g.correct for g in grades], dtype=float).reshape(len(problems), -1)


def z_of_difference(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Two-sample z of the means of [problems, samples] over the same problems, clustered by problem.

    The samples of one problem hang together, so the difference of each problem's means is one observation.
    """
    difference = a.mean(axis=1) - b.mean(axis=1)
    return float(difference.mean() / (difference.std(ddof=1) / np.sqrt(len(difference))))
