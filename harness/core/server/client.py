"""A client of one HTTP server. Requests run side by side up to a bound, in one thread, whoever asks.

A request is tried again, with growing pauses, after a failure that may pass (a busy server, a lost connection, half an
answer). A refusal is not tried again. What fails at last is a :class:`RequestFailed`, which concerns that request
alone, or a :class:`ServerFailed`, which every other request would meet. Both have the server's words, without the key.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from harness.core import shard_progress
from harness.core.errors import UserError, one_line, shortened
from harness.core.server.failures import Passing, RequestFailed, ServerFailed, Unusable
from harness.core.server.params import ServerParams
from harness.core.server.replies import (
    failure_in,
    is_of_server,
    may_pass,
    parsed,
    retry_after,
    status_in,
    whole_characters,
    words_in,
    words_of,
)
from harness.core.server.secrets import key_in, shown_url, without_secrets
from harness.core.server.streamed import is_streamed, joined

if TYPE_CHECKING:
    import httpx2

_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_CONNECT_S = 10.0
_LOOK_S, _LOOKS = 10.0, 3  # for what a server tells of itself
_LONGEST_ANSWER = 256 * 2**20  # bytes
#: An answer that is not what was asked for was paid for: it is tried so often.
_TRIES_UNUSABLE = 3
#: So many unusable answers before the first usable one: the server speaks another protocol.
_UNUSABLE_AT_FIRST = 8
#: Requests about so many things failed before the first usable answer: it is not what they are about.
_ABOUT_AT_FIRST = 4
#: So many times the requests in flight fail in a row: the server is down, and no request to blame.
_FAILED_IN_A_ROW = 4

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Client:
    """A client of the server that ``params`` name. It is made and used in any thread.

    Args:
        headers: more headers of every request; secret ones are kept out of messages like the key.

    Raises:
        UserError: for a key that is no header, and proxies or certificates of the environment that cannot be used.
    """

    def __init__(self, params: ServerParams, headers: Mapping[str, str] | None = None) -> None:
        import httpx2

        self._params = params
        key = key_in(params.api_key_env)
        self._secrets = [key, *(headers or {}).values()]
        self._slots = asyncio.Semaphore(params.concurrency)
        self._answered = 0  # requests
        self._unusable = 0  # answers before the first usable one
        self._failed_in_a_row = 0
        self._failed_about: set[Hashable] = set()  # before the first usable answer
        try:
            self._http = httpx2.AsyncClient(
                headers={**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})},
                timeout=httpx2.Timeout(params.timeout_s, connect=min(params.timeout_s, _CONNECT_S), pool=None),
                limits=httpx2.Limits(max_connections=params.concurrency, max_keepalive_connections=params.concurrency),
            )
        except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
            raise UserError(self._shown(f"base_url: proxies or certificates do not work: {one_line(error)}")) from None
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_serve, args=(self._loop, self._http), name="requests", daemon=True).start()
        weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)

    @property
    def has_answered(self) -> bool:
        """Whether the server has given a usable answer yet."""
        return self._answered > 0

    def wait_for(self, asking: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine that asks through this client. Called in any thread but the client's own."""
        task = asyncio.run_coroutine_threadsafe(asking, self._loop)
        try:
            return task.result()
        finally:
            task.cancel()  # where this thread was interrupted

    async def post(self, path: str, body: Mapping[str, Any], read: Callable[[Any], T]) -> T:
        """What ``read`` makes of the JSON that the server answers to a body in JSON.

        ``path`` follows the address. ``read`` may raise :class:`Unusable`; a ValueError, LookupError, TypeError or
        AttributeError of it says that the answer is not one of the protocol.

        Raises:
            RequestFailed, ServerFailed: see above.
        """
        url, content, params = self._url(path), _as_json(body), self._params
        try:
            answer = await self._tried(lambda: self._try(url, content, read, params.timeout_s), params.tries)
        except (Passing, RequestFailed) as failed:
            raise self._judged(failed) from None
        self._answered += 1
        self._failed_in_a_row = 0
        shard_progress.waits_for("")
        return answer

    async def look(self, path: str, read: Callable[[Any], T]) -> T | None:
        """What ``read`` makes of something small that the server tells of itself; None where it does not tell it.

        Raises:
            ServerFailed: where no server answers.
        """
        url, most_s = self._url(path), min(self._params.timeout_s, _LOOK_S)
        try:
            return await self._tried(lambda: self._try(url, None, read, most_s), min(self._params.tries, _LOOKS))
        except Passing as failed:
            if failed.no_server:
                raise ServerFailed(str(failed)) from None
            return None
        except (RequestFailed, ServerFailed):
            return None

    async def ask_all(
        self,
        asks: Mapping[K, Callable[[], Awaitable[T]]],
        about: Callable[[K], Hashable] = lambda key: key,
        finished: Callable[[], None] = lambda: None,
    ) -> tuple[dict[K, T], dict[K, RequestFailed | ServerFailed]]:
        """Ask much side by side, of all callers at most ``concurrency`` at a time: what was given, and what failed.

        When the server fails, what is under way is finished, and nothing further is asked. Where the server has failed
        requests about four things, and has never given a usable answer, it is taken to be at fault.

        Args:
            asks: each calls :meth:`post`, once or one call after the other. :meth:`post` bounds nothing by itself.
            about: what a request is about, where several are about one thing.
            finished: called after each.

        Raises:
            ServerFailed: where nothing was given and the server is at fault.
            UserError: any error of ``asks`` but the two of the client.
        """
        given: dict[K, T] = {}
        failed: dict[K, RequestFailed | ServerFailed] = {}
        stop: list[ServerFailed] = []

        async def one(key: K, ask: Callable[[], Awaitable[T]]) -> None:
            try:
                async with self._slots:
                    if stop:
                        raise stop[0]
                    given[key] = await ask()
            except RequestFailed as error:
                failed[key] = error
            except ServerFailed as error:
                stop.append(error)
                failed[key] = error
            finished()

        try:
            async with asyncio.TaskGroup() as group:
                for key, ask in asks.items():
                    group.create_task(one(key, ask))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        if stop and not given:
            raise stop[0]
        if failed and not self.has_answered:
            self._failed_about |= {about(key) for key in failed}
            if len(self._failed_about) >= _ABOUT_AT_FIRST:
                raise ServerFailed(str(next(iter(failed.values()))))
        return given, failed

    async def _tried(self, ask: Callable[[], Awaitable[T]], tries: int) -> T:
        """What a request gives, after as many tries as it takes. Where no server answers it may be about to start, and
        gets the patience of ``params.tries``."""
        attempt = unusable = 0
        while True:
            attempt += 1
            try:
                return await ask()
            except Passing as failed:
                unusable += failed.is_unusable
                most = self._params.tries if failed.no_server else tries
                if attempt >= most or unusable >= _TRIES_UNUSABLE:
                    raise
                pause = min(_PAUSE_S * 2 ** min(attempt - 1, 10), _LONGEST_PAUSE_S) * random.uniform(0.5, 1)
                pause = max(pause, failed.wait_s)
                shard_progress.waits_for(f"{failed}: it is asked again in {pause:.0f} s")
                await asyncio.sleep(pause)

    def _judged(self, failed: Passing | RequestFailed) -> RequestFailed | ServerFailed:
        """Whether a request or the server is to blame for a failure."""
        self._failed_in_a_row += 1
        is_unusable = isinstance(failed, _Unwanted) or (isinstance(failed, Passing) and failed.is_unusable)
        self._unusable += is_unusable and not self.has_answered
        is_foreign = not self.has_answered and self._unusable >= _UNUSABLE_AT_FIRST
        is_down = self._failed_in_a_row >= _FAILED_IN_A_ROW * self._params.concurrency
        if is_foreign or is_down or (isinstance(failed, Passing) and failed.no_server):
            return ServerFailed(str(failed))
        return failed if isinstance(failed, RequestFailed) else RequestFailed(str(failed))

    async def _try(self, url: str, content: bytes | None, read: Callable[[Any], T], timeout_s: float) -> T:
        """One try of a request: POST with a content, GET without one."""
        import httpx2

        address, method = shown_url(url), "GET" if content is None else "POST"
        try:
            async with asyncio.timeout(timeout_s):
                headers = {"Content-Type": "application/json"} if content is not None else {}
                async with self._http.stream(method, url, content=content, headers=headers) as reply:
                    data = await _body(reply)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as failed:
            said = f"base_url: no server answers at {shown_url(self._params.base_url)}: {one_line(failed)}"
            raise Passing(self._shown(said), no_server=True) from None
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as failed:
            raise ServerFailed(self._shown(f"base_url: {address} cannot be asked: {one_line(failed)}")) from None
        except TimeoutError:
            raise Passing(f"{address} takes longer than timeout_s: {timeout_s:g} for an answer") from None
        except httpx2.HTTPError as failed:
            raise Passing(self._shown(f"{address}: {one_line(failed)}")) from None
        except _TooMuch:
            raise RequestFailed(f"{address} answers with more than {_LONGEST_ANSWER >> 20} MiB") from None
        if not reply.is_success:
            raise self._refusal(address, reply, data)
        return self._understood(address, reply, data, read)

    def _understood(self, address: str, reply: httpx2.Response, data: bytes, read: Callable[[Any], T]) -> T:
        """What ``read`` makes of a reply."""
        try:
            answer = joined(data) if is_streamed(data) else parsed(data)
            if (failure := failure_in(answer)) is not None:
                said = words_in(failure)
                raise self._failure(f"{address} answers with an error: {said}", status_in(failure), said, reply)
            return read(answer)
        except Unusable as failed:
            said = self._shown(f"{address}: {failed}")
            raise (Passing(said, is_unusable=True) if failed.passes else _Unwanted(said)) from None
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
            said = f"{address} gives an answer that is not one of its protocol: {shortened(words_of(data), 200)}"
            raise Passing(self._shown(said), is_unusable=True) from None

    def _refusal(self, address: str, reply: httpx2.Response, data: bytes) -> Exception:
        status, said = reply.status_code, words_of(data)
        where = reply.headers.get("Location")
        if reply.is_redirect and where:
            said = f"it sends on to {shown_url(whole_characters(where))}: make that the base_url"
        elif status == 404 and not urlsplit(self._params.base_url).path:
            said += self._params.hint_of_not_found
        elif status in (401, 403) and self._params.api_key_env:
            said += f" (the key is read from the environment variable {self._params.api_key_env})"
        return self._failure(f"{address} answers {status}: {said or reply.reason_phrase}", status, said, reply, data)

    def _failure(
        self, message: str, status: int, said: str, reply: httpx2.Response, data: bytes = b""
    ) -> Passing | ServerFailed | RequestFailed:
        message = self._shown(message)
        said += data[:10_000].decode("utf-8", "replace")
        if may_pass(status, said):
            return Passing(message, retry_after(reply.headers))
        return ServerFailed(message) if is_of_server(status, said) else RequestFailed(message, self._shown(said))

    def _url(self, path: str) -> str:
        parts = urlsplit(self._params.base_url)
        return parts._replace(path=f"{parts.path}/{path.lstrip('/')}" if path else parts.path).geturl()

    def _shown(self, text: str) -> str:
        """A text without the secrets, and without what would steer a terminal."""
        shown = without_secrets(text, self._secrets)
        return "".join(char if char.isprintable() else "\ufffd" for char in shown)


class _Unwanted(RequestFailed):
    """The server's answer is usable for nothing, and the next one would not be either."""


class _TooMuch(Exception):
    pass


def _serve(loop: asyncio.AbstractEventLoop, http: httpx2.AsyncClient) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.run_until_complete(http.aclose())
    loop.close()


async def _body(reply: httpx2.Response) -> bytes:
    data = bytearray()
    async for chunk in reply.aiter_bytes():
        data += chunk
        if len(data) > _LONGEST_ANSWER:
            raise _TooMuch
    return bytes(data)


def _as_json(body: Mapping[str, Any]) -> bytes:
    return whole_characters(json.dumps(body, ensure_ascii=False)).encode()
