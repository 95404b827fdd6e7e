"""vLLM's engine in this process, stepped by one thread for callers in any thread.

The requests of all callers share its batches, so the engine drains only when nobody wants anything. It runs in this
process, so that nothing outlives a killed actor, and an engine that cannot start says why. All of vLLM runs in the one
thread: a library below it may keep settings by thread.
"""

from __future__ import annotations

import gc
import os
import queue
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

#: Where the user's environment does not say otherwise: the engine in this process, no chatter, no reports home.
_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
}
#: Requests that the engine holds, in units of what it computes at once. Those that wait cost nothing but memory.
_HELD = 2
#: How often a caller is woken for outputs at least, in times per call and in seconds.
_WAKES = 16
_WAKES_WITHIN_S = 1.0
#: Seconds in which a thread that is told to end has ended, or is left alone.
_ENDS_WITHIN_S = 60.0

#: A prompt's tokens, and vLLM's ``SamplingParams`` or ``PoolingParams``.
Request = tuple[Sequence[int], Any]


def settle_environment() -> None:
    """Say how vLLM is to behave. This comes before the first import of vLLM, which reads it."""
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)


class EngineDeadError(RuntimeError):
    """The engine failed, and computes nothing more. Whoever waits for it is told."""


class Engine:
    """``vllm.LLM`` for several threads.

    Attributes:
        model_config: vLLM's configuration of the model.
        responses_in_flight: unfinished requests that keep the engine busy: those that it computes at once, and as many
            that take their places.

    Raises:
        Exception: what ``vllm.LLM(**arguments)`` raises.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        settle_environment()
        self._inbox: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        started: Future[tuple[Any, int]] = Future()
        thread = threading.Thread(target=_run, args=(arguments, self._inbox, started), name="vllm", daemon=True)
        thread.start()
        self.model_config, at_once = started.result()
        self.responses_in_flight = _HELD * at_once
        weakref.finalize(self, _end, self._inbox, thread)

    def outputs(self, requests: Sequence[Request]) -> Iterator[tuple[int, Any]]:
        """(place of the request, vLLM's output), in the order in which requests finish.

        Where the caller does not take them all, the rest is not computed.

        Raises:
            EngineDeadError: where the engine fails, or has failed, whoever's request it was.
            Exception: for a request that vLLM refuses.
        """
        call = _Call(requests)
        self._inbox.put(call)
        try:
            while call.n_left:
                yield call.next()
        finally:
            if call.n_left:
                call.is_over = True
                self._inbox.put(call)


class _Call:
    """The requests of one caller. ``next`` is the caller's, all else the engine's thread's.

    A caller that wakes up takes the interpreter's lock from the engine's thread. So it is woken for some outputs at a
    time: for a share of its requests, or when the oldest has waited for a second.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self.waiting = deque(enumerate(requests))
        self.n_left = len(requests)  # that the caller has not taken
        self.is_over = False  # whether the caller has gone
        self.results: queue.SimpleQueue[list[tuple[int, Any]] | BaseException] = queue.SimpleQueue()
        self._taken: deque[tuple[int, Any]] = deque()
        self._finished: list[tuple[int, Any]] = []  # that the caller has not been woken for
        self._n_computed = len(requests)  # that are to finish still
        self._share = max(1, len(requests) // _WAKES)
        self._due = 0.0

    def next(self) -> tuple[int, Any]:
        if not self._taken:
            results = self.results.get()
            if isinstance(results, BaseException):
                raise results
            self._taken.extend(results)
        self.n_left -= 1
        return self._taken.popleft()

    def finish(self, place: int, output: Any) -> None:
        """A request is computed."""
        if not self._finished:
            self._due = time.monotonic() + _WAKES_WITHIN_S
        self._finished.append((place, output))
        self._n_computed -= 1

    def hand_over(self) -> bool:
        """Wake the caller where it is time to; whether nothing is left to hand over."""
        if self._finished and (
            len(self._finished) >= self._share or not self._n_computed or time.monotonic() >= self._due
        ):
            self.results.put(self._finished)
            self._finished = []
        return not self._finished


class _Stepper:
    """Gives the engine the requests of calls, first come, first served, and the callers their outputs."""

    def __init__(self, engine: Any, at_once: int) -> None:
        self._engine = engine
        self._most = _HELD * at_once
        self._calls: deque[_Call] = deque()  # with requests that the engine does not hold yet
        self._held: dict[str, tuple[_Call, int, str]] = {}  # by our id: whose, which, and the engine's own id
        self._finishing: set[_Call] = set()  # with outputs that their callers have not been woken for
        self._count = 0

    @property
    def is_idle(self) -> bool:
        return not self._held and not self._calls

    def take(self, call: _Call) -> None:
        """Take a call in; one that is over is let go."""
        if call.is_over:
            self._let_go(call)
        elif call.waiting:
            self._calls.append(call)

    def step(self) -> None:
        """Give the engine what it can hold, and let it compute one step."""
        while self._calls and len(self._held) < self._most:
            self._add(self._calls[0])
        if not self._held:
            return
        for output in self._engine.step():
            if output.finished and (held := self._held.pop(output.request_id, None)):
                call, place, _ = held
                call.finish(place, output)
                self._finishing.add(call)
        self._finishing = {call for call in self._finishing if not call.hand_over()}

    def fail(self, error: BaseException) -> None:
        """Tell everyone who waits."""
        for call in {*self._calls, *(call for call, _, _ in self._held.values())}:
            call.results.put(_dead(error))
        self._calls.clear()
        self._held.clear()

    def _add(self, call: _Call) -> None:
        from vllm.inputs import tokens_input

        place, (tokens, params) = call.waiting.popleft()
        if not call.waiting:
            self._calls.popleft()
        self._count += 1
        id_ = str(self._count)
        try:
            own_id = self._engine.add_request(id_, tokens_input(list(tokens)), params)
        except Exception as refused:  # this caller's mistake: the others go on
            call.results.put(refused)
            self._let_go(call)
        else:
            self._held[id_] = call, place, own_id

    def _let_go(self, call: _Call) -> None:
        held = {id_: own_id for id_, (whose, _, own_id) in self._held.items() if whose is call}
        for id_ in held:
            del self._held[id_]
        if held:
            self._engine.abort_request(list(held.values()), internal=True)
        if call in self._calls:
            self._calls.remove(call)
        self._finishing.discard(call)


def _run(
    arguments: Mapping[str, Any], inbox: queue.SimpleQueue[_Call | None], started: Future[tuple[Any, int]]
) -> None:
    """What the engine's thread does."""
    try:
        from vllm import LLM

        llm = LLM(**arguments)
        at_once = llm.llm_engine.vllm_config.scheduler_config.max_num_seqs
    except BaseException as error:
        started.set_exception(error)
        return
    started.set_result((llm.model_config, at_once))
    stepper = _Stepper(llm.llm_engine, at_once)
    try:
        _serve(stepper, inbox)
        stepper.fail(RuntimeError("it was ended"))
    except BaseException as error:
        stepper.fail(error)
        while (call := inbox.get()) is not None:
            call.results.put(_dead(error))
    del llm, stepper
    gc.collect()  # the model's memory, before the thread is over


def _serve(stepper: _Stepper, inbox: queue.SimpleQueue[_Call | None]) -> None:
    """Until the inbox has None: then nobody is left who could wait."""
    while True:
        while stepper.is_idle or not inbox.empty():
            call = inbox.get()
            if call is None:
                return
            stepper.take(call)
        stepper.step()


def _dead(error: BaseException) -> EngineDeadError:
    # Only the text of its traceback: the frames have the engine, and would keep it alive beside the next one. vLLM
    # would then end the next one's process groups along with it.
    dead = EngineDeadError(f"vLLM's engine failed: {type(error).__name__}: {error}")
    dead.add_note("".join(traceback.format_exception(error)))
    return dead


def _end(inbox: queue.SimpleQueue[_Call | None], thread: threading.Thread) -> None:
    inbox.put(None)
    if thread is not threading.current_thread():  # where the garbage collector happens to work
        thread.join(_ENDS_WITHIN_S)
