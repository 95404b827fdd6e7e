"""Gold answers as data sets write them."""

from __future__ import annotations


def gold_text(answer: str | int | float) -> str:
    """A gold answer as a text: what follows GSM8K's ``####``; a number in its shortest form.

    >>> gold_text("She has 3 * 6 = <<3*6=18>>18.\\n#### 18"), gold_text(2.0), gold_text("x = 5")
    ('18', '2', 'x = 5')
    """
    if isinstance(answer, float) and answer.is_integer():
        answer = int(answer)
    return after_hashes(str(answer)).strip()


def after_hashes(text: str) -> str:
    """What follows the last ``####`` of a worked solution; all of a text without any, as it stands."""
    _, hashes, answer = text.rpartition("####")
    return answer.strip() if hashes else text
