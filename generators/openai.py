"""Sampling from a server that speaks the OpenAI protocol: ``vllm serve``, llama.cpp, hosted models and others.

Every sample is one request with its own seed. Up to a bound, requests run side by side, those of several shards too:
so the server's queue does not drain at the end of each. Where the server says that prompt and response are more than
the model reads, the response is asked for at the length that is left, or the problem is left out. A request that fails
for good costs its own problem alone.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from bonbench.generators.openai_answers import Completion, prompt_tokens, read_completion
from bonbench.generators.openai_defaults import neutral_fields
from bonbench.generators.openai_params import OpenAIParams
from harness.core import shard_progress
from harness.core.components import Generator
from harness.core.errors import UserError
from harness.core.incomplete import Incomplete
from harness.core.prompt import conversation, raw_prompt
from harness.core.records import Problem, Response, Sampling
from harness.core.server.client import Client
from harness.core.server.failures import RequestFailed, ServerFailed
from harness.core.server.replies import is_too_long

_LIMIT = re.compile(
    r"(?:context length is|model length of|max_model_len|context size \()\D{0,3}(\d{1,12})", re.IGNORECASE
)
_LENGTHS = ("max_completion_tokens", "max_tokens")  # fields of a request that bound the response
#: Seeds of requests are below this. Some servers take 32 bits, with or without a sign, and refuse anything more.
_SEEDS = 2**31

_log = logging.getLogger("bonbench.openai")


class OpenAIGenerator(Generator[OpenAIParams]):
    """Samples through chat completions, or through completions where a ``template`` makes the prompt a raw one.

    Token counts are the server's (``usage``). The server decides what a seed means: with vLLM's server a seed decides
    the response, apart from rounding that differs between batches; other servers may ignore it. The seed of a request
    has the last 31 bits of the response's seed, which every server takes.

    Raises:
        Incomplete: where requests failed for good; with the server's words. Everything else was answered.
        UserError: when no server answers, or it would refuse every request.
    """

    Params = OpenAIParams
    unanswered_because = "the server says that the prompt is longer than the model reads"
    shards_at_once = 64

    def __init__(self, params: OpenAIParams, name: str = "") -> None:
        super().__init__(params, name)
        self._client = Client(params)
        self._neutral: asyncio.Task[Mapping[str, Any] | None] | None = None

    @classmethod
    def requests(cls, params: OpenAIParams, n_responses: int) -> int:
        return n_responses

    def generate(
        self, problems: Sequence[Problem], sampling: Sampling, seeds: Mapping[str, Sequence[int]]
    ) -> list[Response]:
        """As every generator; see above for what it raises.

        Raises:
            Incomplete: where requests failed for good.
        """
        n_done, n_asked = 0, len(problems) * sampling.n

        def finished() -> None:
            nonlocal n_done
            n_done += 1
            shard_progress.report(n_done, n_asked)

        shard_progress.report(0, n_asked)
        asking = _Asking(self._client, self.params, sampling)
        by_id = {problem.problem_id: problem for problem in problems}
        asks = {
            (id_, i): partial(self._sample, asking, problem, seeds[id_][i])
            for id_, problem in by_id.items()
            for i in range(sampling.n)
        }
        given, failed = self._client.wait_for(self._client.ask_all(asks, lambda key: key[0], finished))
        responses = [
            self._response(completion, *key, seeds[key[0]][key[1]])
            for key in asks
            if (completion := given.get(key)) is not None
        ]
        _tell_of_empty(responses)
        if failed:
            missing: dict[str, str] = {}
            for (id_, _), error in failed.items():
                missing.setdefault(id_, str(error))
            raise Incomplete(responses, {id_: missing[id_] for id_ in by_id if id_ in missing})
        return responses

    def responses_in_flight(self) -> int:
        return 2 * self.params.concurrency

    async def _sample(self, asking: _Asking, problem: Problem, seed: int) -> Completion | None:
        if self._neutral is None:
            self._neutral = asyncio.create_task(self._client.look("models", neutral_fields))
        try:
            neutral = await asyncio.shield(self._neutral)
        except ServerFailed:
            self._neutral = None
            raise
        return await asking.completion(self._request(problem.problem, asking.sampling, seed, neutral or {}), problem)

    def _request(self, problem: str, sampling: Sampling, seed: int, neutral: Mapping[str, Any]) -> dict[str, Any]:
        params = self.params
        body: dict[str, Any] = {
            "model": params.model,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": seed % _SEEDS,
            **neutral,
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

    def _response(self, completion: Completion, problem_id: str, sample: int, seed: int) -> Response:
        return Response(
            problem_id=problem_id,
            generator=self.name,
            sample=sample,
            text=completion.text,
            n_prompt_tokens=completion.n_prompt_tokens,
            n_tokens=completion.n_tokens,
            finish_reason=completion.finish_reason,
            seed=seed,
            token_ids=completion.token_ids,
        )


class _Asking:
    """The requests of one call: what is too long for the model is found out once for each problem."""

    def __init__(self, client: Client, params: OpenAIParams, sampling: Sampling) -> None:
        self._client, self._params, self.sampling = client, params, sampling
        self._rooms: dict[str, asyncio.Task[int]] = {}  # problem id -> tokens that are left for its responses

    async def completion(self, body: dict[str, Any], problem: Problem) -> Completion | None:
        """The response to a request; None where the prompt leaves no room for one."""
        try:
            return await self._post(body)
        except RequestFailed as refused:
            if not is_too_long(refused.answer):
                raise
            if problem.problem_id not in self._rooms:
                self._rooms[problem.problem_id] = asyncio.create_task(self._room(body, refused, problem))
        room = await asyncio.shield(self._rooms[problem.problem_id])
        return await self._post(_bounded(body, room)) if room else None

    async def _post(self, body: dict[str, Any]) -> Completion:
        params = self._params
        read = partial(
            read_completion,
            asked=body,
            keep_reasoning=params.reasoning == "keep",
            keep_token_ids=params.keep_token_ids,
        )
        return await self._client.post(self._path, body, read)

    @property
    def _path(self) -> str:
        return "chat/completions" if self._params.template is None else "completions"

    async def _room(self, body: dict[str, Any], refused: RequestFailed, problem: Problem) -> int:
        """The tokens that the model can write after the prompt of a refused request; 0 for none.

        A request for one token tells whether the prompt fits, and how long it is.

        Raises:
            UserError: for none, where ``too_long`` makes an error of it.
            RequestFailed: where the server does not say what it reads.
        """
        try:
            n_prompt = await self._client.post(self._path, _bounded(body, 1), prompt_tokens)
        except RequestFailed as error:
            if not is_too_long(error.answer):
                raise
            if self._params.too_long == "error":
                raise UserError(f"problem {problem.problem_id!r}: {error}") from error
            return 0
        limit = _LIMIT.search(refused.answer)
        if limit is None or not 0 < n_prompt < int(limit[1]):
            raise RequestFailed(f"{refused}: lower sampling.max_tokens") from refused
        return int(limit[1]) - n_prompt


def _bounded(body: Mapping[str, Any], n_tokens: int) -> dict[str, Any]:
    """A request for ``n_tokens`` tokens at most."""
    fields = [field for field in _LENGTHS if field in body] or ["max_tokens"]
    return {**body, **dict.fromkeys(fields, n_tokens)}


def _tell_of_empty(responses: Sequence[Response]) -> None:
    """Warn of responses whose tokens are counted and whose text never came."""
    empty = [r for r in responses if not r.text and r.n_tokens > 1]
    if empty:
        _log.warning(
            "%d responses have counted tokens and no text, the first to problem %r with %d tokens: the server keeps "
            "what the model thought to itself, or cuts it off: raise sampling.max_tokens",
            len(empty),
            empty[0].problem_id,
            empty[0].n_tokens,
        )
