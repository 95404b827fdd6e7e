"""Keys: hashes of everything that determines a stored result."""

from __future__ import annotations

import hashlib
import json
from typing import Any

SCHEMA_VERSION = 2  # enters every key: raise it when the columns of a record change meaning


def digest(*parts: Any) -> str:
    """The key of a result that the parts determine: SHA-256 of the parts as JSON in canonical form."""
    text = json.dumps([SCHEMA_VERSION, *parts], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
