"""What a verifier says of two answers, whichever of them is the gold one."""

from __future__ import annotations

from bonbench.verifiers.math import MathVerifier


def assert_same(verifier: MathVerifier, pred: str, gold: str) -> None:
    (forwards, reason), (backwards, _) = verifier.verify([(pred, gold), (gold, pred)])
    assert forwards and backwards, reason


def assert_different(verifier: MathVerifier, pred: str, gold: str) -> None:
    (forwards, _), (backwards, _) = verifier.verify([(pred, gold), (gold, pred)])
    assert not forwards and not backwards
