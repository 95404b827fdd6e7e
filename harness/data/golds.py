"""Gold answers and ids as data sets write them."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

from harness.core.errors import UserError


def is_gold(value: Any) -> TypeGuard[str | int | float]:
    """Whether a value is an answer: a text or a number. NaN stands for nothing where a table has gaps, and is none."""
    return (isinstance(value, str | int) and not isinstance(value, bool)) or is_finite(value, float)


def is_finite(value: Any, of: type | tuple[type, ...] = (int, float)) -> bool:
    """Whether a value is a number of these types, not a truth value, that a float holds: no NaN, nothing infinite."""
    number: Any = value
    try:
        return isinstance(value, of) and not isinstance(value, bool) and math.isfinite(number)
    except OverflowError:  # an integer beyond the range of floats
        return False


def row_id(value: Any, where: str) -> str:
    """An id as a text; "" where there is none: null, an empty text, or NaN, which stands for null where a table has
    gaps. Such a table holds whole numbers as floats: 1.0 is the id 1.

    Raises:
        UserError: beginning with ``where``, for an id that is neither a text nor a number.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str) and not is_finite(value):
        raise UserError(f"{where}: an id is a text or a number (it is {str(value)[:60]})")
    return str(value)


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
