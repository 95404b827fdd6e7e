"""Sampling from a server that speaks the OpenAI protocol: ``vllm serve``, llama.cpp, hosted models and others.

Every sample is one request with its own seed. Up to a bound, requests run side by side, those of several shards too:
so the server's queue does not drain at the end of each. A request is tried again, with
growing pauses, after a failure that may pass (a busy server, a lost connection). Where the server says that prompt and
response are more than the model reads, the response is asked for at the length that is left, or the problem is left
out. Any other failure (a wrong name, say) ends the run.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import threading
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

from harness.core import shard_progress
from harness.core.components import ComponentParams, Generator, Runtime, Unkeyed
from harness.core.errors import UserError, shortened
from harness.core.prompt import PromptParams, conversation, raw_prompt
from harness.core.records import Problem, Response, Sampling

if TYPE_CHECKING:
    import httpx2

_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_LONGEST_WAIT_S = 600.0  # that a server may ask for
_PASSING = {408, 409, 425, 429}  # status codes of failures that may pass, as all 5xx do
#: What servers answer where prompt and response are longer than the model reads: hosted models and vLLM's server (whose
#: words change with its version), llama.cpp's.
_TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|longer than the maximum model length"
    r"|exceed_context_size_error|exceeds the available context size",
    re.IGNORECASE,
)
_LIMIT = re.compile(r"(?:context length is|model length of|context size \()\D{0,3}(\d+)", re.IGNORECASE)
_LENGTHS = ("max_completion_tokens", "max_tokens")  # fields of a request that bound the response


class ServerParams(ComponentParams):
    """Which server is asked, for which model, and how. The name of the model, not the address, identifies results."""

    model: str = Field(description="the name under which the server has the model")
    base_url: Runtime[str] = Field("http://localhost:8000/v1", description="the address of an OpenAI-compatible server")
    api_key_env: Runtime[str] = Field(
        "OPENAI_API_KEY", description="environment variable that holds the key, where the server wants one"
    )
    concurrency: Runtime[int] = Field(64, ge=1, description="requests in flight at most, per replica")
    timeout_s: Runtime[float] = Field(600, gt=0, description="seconds that each try of a request may take")
    tries: Runtime[int] = Field(8, ge=1, description="how often a request is tried")
    body: dict[str, Any] = Field({}, description="fields to add to every request (top_k: 20); null removes a field")

    @field_validator("base_url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("an address is expected, for instance http://localhost:8000/v1")
        return url.rstrip("/")


class OpenAIParams(PromptParams, ServerParams):
    """Parameters of :class:`OpenAIGenerator`, with those of the prompt and of the server."""

    stop: tuple[str, ...] = Field((), description="strings that end a response and do not belong to it")
    keep_token_ids: bool = Field(False, description="ask for the sampled tokens, which vLLM's server returns")
    too_long: Annotated[Literal["skip", "error"], Unkeyed(("skip", "error"))] = Field(
        "skip",
        description="a prompt that leaves no room for a single token in what the model reads, as the server says: skip "
        "leaves its problem without responses, error stops the entry",
    )


class _TooLong(UserError):
    """The server says that prompt and response are longer than the model reads: ``limit`` tokens, where it says so."""

    def __init__(self, message: str, answer: str) -> None:
        super().__init__(message)
        match = _LIMIT.search(answer)
        self.limit = int(match[1]) if match else None


class OpenAIGenerator(Generator[OpenAIParams]):
    """Samples through chat completions, or through completions where a ``template`` makes the prompt a raw one.

    Token counts are the server's (``usage``). The server decides what a seed means: with vLLM's server a seed decides
    the response, apart from rounding that differs between batches; other servers may ignore it.

    Raises:
        UserError: when no server answers, or the server refuses a request for good; with the server's words.
    """

    Params = OpenAIParams
    unanswered_because = "the server says that the prompt is longer than the model reads"
    shards_at_once = 64

    def __init__(self, params: OpenAIParams, name: str = "") -> None:
        super().__init__(params, name)
        self._slots = asyncio.Semaphore(params.concurrency)
        self._loop = asyncio.new_event_loop()  # of all shards, whose requests share the slots
        threading.Thread(target=_serve, args=(self._loop,), name="requests", daemon=True).start()
        weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)

    def generate(
        self, problems: Sequence[Problem], sampling: Sampling, seeds: Mapping[str, Sequence[int]]
    ) -> list[Response]:
        generating = asyncio.run_coroutine_threadsafe(self._generate(problems, sampling, seeds), self._loop)
        try:
            return generating.result()
        finally:
            generating.cancel()  # where this thread was interrupted

    def responses_in_flight(self) -> int:
        return 2 * self.params.concurrency

    async def _generate(
        self, problems: Sequence[Problem], sampling: Sampling, seeds: Mapping[str, Sequence[int]]
    ) -> list[Response]:
        import httpx2

        params = self.params
        key = os.environ.get(params.api_key_env)
        rooms: dict[str, asyncio.Task[int]] = {}  # problem id -> tokens that are left for its responses

        async def ask(body: dict[str, Any]) -> dict[str, Any]:
            async with self._slots:
                return await self._ask(client, body)

        async def sample(problem: Problem, index: int) -> Response | None:
            seed = seeds[problem.problem_id][index]
            body = self._request(problem.problem, sampling, seed)
            try:
                answer = await ask(body)
            except _TooLong as refused:
                if problem.problem_id not in rooms:
                    rooms[problem.problem_id] = group.create_task(self._room(ask, body, refused, problem))
                room = await rooms[problem.problem_id]
                if room == 0:
                    return None
                answer = await ask(_bounded(body, room))
            return self._response(answer, problem, index, seed)

        n_done, n_asked = 0, len(problems) * sampling.n

        async def finish(problem: Problem, index: int) -> Response | None:
            nonlocal n_done
            response = await sample(problem, index)
            n_done += 1
            shard_progress.report(n_done, n_asked)
            return response

        shard_progress.report(0, n_asked)
        async with httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(params.timeout_s, connect=min(params.timeout_s, 10)),
            limits=httpx2.Limits(max_connections=params.concurrency, max_keepalive_connections=params.concurrency),
        ) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(finish(p, i)) for p in problems for i in range(sampling.n)]
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
        responses = (task.result() for task in tasks)
        return [response for response in responses if response is not None]

    async def _room(
        self,
        ask: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]],
        body: dict[str, Any],
        refused: _TooLong,
        problem: Problem,
    ) -> int:
        """The tokens that the model can write after the prompt of a refused request; 0 for none.

        A request for one token tells whether the prompt fits, and how long it is.

        Raises:
            UserError: for none, where ``too_long`` makes an error of it; where the server does not say what it reads.
        """
        try:
            answer = await ask(_bounded(body, 1))
        except _TooLong as error:
            if self.params.too_long == "error":
                raise UserError(f"problem {problem.problem_id!r}: {error}") from error
            return 0
        n_prompt = (answer.get("usage") or {}).get("prompt_tokens", 0)
        if refused.limit is None or not 0 < n_prompt < refused.limit:
            raise UserError(f"problem {problem.problem_id!r}: {refused}: lower sampling.max_tokens") from refused
        return int(refused.limit - n_prompt)

    def _request(self, problem: str, sampling: Sampling, seed: int) -> dict[str, Any]:
        params = self.params
        body: dict[str, Any] = {
            "model": params.model,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": seed,
        }
        if params.template is None:
            body["messages"] = conversation(params, problem)
        else:
            body["prompt"] = raw_prompt(params, problem)
        if params.stop:
            body["stop"] = list(params.stop)
        if params.keep_token_ids:
            body["return_token_ids"] = True
        return {field: value for field, value in {**body, **params.body}.items() if value is not None}

    async def _ask(self, client: httpx2.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
        """The server's answer to one request, after as many tries as it takes."""
        import httpx2

        params = self.params
        url = f"{params.base_url}/{'chat/completions' if params.template is None else 'completions'}"
        for attempt in range(params.tries):
            asked_to_wait = 0.0
            try:
                reply = await client.post(url, json=body)
                if reply.is_success:
                    answer = reply.json()
                    if answer["choices"][0]["finish_reason"] not in (None, "abort", "error"):
                        return answer  # type: ignore[no-any-return]
                    error: Exception = RuntimeError(f"{url} gave up on a response half-way")
                else:
                    error = RuntimeError(f"{url} answers {reply.status_code}: {_message(reply)}")
                    if reply.is_client_error and _TOO_LONG.search(reply.text):
                        raise _TooLong(str(error), reply.text)
                    if not _may_pass(reply):
                        raise UserError(str(error) + _hint(reply.status_code, params.api_key_env))
                    asked_to_wait = _retry_after(reply)
            except httpx2.ConnectError as failed:
                error = UserError(f"base_url: no server answers at {params.base_url}: {failed}")
            except httpx2.TransportError as failed:
                error = RuntimeError(f"{url}: {type(failed).__name__} {failed}".rstrip())
            except (ValueError, LookupError, TypeError) as failed:
                error = RuntimeError(f"{url} gives an answer that is not one of its protocol: {failed}")
            if attempt + 1 < params.tries:
                pause = min(_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S) * random.uniform(0.5, 1)
                await asyncio.sleep(max(pause, asked_to_wait))
        raise error

    def _response(self, answer: dict[str, Any], problem: Problem, sample: int, seed: int) -> Response:
        choice, usage = answer["choices"][0], answer.get("usage") or {}
        text = choice["text"] if self.params.template is not None else choice["message"]["content"]
        if "completion_tokens" not in usage:
            raise UserError(f"{self.params.base_url} does not say how many tokens a response took (`usage`)")
        if self.params.keep_token_ids and choice.get("token_ids") is None:
            raise UserError(f"{self.params.base_url} returns no token ids: remove keep_token_ids")
        return Response(
            problem_id=problem.problem_id,
            generator=self.name,
            sample=sample,
            text=text or "",
            n_prompt_tokens=usage.get("prompt_tokens", 0),
            n_tokens=usage["completion_tokens"],
            finish_reason=choice["finish_reason"] if choice["finish_reason"] in ("stop", "length") else "",
            seed=seed,
            token_ids=tuple(choice["token_ids"]) if self.params.keep_token_ids else None,
        )


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _bounded(body: Mapping[str, Any], n_tokens: int) -> dict[str, Any]:
    """A request for ``n_tokens`` tokens at most."""
    fields = [field for field in _LENGTHS if field in body] or ["max_tokens"]
    return {**body, **dict.fromkeys(fields, n_tokens)}


def _may_pass(reply: httpx2.Response) -> bool:
    """Whether the same request may succeed later. A hosted account without credit answers 429 for ever."""
    return (reply.status_code in _PASSING or reply.is_server_error) and "insufficient_quota" not in reply.text


def _message(reply: httpx2.Response) -> str:
    """What the server says is wrong, in one line."""
    text = reply.text
    try:
        body = reply.json()
        text = body.get("error", body.get("detail", text))
        text = text.get("message", text) if isinstance(text, dict) else text
    except (ValueError, AttributeError):
        pass
    return shortened(str(text)) or reply.reason_phrase


def _hint(status: int, api_key_env: str) -> str:
    return f" (the key is read from the environment variable {api_key_env})" if status in (401, 403) else ""


def _retry_after(reply: httpx2.Response) -> float:
    """Seconds that the server asks to wait: a number or a date."""
    value = reply.headers.get("Retry-After", "")
    try:
        seconds = float(value) if value.isdigit() else parsedate_to_datetime(value).timestamp() - time()
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), _LONGEST_WAIT_S)
