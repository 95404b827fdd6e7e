"""Which rollouts are trained on: nested shares of the problems, near-duplicates, balance between right and wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

Balance = Literal["none", "dataset", "instruction"]

_GRAM = 8  # words


def share_of(problem_ids: Iterable[str], share: float, seed: int | str) -> set[str]:
    """A share of the problems, at least one of them.

    They are taken from the front of an order by a seeded hash of their ids, so a smaller share is contained in a larger
    one, and which problem comes before which does not depend on the others there are.
    """
    ordered = sorted(set(problem_ids), key=lambda p: hashlib.blake2b(f"{seed}\0{p}".encode()).digest())
    return set(ordered[: max(1, round(share * len(ordered)))])


def near_duplicates(problems: Sequence[str], texts: Sequence[str], share: float) -> list[bool]:
    """Whether each text repeats an earlier one to the same problem.

    A text is cut into words at white space; its 8-grams are the distinct runs of 8 consecutive words (a shorter text
    is one gram). It is a near-duplicate if at least ``share`` of its 8-grams occur in one earlier text to the same
    problem that is not itself a near-duplicate. The paper says of its de-duplicated set only that 8-grams decide.

    Args:
        problems: the problem of each text; a problem's texts are compared in the order given.
        share: in (0, 1]; at 1 only texts that add no 8-gram are near-duplicates.
    """
    distinct: dict[str, list[set[tuple[str, ...]]]] = {}  # the grams of texts that are no near-duplicates
    repeats = []
    for problem, text in zip(problems, texts, strict=True):
        words = text.split()
        grams = {tuple(words[i : i + _GRAM]) for i in range(max(1, len(words) - _GRAM + 1))}
        earlier = distinct.setdefault(problem, [])
        duplicate = any(len(grams & other) >= share * len(grams) for other in earlier)
        if not duplicate:
            earlier.append(grams)
        repeats.append(duplicate)
    return repeats


def balanced(problems: Sequence[int], correct: Sequence[bool], balance: Balance, seed: int) -> list[int]:
    """Indices of the rollouts that are left, in increasing order.

    Args:
        problems: the problem of each rollout, as an integer.
        correct: whether each is right.
        balance: "dataset" drops from the larger of the two classes, over all problems, until they are equal;
            "instruction" does so within every problem, and so drops the problems that are all right or all wrong;
            "none" keeps everything.
        seed: decides which are dropped.
    """
    rng = np.random.default_rng(seed)
    groups: dict[int, tuple[list[int], list[int]]] = {}
    for index, (problem, right) in enumerate(zip(problems, correct, strict=True)):
        group = groups.setdefault(0 if balance == "dataset" else problem, ([], []))
        group[0 if right else 1].append(index)
    if balance == "none":
        return list(range(len(problems)))
    left: list[int] = []
    for kinds in groups.values():
        size = min(map(len, kinds))
        for members in kinds:
            left += rng.permutation(members)[:size].tolist()
    return sorted(left)
