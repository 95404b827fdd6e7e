"""The parameters of what asks a language model behind a server."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from harness.core.params import Unkeyed
from harness.core.prompt import PromptParams
from harness.core.server.params import ServerParams

_ENDPOINTS = ("/chat/completions", "/completions")


class ModelServerParams(ServerParams):
    """Which server is asked, for which model, and how. The name of the model, not the address, identifies results."""

    model: str = Field(description="the name under which the server has the model")
    body: dict[str, Any] = Field({}, description="fields to add to every request (top_k: 20); null removes a field")

    @field_validator("base_url")
    @classmethod
    def _is_no_endpoint(cls, url: str) -> str:
        for endpoint in _ENDPOINTS:
            url = url.removesuffix(endpoint)
        return url

    @field_validator("body")
    @classmethod
    def _asks_for_one(cls, body: dict[str, Any]) -> dict[str, Any]:
        if body.get("n", 1) not in (None, 1):
            raise ValueError("n: every response is a request of its own: set sampling.n instead")
        return body


class OpenAIParams(PromptParams, ModelServerParams):
    """Parameters of an ``openai`` generator, with those of the prompt and of the server."""

    stop: tuple[str, ...] = Field((), description="strings that end a response and do not belong to it")
    keep_token_ids: bool = Field(False, description="ask for the sampled tokens, which vLLM's server returns")
    reasoning: Annotated[Literal["keep", "drop"], Unkeyed(("keep",))] = Field(
        "keep",
        description="thoughts that the server hands over beside the answer: keep puts them back before it, as "
        "<think>thoughts</think>, which is the text whose tokens are counted; drop leaves them out",
    )
    too_long: Annotated[Literal["skip", "error"], Unkeyed(("skip", "error"))] = Field(
        "skip",
        description="a prompt that leaves no room for a single token in what the model reads, as the server says: skip "
        "leaves its problem without responses, error stops the entry",
    )
