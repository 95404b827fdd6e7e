"""Seeds of what is sampled."""

from __future__ import annotations

import hashlib


def response_seed(run_seed: int, generator: str, problem_id: str, sample: int) -> int:
    """The seed of one response: a 63-bit hash of its identity. So replicas and the order of work do not matter."""
    text = f"{run_seed}\0{generator}\0{problem_id}\0{sample}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
