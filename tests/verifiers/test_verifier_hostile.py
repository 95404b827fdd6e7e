"""Hostile answers: every one is answered, nothing is executed, nothing is printed."""

from __future__ import annotations

import pytest
from hostile_answers import GOLDS, HOSTILE

from bonbench.verifiers.math import MathParams, MathVerifier
from bonbench.verifiers.reading.tokens import clean


@pytest.fixture(scope="module")
def verifier() -> MathVerifier:
    return MathVerifier(MathParams(timeout_s=0.3))


def test_corpus_is_large() -> None:
    assert len(set(HOSTILE)) >= 150


@pytest.mark.parametrize("answer", HOSTILE, ids=range(len(HOSTILE)))
def test_answered(verifier: MathVerifier, answer: str, capfd: pytest.CaptureFixture[str]) -> None:
    verifier.extract(answer)
    verifier.extract(f"The answer is {answer}")
    gold = GOLDS[0]
    (correct, reason), (back, _) = verifier.verify([(answer, gold), (gold, answer)])
    assert reason not in ("", "error")
    # Invisible marks and other scripts' digits aside, none of them is 42.
    assert not (correct or back) or "".join(c for c in clean(answer) if c.isalnum()) in ("42", "٤٢")
    output = capfd.readouterr()
    assert output.out == output.err == ""


def test_nothing_was_executed(verifier: MathVerifier) -> None:
    from pathlib import Path

    assert not Path("/tmp/owned").exists()
