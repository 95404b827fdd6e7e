"""Which reward model of which server is asked, for what, and where its answer is."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from harness.core.params import OwnAggregation, Runtime, StepsParams, TokenizerPath, TooLong
from harness.core.prompt import PROMPT, Asked
from harness.core.server.params import ServerParams
from harness.core.terms import ScoreType

#: Parameters that are about one way to ask alone.
_OF_JSON = ("path", "request", "answer", "per", "batch", "score_type", "about")
_OF_TOKENS = ("tokenizer", "convention", *sorted(PROMPT - {"user_template"}))


class RemoteParams(ServerParams, Asked, StepsParams):
    """Parameters of :class:`~bonbench.reward_models.remote.model.RemoteRewardModel`.

    Neither the address nor a secret identifies results: the name and version of the model do, as the server reports
    them.
    """

    hint_of_not_found: ClassVar[str] = ""

    base_url: Runtime[str] = Field("http://localhost:8000", description="the address of the server")
    api_key_env: Runtime[str] = Field(
        "", description="environment variable that holds the key, which is sent as a bearer token; empty: none is sent"
    )
    headers: Runtime[dict[str, str]] = Field(
        {}, description="more headers: the name of each, and the environment variable that holds its value"
    )
    api: Literal["json", "vllm-classify", "vllm-pooling", "vllm-score"] = Field(
        "json",
        description="json: path, request and answer say how it is asked. Of vLLM's server: /classify for a model that "
        "rewards a response, /pooling for one that rewards steps, /score for one that compares two texts",
    )
    model: str | None = Field(None, description="the name under which the server has the model; null: its only one")
    tokenizer: TokenizerPath | None = Field(
        None,
        description="for vllm-classify and vllm-pooling: a folder or hub id with the model's tokenizer and config. The "
        "server gets tokens, laid out as for the same model here",
    )
    convention: str | None = Field(
        None, description="how solutions are laid out, as for a model here (`bonbench list sequence-classifier`)"
    )
    too_long: TooLong = "skip"
    path: str = Field("", description="what follows the address, for instance /score")
    request: dict[str, Any] = Field(
        {"prompt": "{problem}", "response": "{response}"},
        description="the body of a request in JSON. {problem}, {response} and {model} stand for these wherever they "
        "are in a text, {steps} for the list of steps; {problems} and {responses} for lists, of several solutions",
    )
    answer: str = Field(
        "score", description="where the answer has the score: keys and places with dots between them, as data.0.score"
    )
    per: Literal["response", "step"] = Field(
        "response", description="step: the answer has a list with a number for each step of the response"
    )
    batch: Runtime[int] = Field(16, ge=1, description="solutions of a request that has {problems} and {responses}")
    score_type: ScoreType = Field("unbounded", description="what the numbers are")
    coefficient: float = Field(1.0, gt=0, description="scales a score before the sigmoid of weighted voting")
    aggregation: OwnAggregation = None
    about: Runtime[str | None] = Field(
        None,
        description="a path that answers what model the server has, and its version, in JSON. All of that is in the "
        "key of the scores. vLLM's server is asked in any case",
    )
    version: str | None = Field(
        None, description="what else tells this model from others; give another one where the model changes"
    )
    served: Annotated[dict[str, Any] | None, Field(description="what the server says of its model: a run asks it")] = (
        None
    )

    @field_validator("headers")
    @classmethod
    def _names_of_variables(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, variable in headers.items():
            if not variable.replace("_", "").isalnum() or variable[:1].isdigit():
                # It may be the secret itself, so it is not repeated.
                raise ValueError(f"{name}: the name of an environment variable is expected, which holds the value")
        return headers

    @model_validator(mode="after")
    def _of_one_api(self) -> RemoteParams:
        fields = type(self).model_fields
        given = {name for name in (*_OF_JSON, *_OF_TOKENS) if getattr(self, name) != fields[name].default}
        reads_tokens = self.api in ("vllm-classify", "vllm-pooling")
        for name in _OF_JSON:
            if self.api != "json" and name in given:
                raise ValueError(f"{name} is for api: json")
        for name in _OF_TOKENS:
            if not reads_tokens and name in given:
                raise ValueError(f"{name} is for api: vllm-classify and vllm-pooling")
        if reads_tokens and self.tokenizer is None:
            raise ValueError(f"tokenizer: missing: api: {self.api} sends tokens, for instance of the model's hub id")
        if self.too_long == "truncate" and not reads_tokens:
            raise ValueError("too_long: truncate is for api: vllm-classify and vllm-pooling")
        if self.splitter() is not None and self.api != "vllm-pooling" and self.per == "response":
            raise ValueError("steps: it has one reward for a response: set per: step, or leave steps out")
        if self.api != "json" and self.base_url.endswith("/v1"):
            raise ValueError("base_url: vLLM has its reward models beside /v1: leave that out")
        return self

    @property
    def says_what_it_serves(self) -> bool:
        """Whether the server is asked what model it has."""
        return self.api != "json" or self.about is not None
