"""Keys: what determines a stored result, hashed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

SCHEMA_VERSION = 2  # enters every key: raise it when the columns of a record change meaning


def digest(*parts: Any) -> str:
    """SHA-256 of JSON-serialisable parts in canonical form: the key of whatever they determine."""
    text = json.dumps([SCHEMA_VERSION, *parts], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
