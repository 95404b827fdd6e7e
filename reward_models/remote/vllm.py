"""vLLM's server as what runs the model of a reward model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from bonbench.reward_models.reader import PartlyRead
from bonbench.reward_models.remote.memory import Memory
from bonbench.reward_models.text.pieces import Marked
from harness.core.components import ModelFacts
from harness.core.server.client import Client
from harness.core.server.failures import Unusable


class ServedClassifier:
    """A :class:`~bonbench.reward_models.reader.Reader`: a classifier behind vLLM's server, which gets token ids.

    Of one output the reward is the output, of two the probability of the second class, as vLLM's engine is read here.

    Args:
        model: its name at the server.
        config: its `transformers` config.
        limit: how many tokens of a text it reads.
        at_end: whether every text is read at one token, its last: /classify is asked, else /pooling.
    """

    def __init__(self, client: Client, model: str, config: Any, limit: int | None, at_end: bool) -> None:
        self.config, self.limit = config, limit
        self._client, self._model, self._at_end = client, model, at_end
        self._memory: Memory[tuple[tuple[int, ...], tuple[int, ...]], list[float]] = Memory(client)

    def facts(self) -> ModelFacts:
        return ModelFacts(self.config.to_dict(), "server", output_head=False)

    def rewards(self, readings: Sequence[Marked]) -> list[list[float]]:
        """The rewards of each text at the tokens at which it is read.

        Raises:
            PartlyRead: where requests failed for good, and others did not.
            ServerFailed: where the server is at fault.
        """
        keys = [(tuple(reading.ids), tuple(reading.reads)) for reading in readings]
        asks = {key: partial(self._ask, reading) for key, reading in zip(keys, readings, strict=True)}
        given, failed = self._memory.ask_all(asks)
        if failed:
            why = {place: str(failed[key]) for place, key in enumerate(keys) if key in failed}
            raise PartlyRead([given.get(key) for key in keys], why)
        return [given[key] for key in keys]

    async def _ask(self, reading: Marked) -> list[float]:
        # What follows the last token that is read need not be.
        ids = reading.ids[: reading.reads[-1] + 1]
        body = {"model": self._model, "input": ids, "use_activation": False}
        if self._at_end:
            return await self._client.post("classify", body, lambda answer: [_reward(_only(answer)["probs"])])
        body |= {"task": "token_classify", "encoding_format": "float"}
        places = list(reading.reads)
        return await self._client.post("pooling", body, lambda answer: _at_tokens(answer, places, len(ids)))


def _at_tokens(answer: Any, places: Sequence[int], n_ids: int) -> list[float]:
    """The rewards at some of the tokens. A server that was started with a step tag answers with these alone."""
    rows = _only(answer)["data"]
    if len(rows) not in (n_ids, len(places)):
        raise Unusable(
            f"{len(rows)} outputs for {n_ids} tokens, {len(places)} of which are asked for: start the server with "
            '--pooler-config \'{"task": "token_classify", "tok_pooling_type": "ALL"}\''
        )
    return [_reward(rows[place] if len(rows) == n_ids else rows[k]) for k, place in enumerate(places)]


def _only(answer: Any) -> Any:
    data = answer["data"]
    if len(data) != 1:
        raise Unusable(f"{len(data)} outputs for one text")
    return data[0]


def _reward(outputs: Any) -> float:
    values = [float(value) for value in (outputs if isinstance(outputs, list) else [outputs])]
    if len(values) not in (1, 2):
        raise Unusable(f"{len(values)} classes: one or two are expected")
    if not all(map(math.isfinite, values)):
        raise Unusable(f"an output that is no finite number: {values}")
    if len(values) == 1:
        return values[0]
    return 1 / (1 + math.exp(min(values[0] - values[1], 700.0)))


def score_body(model: str, problem: str, response: str) -> dict[str, Any]:
    """The request to /score for a problem and a response to it."""
    return {"model": model, "text_1": problem, "text_2": response, "use_activation": False}


def read_score(answer: Any) -> list[float]:
    """The one score of an answer of /score."""
    return [_reward(_only(answer)["score"])]
