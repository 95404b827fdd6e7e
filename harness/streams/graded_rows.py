"""What a row to be graded says: its gold answers, and its answer or its response. Several keys may name each."""

from __future__ import annotations

from harness.data.golds import gold_text, is_gold
from harness.data.lines import Row

#: The keys of the gold answer and of the answer; the first that a row has counts.
GOLD = ("gold", "answer", "target")
ANSWER = ("pred", "prediction")


def golds(row: Row) -> list[str]:
    """The acceptable gold answers of a good row: one or several."""
    value = row[_key(row, GOLD)]
    return [gold_text(gold) for gold in (value if isinstance(value, list) else [value])]


def has_answer(row: Row) -> bool:
    """Whether a row has an answer rather than a response."""
    return _key(row, ANSWER) in row


def answer(row: Row) -> str | None:
    """The answer of a row that has one; None for null."""
    value = row[_key(row, ANSWER)]
    return None if value is None else str(value)


def complaint(row: Row) -> str:
    """What is wrong with a row, "" for a good one."""
    gold, value = row.get(_key(row, GOLD)), row.get(_key(row, ANSWER))
    if not is_gold(gold) and not (isinstance(gold, list) and gold and all(map(is_gold, gold))):
        return 'no "gold" (nor "answer" nor "target")'
    if "gold" not in row and "answer" in row and row.get("target", gold) != gold:
        return '"answer" and "target" differ: name the right one "gold"'
    if not has_answer(row) and not isinstance(row.get("response"), str):
        return 'neither "pred" (or "prediction") nor "response"'
    return "" if value is None or is_gold(value) else f'"{_key(row, ANSWER)}" is not a text'


def _key(row: Row, keys: tuple[str, ...]) -> str:
    return next((key for key in keys if key in row), keys[0])
