"""Several shards at a time: when a worker has room for another one, and whose the seconds are."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from harness.core.shard_progress import report
from harness.engine import in_flight
from harness.engine.in_flight import InFlight, Intake, News
from harness.engine.shared_clock import Lap, SharedClock


def test_there_is_room_while_less_is_unfinished_than_keeps_it_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "_NEWS_S", 0.0)
    worker = InFlight()

    def has_room(ticket: int) -> bool:
        (answer,) = {worker.watch(ticket, had_room, 10).has_room for had_room in (False, True)}
        return answer

    with worker.shard(1):
        assert not has_room(1), "its responses are not asked for yet"
        report(0, 8)
        assert has_room(1)
        assert not has_room(2), "the second shard is on its way"
        with worker.shard(2):
            assert not has_room(2)
            report(0, 8)
            assert not has_room(2)
            report(6, 8)
            assert not has_room(2), "10 are unfinished"
            report(7, 8)
            assert has_room(2)
            assert worker.watch(2, False, 10).done == {1: 0.0, 2: 7 / 8}
        assert has_room(2)
    with pytest.raises(ValueError), worker.shard(3):
        raise ValueError
    assert has_room(3)


def test_the_driver_gives_another_shard_once_the_last_one_has_arrived() -> None:
    async def books() -> None:
        asked: asyncio.Queue[tuple[int, bool]] = asyncio.Queue()
        answers: asyncio.Queue[News | None] = asyncio.Queue()
        changed = asyncio.Event()

        async def ask(ticket: int, had_room: bool) -> News | None:
            asked.put_nowait((ticket, had_room))
            return await answers.get()

        async def hear(news: News) -> None:
            changed.clear()
            answers.put_nowait(news)
            await changed.wait()

        intake = Intake(2, ask, changed.set)
        assert intake.takes_another
        first = intake.begin(100)
        assert not intake.takes_another
        assert await asked.get() == (first, False)
        await hear(News(True, True, {first: 0.25}))
        assert intake.takes_another and intake.responses_done == 25
        assert await asked.get() == (first, True)
        second = intake.begin(10)
        await hear(News(True, True, {first: 0.5}))  # about the time before the second shard
        assert not intake.takes_another and intake.responses_done == 50
        assert await asked.get() == (second, False)
        await hear(News(True, True, {first: 0.5, second: 0.5}))
        assert not intake.takes_another, "two is the most"
        intake.end(first)
        assert intake.takes_another and intake.responses_done == 5
        third = intake.begin(10, is_alone=True)
        await hear(News(True, True, {}))
        await asked.get()
        await hear(News(True, True, {}))
        intake.end(second)
        assert not intake.takes_another, "it is to be alone"
        intake.end(third)
        assert intake.takes_another
        intake.close()

    asyncio.run(books())


def test_each_second_is_shared_by_the_shards_under_way() -> None:
    """Against a plain count, second by second, of shards that begin and end at random whole seconds."""
    rng = random.Random(0)
    spans = [(begin, begin + rng.randint(0, 9)) for begin in (rng.randint(0, 40) for _ in range(30))]
    expected = [0.0] * len(spans)
    busy = 0
    for second in range(60):
        under_way = [i for i, (begin, end) in enumerate(spans) if begin <= second < end]
        busy += bool(under_way)
        for i in under_way:
            expected[i] += 1 / len(under_way)
    now = [0.0]
    clock = SharedClock(lambda: now[0])
    contexts = [clock.lap() for _ in spans]
    laps: list[Lap | None] = [None] * len(spans)
    for second, i in itertools.product(range(60), range(len(spans))):
        now[0] = 100.0 + second
        if spans[i][0] == second:
            laps[i] = contexts[i].__enter__()
        if spans[i][1] == second:
            contexts[i].__exit__(None, None, None)
    seconds = [lap.seconds for lap in laps if lap is not None]
    assert seconds == pytest.approx(expected)
    assert sum(seconds) == pytest.approx(busy)
