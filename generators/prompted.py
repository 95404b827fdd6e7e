"""What a sampler does with prompts of any length: which fit the model, how much may follow them, which are left out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from bonbench.generators.prompts import Codec
from bonbench.generators.tokenizers import tokenizer_of
from harness.core.chat_template import Refused
from harness.core.components import Generator
from harness.core.errors import UserError
from harness.core.hub_models import config_file
from harness.core.params import ModelPath, Unkeyed
from harness.core.prompt import Day, PromptParams, conversation, raw_prompt
from harness.core.records import Problem, Response, Sampling, Solution
from harness.data.documents import read_json

#: What becomes of a prompt that leaves no room for a response. No stored shard was made from such a prompt, cut or not:
#: a run used to stop at the first one.
TooLongPrompt = Annotated[
    Literal["skip", "error", "truncate"],
    Unkeyed(("skip", "error")),
    Field(
        description="a prompt that leaves no room for a single token in what the model reads: skip leaves its problem "
        "without responses, error stops the entry, truncate reads the end of the prompt"
    ),
]


class PromptedParams(PromptParams):
    """Parameters of the samplers that hold the model themselves."""

    model: ModelPath = Field(description="a folder in `transformers` format or a hub id")
    date: Day = None
    too_long: TooLongPrompt = "skip"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A problem as a sampler is given it.

    Attributes:
        ids: token ids of the prompt, and of the beginning of the response where there is one.
        max_tokens: how many tokens may follow. The beginning counts as part of the response.
    """

    problem: Problem
    ids: list[int]
    max_tokens: int


def fitting(
    codec: Codec,
    params: PromptedParams,
    limit: int | None,
    problems: Sequence[Problem],
    beginnings: Sequence[str],
    max_tokens: int,
) -> list[Prompt]:
    """The prompts that fit the ``limit`` tokens that a model reads, with at least one token after them.

    A problem that the chat template refuses, where it takes others, has no prompt.

    What would go past the limit is taken off ``max_tokens``. A prompt that leaves no room at all is left out, unless
    ``params.too_long`` is ``truncate``. Then its end is kept: as much as leaves room for the response, or half of what
    the model reads where the response may be longer than that.

    Args:
        beginnings: of the response to each problem; "" for none.

    Raises:
        UserError: at the first prompt without room, or problem refused, where ``params.too_long`` is ``error``; for a
            chat template that refuses any problem.
    """
    lengths: dict[str, int] = {}
    prompts = []
    for problem, beginning in zip(problems, beginnings, strict=True):
        try:
            ids = codec.encode(problem.problem, beginning)
        except Refused as refused:
            if params.too_long == "error":
                raise UserError(f"{refused} (problem {problem.problem_id!r}); let too_long be skip") from None
            continue
        if problem.problem not in lengths:
            lengths[problem.problem] = len(codec.encode(problem.problem)) if beginning else len(ids)
        wanted = max(max_tokens - (len(ids) - lengths[problem.problem]), 1)
        if limit is not None and len(ids) >= limit:
            if params.too_long == "skip":
                continue
            if params.too_long == "error":
                raise UserError(
                    f"{params.model} reads {limit} tokens, the prompt of problem {problem.problem_id!r} has "
                    f"{len(ids)} and leaves no room for a response: let too_long be skip or truncate"
                )
            ids = codec.end(ids, limit - min(wanted, limit // 2))
        prompts.append(Prompt(problem, ids, wanted if limit is None else min(wanted, limit - len(ids))))
    return prompts


def beginnings(
    codec: Codec, limit: int | None, problems: Sequence[Problem], prefixes: Sequence[str]
) -> dict[int, list[int]]:
    """The tokens of prompts with the beginnings of their responses, by place, the longest first. What is longer than
    the ``limit`` that a model reads has its end; what the chat template refuses is not there."""
    ids: dict[int, list[int]] = {}
    for place, (problem, prefix) in enumerate(zip(problems, prefixes, strict=True)):
        with contextlib.suppress(Refused):
            ids[place] = codec.encode(problem.problem, prefix)
            if limit is not None and len(ids[place]) >= limit:
                ids[place] = codec.end(ids[place], limit - 1)
    return dict(sorted(ids.items(), key=lambda item: -len(item[1])))


P = TypeVar("P", bound=PromptedParams)

#: More tokens than a chat template puts around a turn, its own system prompt included.
_TURN_TOKENS = 128


class PromptedGenerator(Generator[P]):
    """Base of the samplers that can continue the beginning of a response. To sample is to continue the empty one."""

    unanswered_because = "the prompt is longer than the model reads, or the chat template refuses the problem"

    def generate(
        self, problems: Sequence[Problem], sampling: Sampling, seeds: Mapping[str, Sequence[int]]
    ) -> list[Response]:
        return self.complete(problems, [""] * len(problems), sampling, seeds)

    @classmethod
    def _context(cls, params: P, positions: int | None) -> int | None:
        """The tokens of prompt and response that a model of so many positions reads; None: no bound."""
        return positions

    @classmethod
    def count_too_long(cls, params: P, batches: Iterable[Sequence[Solution]]) -> int | None:
        """How many prompts leave no room for a response. The text of a solution's response is what it begins with.

        None where the model is not on this machine: it is not fetched.
        """
        # `transformers`, which would read the config, takes seconds to import.
        file = config_file(params.model)
        if file is None:
            return None
        limit = cls._context(params, _positions(read_json(file)))
        if limit is None:
            return 0
        suspects = [s for batch in batches for s in batch if _most_tokens(params, s) >= limit]
        if not suspects:
            return 0
        tokenizer = tokenizer_of(params.model, local_files_only=True)
        codec = Codec(params, tokenizer, params.model, None, params.date)
        return sum(_n_tokens(codec, solution) >= limit for solution in suspects)


def _n_tokens(codec: Codec, solution: Solution) -> int:
    """The tokens of a prompt; 0 where the chat template refuses it."""
    try:
        return len(codec.encode(solution.problem.problem, solution.response.text))
    except Refused:
        return 0


def _positions(config: dict[str, Any]) -> int | None:
    config = {**config, **(config.get("text_config") or {})}
    return config.get("max_position_embeddings") or config.get("n_positions")


def _most_tokens(params: PromptedParams, solution: Solution) -> int:
    """The tokens that a prompt has at most: each stands for one byte at least. Most prompts need not be tokenised."""
    problem, beginning = solution.problem.problem, solution.response.text
    if params.template is not None:
        return len((raw_prompt(params, problem) + beginning).encode()) + 1  # the BOS token
    turns = conversation(params, problem)
    return len(beginning.encode()) + sum(len(turn["content"].encode()) + _TURN_TOKENS for turn in turns)
