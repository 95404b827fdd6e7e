"""From graded rollouts to training examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def pair_up(problems: Sequence[int], correct: Sequence[bool], kind: Literal["all", "one"], seed: int) -> Indices:
    """Pairs of a correct and an incorrect rollout of one problem, as rollout indices [pairs, 2].

    Args:
        problems: the problem of each rollout, as an integer; equal ones need not be adjacent.
        correct: whether each rollout is right.
        kind: "all" makes every correct x incorrect pair; "one" gives each correct rollout one incorrect
            counterpart, drawn so that counterparts are used equally often.
        seed: decides the counterparts.

    Returns:
        The pairs, a problem's together, problems in order of first appearance. Problems whose rollouts are
        all right or all wrong have none.
    """
    rng = np.random.default_rng(seed)
    members: dict[int, tuple[list[int], list[int]]] = {}
    for index, (problem, right) in enumerate(zip(problems, correct, strict=True)):
        members.setdefault(problem, ([], []))[0 if right else 1].append(index)
    pairs: list[tuple[int, int]] = []
    for rights, wrongs in members.values():
        if kind == "all":
            pairs += [(right, wrong) for right in rights for wrong in wrongs]
        elif wrongs:
            shuffled = rng.permutation(wrongs)
            pairs += [(right, int(shuffled[i % len(wrongs)])) for i, right in enumerate(rights)]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
