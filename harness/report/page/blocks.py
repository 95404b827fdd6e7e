"""Compressed JSON inside an HTML page, decoded by its script when it is asked for."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np

from harness.core.arrays import Floats


def encode_block(value: Any) -> str:
    """JSON, deflated, in base64: what ``readBlock`` in ``templates/page.js`` reads. Same value, same text."""
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")


def decode_block(block: str) -> Any:
    """The value in a block of :func:`encode_block`."""
    return json.loads(zlib.decompress(base64.b64decode(block)))


def rounded(values: Floats, digits: int) -> Floats:
    """Values to so many significant digits, such that each prints as short as that: float [R] to float [R].

    Below 1e-20 they count as 0.
    """
    with np.errstate(divide="ignore"):
        powers = digits - 1 - np.floor(np.log10(np.abs(values)))
    powers = np.clip(powers, -300, 22)
    # Dividing by an exact power of ten gives the float nearest to the decimal, multiplying by its inverse does not.
    up, down = 10.0 ** np.maximum(powers, 0), 10.0 ** np.maximum(-powers, 0)
    short: Floats = np.rint(values * up / down) / up * down + 0.0
    return short
