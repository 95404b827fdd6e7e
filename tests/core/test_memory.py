"""Work that is halved where memory is too short, with memory that no machine has."""

from __future__ import annotations

import pytest

from harness.core.memory import halving

PEBIBYTE = 2**50


def test_it_is_halved_until_it_fits(caplog: pytest.LogCaptureFixture) -> None:
    def work(rows: int) -> int:
        return len(bytes(rows if rows <= 5 else rows * PEBIBYTE))

    assert halving(work, 40, least=3, unit="rows", who="m") == (5, 5)
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        f"m: memory is short, it takes {n} rows at once from now on" for n in (20, 10, 5)
    ]


def test_what_does_not_fit_at_all_is_named() -> None:
    with pytest.raises(MemoryError, match=r"^m has too little memory even for 3 rows at once: MemoryError$"):
        halving(lambda rows: bytes(rows * PEBIBYTE), 40, least=3, unit="rows", who="m")


def test_other_errors_are_not_tried_again() -> None:
    tried = []

    def work(rows: int) -> None:
        tried.append(rows)
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="device-side"):
        halving(work, 40, least=1, unit="rows", who="m")
    assert tried == [40]
