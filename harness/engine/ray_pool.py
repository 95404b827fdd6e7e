"""The replicas of a component, each a Ray actor.

A replica that cannot start takes no shard: it is tried again a few times and then left out. A shard that failed meets
another replica the next time, where there is one.

A replica whose component batches several shards together has as many as keep it busy (:mod:`harness.engine.in_flight`).
If its process dies, all of them are tried again. Nobody knows then whose fault it was: so the last try of each is on a
replica that has nothing else, and no shard is given up for another one's fault.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Any

from ray.exceptions import RayError

from harness.core.errors import UserError, one_line
from harness.core.params import Mark
from harness.core.stages import Task
from harness.engine.executor import ShardFailed, StageFailed
from harness.engine.failures import breaks_process
from harness.engine.in_flight import Intake, News
from harness.engine.progress import Line
from harness.engine.ray_actors import Actors, node_of
from harness.engine.ray_room import TURN, free_on_ray, waiting_for_room
from harness.engine.ray_training import DIED
from harness.engine.room import Room, Seat
from harness.engine.tasks import Result
from harness.engine.worker import NotBuilt
from harness.experiment.spec import Spec

TRIES = 3  # attempts at a shard before it is given up
#: Seconds before each further try at a replica that failed before it finished any shard. Then it is left out.
START_PAUSES_S = (2.0, 20.0)
#: Seconds before each further try at a replica whose start met what passes by itself: ten minutes in all.
TRANSIENT_PAUSES_S = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 285.0)


class _State(Enum):
    WAITING = auto()  # for room
    STARTING = auto()
    LOADING = auto()
    PAUSING = auto()
    READY = auto()
    DONE = auto()  # no shard is left for it
    OUT = auto()


_COMING = (_State.STARTING, _State.LOADING)


class _Replica:
    """The place of one replica, whose actor may change."""

    def __init__(self) -> None:
        self.state = _State.WAITING
        self.seat: Seat | None = None
        self.actor: Any = None
        self.intake: Intake | None = None  # of this actor, once its component is built
        self.joining: asyncio.Task[None] | None = None
        self.is_proven = False  # whether this actor has finished a shard
        self.has_failed = False  # whether this actor has failed a shard
        self.failures = 0  # in a row, without a finished shard in between
        self.last = NotBuilt("")  # why it failed last

    @property
    def shards(self) -> int:
        """How many shards it has now."""
        return len(self.intake) if self.intake else 0

    @property
    def is_idle(self) -> bool:
        return self.state is _State.READY and not self.shards

    @property
    def may_take_soon(self) -> bool:
        if self.state is _State.READY:
            return self.intake is not None and self.intake.may_take_another
        return self.state in _COMING

    @property
    def takes_another(self) -> bool:
        return self.state is _State.READY and self.intake is not None and self.intake.takes_another

    def clear(self) -> None:
        """Its actor is another one's, or no more."""
        if self.intake is not None:
            self.intake.close()
        self.actor = self.seat = self.intake = None


@dataclass(eq=False)
class _Asker:
    """A shard that waits for a replica.

    Attributes:
        failed_on: the replicas that already failed on it.
        is_alone: whether it is to be alone on its replica.
    """

    n_responses: int
    failed_on: set[_Replica] = field(default_factory=set)
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """What a shard has got: a replica, its actor of the moment, and the shard's ticket there."""

    replica: _Replica
    actor: Any
    intake: Intake
    ticket: int


class ActorPool:
    """Replicas of a component. Use as an async context; :meth:`run` takes a replica that has room, or waits for one.

    Args:
        is_shared: whether the actors may go on with another component when the context ends.
        shards: how many shards will be run, if that is known. Then there are never more replicas than shards left, and
            what the last shards do not need is there for other stages.
        at_once: shards that a replica takes at a time.
    """

    def __init__(
        self,
        spec: Spec[Any],
        size: int,
        room: Room,
        place: int,
        line: Line,
        actors: Actors,
        is_shared: bool = False,
        shards: int | None = None,
        at_once: int = 1,
    ) -> None:
        self._spec, self._room, self._place, self._line = spec, room, place, line
        self._actors, self._is_shared, self._at_once = actors, is_shared, at_once
        self._replicas = [_Replica() for _ in range(size)]
        self._waiting: dict[asyncio.Future[_Place], _Asker] = {}  # in order
        self._joining: set[asyncio.Task[None]] = set()
        self._left = math.inf if shards is None else shards  # shards that are not done
        self._says_loaded = True
        self._last_error: UserError | StageFailed | None = None

    async def __aenter__(self) -> ActorPool:
        for replica in self._replicas:
            self._start(replica)
        return self

    async def __aexit__(self, error: object, *_: object) -> None:
        for joining in list(self._joining):
            joining.cancel()
        await asyncio.gather(*self._joining, return_exceptions=True)
        for replica in self._replicas:
            if error is None and replica.is_idle and not replica.has_failed:
                self._leave(replica)
            else:
                self._stop(replica)

    def waits_for(self) -> str | None:
        """What the pool waits for; None where a replica has nothing to do."""
        states = Counter(replica.state for replica in self._replicas)
        if any(replica.is_idle for replica in self._replicas):
            return None
        if busy := sum(replica.shards for replica in self._replicas):
            why = next((f": {r.intake.waits}" for r in self._replicas if r.intake and r.intake.waits), "")
            return f"{busy} shard{'s are' if busy > 1 else ' is'} being computed{why}"
        if states[_State.LOADING]:
            return "its replica loads"
        size = self._spec.pool.num_cpus, self._spec.pool.num_gpus
        if states[_State.STARTING]:
            return waiting_for_room(*size, free_on_ray(), "its process starts, as soon as one node has room for it")
        if states[_State.WAITING]:
            return waiting_for_room(*size, self._room.free(), TURN)
        failed = next((r.last.message for r in self._replicas if r.state is _State.PAUSING), "")
        return f"its replica did not start and is tried again: {failed}"

    async def run(self, task: Task, payload: Callable[[], Mapping[str, Any]], n_responses: int) -> Result:
        """Run one shard; its ``payload`` is read when a replica is free to take it.

        Raises:
            UserError: a mistake of the user's that only the component could see.
            StageFailed: where no replica is left.
            ShardFailed: after ``TRIES`` attempts.
        """
        try:
            result = await self._run(task, payload, n_responses)
        except ShardFailed:
            self._count_down()
            raise
        self._count_down()
        return result

    async def _run(self, task: Task, payload: Callable[[], Mapping[str, Any]], n_responses: int) -> Result:
        asker, has_died = _Asker(n_responses), False
        error: BaseException | None = None
        for tries_left in reversed(range(TRIES)):
            asker.is_alone = has_died and self._at_once > 1 and not tries_left
            place = await self._take(asker)
            replica = place.replica
            try:
                result: Result = await place.actor.run.remote(task, payload(), place.ticket)
            except RayError as failed:
                error = getattr(failed, "cause", None) or failed
                self._write_down(replica, str(failed))
                asker.failed_on.add(replica)
                if replica.actor is place.actor:
                    replica.has_failed = True
                is_broken = isinstance(failed, DIED) or breaks_process(error) or isinstance(error, MemoryError)
                has_died |= is_broken
                if is_broken or (replica.shards == 1 and self._nothing_else_for(asker.failed_on)):
                    self._replace(place, error)
                if isinstance(error, UserError):
                    raise UserError(f"{self._spec.where}: {error}") from None
            else:
                if replica.actor is place.actor:
                    replica.is_proven, replica.failures = True, 0
                return result
            finally:
                self._give_back(place)
        assert error is not None
        raise ShardFailed(one_line(error))

    # -- who takes which replica --------------------------------------------------------------------------------

    async def _take(self, asker: _Asker) -> _Place:
        waiter: asyncio.Future[_Place] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = asker
        self._match()
        return await waiter

    def _give_back(self, place: _Place) -> None:
        place.intake.end(place.ticket)
        self._match()

    def _match(self) -> None:
        """Give replicas that have room to the shards that wait: to each one that has not failed on it, if there is one,
        and of those to the one with the fewest shards."""
        ready = {replica for replica in self._replicas if replica.state is _State.READY}
        if not ready and not self._joining:
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_exception(self._last_error or StageFailed("no replica is left"))
            self._waiting.clear()
        for waiter, asker in list(self._waiting.items()):
            if waiter.done():  # whoever waited was cancelled
                del self._waiting[waiter]
                continue
            free = [replica for replica in self._replicas if replica.takes_another and self._may_take(replica)]
            if not free:
                break
            usable = [r for r in free if r not in asker.failed_on] or ([] if ready - asker.failed_on else free)
            if asker.is_alone:
                usable = [replica for replica in usable if not replica.shards]
            if usable:
                del self._waiting[waiter]
                replica = min(usable, key=lambda r: r.shards)
                assert replica.intake is not None
                ticket = replica.intake.begin(asker.n_responses, asker.is_alone)
                waiter.set_result(_Place(replica, replica.actor, replica.intake, ticket))

    def _may_take(self, replica: _Replica) -> bool:
        """Whether a replica is to have one more shard. Others that load, or have one on its way, are to get a share."""
        if not replica.shards or not any(other.may_take_soon for other in self._replicas):
            return True
        takers = sum(other.state in (*_COMING, _State.READY) for other in self._replicas)
        unfinished = len(self._waiting) + sum(other.shards for other in self._replicas)
        return replica.shards < math.ceil(unfinished / takers)

    def _has_news(self) -> None:
        self._line.under_way(sum(r.intake.responses_done for r in self._replicas if r.intake))
        self._match()

    def _count_down(self) -> None:
        """A shard is done. Let go the replicas for which none is left: those that wait for room, then those that start,
        then free ones."""
        self._left -= 1
        joining = [r for r in self._live() if r.joining in self._joining and r.state is not _State.READY]
        for replica in sorted(joining, key=lambda replica: replica.state is not _State.WAITING):
            if len(self._live()) > self._left and replica.joining:
                replica.joining.cancel()
                self._stop(replica)
                replica.state = _State.DONE
        idle = [replica for replica in self._replicas if replica.is_idle]
        while len(self._live()) > max(self._left, 1) and idle and not self._waiting:
            replica = idle.pop()
            replica.state = _State.DONE
            if replica.has_failed:
                self._stop(replica)
            else:
                self._leave(replica)

    def _live(self) -> list[_Replica]:
        return [replica for replica in self._replicas if replica.state not in (_State.DONE, _State.OUT)]

    def _nothing_else_for(self, failed_on: set[_Replica]) -> bool:
        """Whether a shard could have met another replica, had that not been let go."""
        others = any(replica not in failed_on for replica in self._live())
        return not others and any(replica.state is _State.DONE for replica in self._replicas)

    # -- how replicas start and end -----------------------------------------------------------------------------

    def _start(self, replica: _Replica) -> None:
        """Have a replica join in the background: with a node gone, its place may stay empty until another comes."""
        joining = replica.joining = asyncio.create_task(self._join(replica))
        self._joining.add(joining)
        joining.add_done_callback(self._joined)

    def _joined(self, joining: asyncio.Task[None]) -> None:
        self._joining.discard(joining)
        if not joining.cancelled() and (bug := joining.exception()):
            self._last_error = StageFailed(one_line(bug))
        self._match()

    def _replace(self, place: _Place, error: BaseException) -> None:
        """Have another actor in the place of one that is of no use any more. All shards that it had come here."""
        replica = place.replica
        if replica.actor is not place.actor or replica.state is not _State.READY:
            return
        replica.state = _State.WAITING
        if not replica.is_proven and replica.shards == 1:  # else it starts again at once: some shard may be to blame
            replica.failures += 1
        replica.last = NotBuilt(one_line(error))
        self._start(replica)

    async def _join(self, replica: _Replica) -> None:
        """Start an actor and let it take work once its component is built; give up after some tries."""
        transient = iter(TRANSIENT_PAUSES_S)
        self._stop(replica)
        while replica.failures <= len(START_PAUSES_S):
            if replica.failures:
                replica.state = _State.PAUSING
                await asyncio.sleep(START_PAUSES_S[replica.failures - 1])
            failure = await self._begin(replica)
            if failure is not None:
                self._write_down(replica, failure.traceback or failure.message)
            if failure is None:
                replica.state, replica.is_proven, replica.has_failed = _State.READY, False, False
                replica.intake = Intake(self._at_once, partial(_ask, replica.actor), self._has_news)
                self._match()
                return
            replica.state, replica.last = _State.PAUSING, failure
            self._stop(replica)
            self._match()  # no share is kept for it now
            pause = next(transient, None) if failure.is_transient else None
            if pause is not None:
                await asyncio.sleep(pause)
            elif failure.is_mistake or failure.is_transient:
                break
            else:
                replica.failures += 1
        self._leave_out(replica)

    def _write_down(self, replica: _Replica, failure: str) -> None:
        self._line.failed(self._replicas.index(replica), failure)

    async def _begin(self, replica: _Replica) -> NotBuilt | None:
        """Place a replica's actor and build its component; why there is none, where there is none."""
        spec, pool = self._spec, self._spec.pool
        replica.state = _State.WAITING
        threads = self._at_once + 2 if self._at_once > 1 else 1  # the others are for questions
        seat = await self._room.take(self._place, pool.num_cpus, pool.num_gpus, wants=self._spec.component)
        replica.state, replica.seat = _State.STARTING, seat
        replica.actor, is_loaded = self._actors.take_over(seat, self._spec.component, threads)
        if is_loaded and self._says_loaded:
            self._says_loaded = False
            self._line.say("goes on with what a stage before it had loaded")
        try:
            self._room.moved(seat, [await replica.actor.__ray_call__.remote(node_of)])
            replica.state = _State.LOADING
            built: NotBuilt | None = await replica.actor.build.remote(spec.kind, spec.type_, _params(spec), spec.name)
        except RayError as error:
            return NotBuilt(one_line(error))
        return built

    def _stop(self, replica: _Replica) -> None:
        """End a replica's actor, or make sure that it is dead, and give back what it held."""
        if replica.actor is not None and replica.seat is not None:
            self._actors.end(replica.actor, replica.seat, is_reusable=False)
            self._room.give_back(replica.seat)
            replica.clear()

    def _leave(self, replica: _Replica) -> None:
        """Lend a replica's actor on, or end it."""
        if replica.actor is not None and replica.seat is not None:
            self._actors.leave(replica.actor, replica.seat, self._spec.component, self._is_shared)
            replica.clear()

    def _leave_out(self, replica: _Replica) -> None:
        replica.state, error = _State.OUT, replica.last
        mistake = UserError(f"{self._spec.where}: {error.message}") if error.is_mistake else None
        self._last_error = mistake or StageFailed(error.message)
        done = [other for other in self._replicas if other.state is _State.DONE]
        if done and not self._live():
            done[0].state = _State.WAITING
            self._start(done[0])
        if self._live():
            self._line.say(f"a replica does not start and is left out: {error.message}")


async def _ask(actor: Any, ticket: int, had_room: bool) -> News | None:
    """News of an actor; None where it has died: those who wait for its shards hear of that too."""
    try:
        news: News = await actor.watch.remote(ticket, had_room)
    except RayError:
        return None
    return news


def _params(spec: Spec[Any]) -> dict[str, Any]:
    """A component's parameters. Workers of a cluster run in a folder of their own, where a relative path means another
    file."""
    paths = (spec.paths(Mark.MODEL) | spec.paths(Mark.DATA)).items()
    return spec.loads.model_dump() | {f: str(Path(p).resolve()) for f, p in paths if Path(p).exists()}
