"""Which rollouts are trained on."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonbench.reward_models.training.mismatched import partners
from bonbench.reward_models.training.subsets import balanced, near_duplicates, share_of
from harness.core.errors import UserError


def test_shares_are_nested_and_stable() -> None:
    ids = [f"p{i}" for i in range(40)]
    quarter, half, whole = (share_of(ids, share, 0) for share in (0.25, 0.5, 1.0))
    assert [len(quarter), len(half), len(whole)] == [10, 20, 40]
    assert quarter < half < whole
    assert share_of(reversed(ids * 2), 0.25, 0) == quarter
    assert share_of(ids, 0.25, 1) != quarter
    assert len(share_of(ids, 0.001, 0)) == 1
    # A problem more or less moves no other one past another.
    assert share_of(ids[1:], 1.0, 0) == whole - {"p0"}
    assert len(share_of(ids[1:], 10 / 39, 0) - quarter) <= 1


def plain_overlap(text: str, other: str) -> float:
    """Share of the distinct 8-grams of ``text`` that are in ``other``, by string search."""
    words = text.split()
    grams = {" ".join(words[i : i + 8]) for i in range(len(words)) if i + 8 <= len(words)} or {" ".join(words)}
    theirs = other.split()
    found = [g for g in grams if any(" ".join(theirs[i : i + len(g.split())]) == g for i in range(len(theirs)))]
    return len(found) / len(grams)


def test_near_duplicates() -> None:
    text = "a b c d e f g h i j"  # 3 grams
    spaced = text.replace(" f", "\n\nf")
    texts = [text, "x " + text, text + " y z", spaced, "short one", "short one", text]
    problems = ["p"] * 6 + ["q"]
    assert near_duplicates(problems, texts, 0.7) == [False, True, False, True, False, True, False]
    assert near_duplicates(problems, texts, 0.6) == [False, True, True, True, False, True, False]
    assert near_duplicates(problems, texts, 1.0) == [False, False, False, True, False, True, False]
    assert near_duplicates(problems[:4], texts[:4], 1.0)[3]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_near_duplicates_by_brute_force(share: float) -> None:
    rng = random.Random(0)
    stock = [" ".join(rng.choices("abc", k=rng.randint(9, 14))) for _ in range(4)]
    texts = [
        rng.choice(stock)[: rng.randint(17, 30)].strip() + " " + " ".join(rng.choices("abcd", k=rng.randint(0, 6)))
        for _ in range(60)
    ]
    kept: list[str] = []
    expected = []
    for text in texts:
        duplicate = len(text.split()) >= 8 and any(plain_overlap(text, other) >= share for other in kept)
        expected.append(duplicate)
        if not duplicate:
            kept.append(text)
    assert near_duplicates(["p"] * 60, texts, share) == expected
    assert 0 < sum(expected) < 60


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=40), st.integers(0, 3))
def test_balance(rollouts: list[tuple[int, bool]], seed: int) -> None:
    problems, correct = [p for p, _ in rollouts], [c for _, c in rollouts]
    assert balanced(problems, correct, "none", seed) == list(range(len(rollouts)))
    left = balanced(problems, correct, "dataset", seed)
    smaller = min(sum(correct), len(correct) - sum(correct))
    assert sum(correct[i] for i in left) == sum(not correct[i] for i in left) == smaller
    kinds = {True: correct.count(True), False: correct.count(False)}
    for i, right in enumerate(correct):
        assert i in left or kinds[right] > smaller  # nothing of the smaller class is dropped
    left = balanced(problems, correct, "instruction", seed)
    for p in set(problems):
        rights, wrongs = ([i for i in range(len(rollouts)) if rollouts[i] == (p, kind)] for kind in (True, False))
        kept = [sum(i in left for i in group) for group in (rights, wrongs)]
        assert kept == [min(len(rights), len(wrongs))] * 2
    assert left == sorted(set(left)) == balanced(problems, correct, "instruction", seed)


def test_balance_is_drawn() -> None:
    drawn = {tuple(balanced([0] * 9, [True] + [False] * 8, "dataset", seed)) for seed in range(40)}
    assert len(drawn) > 4


@given(st.lists(st.integers(0, 4), min_size=2, max_size=30), st.integers(0, 5))
def test_partners(problems: list[int], seed: int) -> None:
    if len(set(problems)) < 2:
        with pytest.raises(UserError, match="only one problem"):
            partners(problems, seed)
        return
    found = partners(problems, seed)
    assert all(problems[i] != problems[j] for i, j in enumerate(found))
    assert found == partners(problems, seed)


def test_partners_are_spread() -> None:
    """With distinct problems every response is used once; and the order decides who meets whom, not the position."""
    found = partners(list(range(50)), 0)
    assert sorted(found) == list(range(50))
    assert found != partners(list(range(50)), 1)
    assert sum(j == i + 1 for i, j in enumerate(found)) < 10
