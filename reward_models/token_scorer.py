"""Token passes of a causal language model, wherever it runs: what it reads, what is too long, equal responses once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from pydantic import Field

from bonbench.generators.tokenizers import tokenizer_of
from bonbench.reward_models.text.forms import AS_WRITTEN, FormOfPass, form_of
from bonbench.reward_models.text.layouts import numbered
from bonbench.reward_models.text.limits import refusal
from harness.core.components import TokenScorer
from harness.core.errors import UserError
from harness.core.params import ModelPath, Precision, Runtime, TooLong
from harness.core.prompt import Asked
from harness.core.records import Solution, TokenLogprobs
from harness.core.solution_parts import split

if TYPE_CHECKING:
    from bonbench.reward_models.text.encoding import Encoded, SolutionEncoder

#: The columns of a pass that keeps ``statistics``.
STATISTICS = ("entropies", "self_certainty")


class LMScorerParams(Asked):
    """Parameters of :class:`LMScorer`."""

    model: ModelPath = Field(description="a folder in `transformers` format or a hub id")
    steps: FormOfPass = Field(
        AS_WRITTEN, description="the model reads the response as it is, or rewritten as numbered paragraphs"
    )
    dtype: Precision = "auto"
    too_long: TooLong = "skip"
    statistics: Runtime[bool] = Field(
        False, description="keep the entropy and the self-certainty before each token too; the log-probabilities stay"
    )


P = TypeVar("P", bound=LMScorerParams)


class LMScorer(TokenScorer[P]):
    """Scores with a chat model in `transformers` format.

    The model reads the prompt (see :class:`harness.core.prompt.PromptParams`), then the response, then the end-of-turn
    token if the response has finish_reason "stop". Equal responses to a problem are scored once. ``too_long`` says what
    becomes of a solution that is longer than the model's positions reach; by default the record of its response is
    empty.

    ``limit`` is the number of tokens that the model reads, None where nothing says.
    """

    limit: int | None

    def __init__(self, params: P, name: str = "") -> None:
        super().__init__(params, name)
        self.encoder = _encoder(params)

    @abstractmethod
    def read(self, solutions: Sequence[Encoded]) -> list[list[float]]:
        """log p of each response token given all tokens before it, in nats, for each solution.

        Raises:
            UserError: where nothing comes before a response.
        """

    def read_statistics(self, solutions: Sequence[Encoded]) -> list[list[list[float]]]:
        """As :meth:`read`, with the entropy and the self-certainty before each token: [tokens, 3] for each solution.

        Raises:
            UserError: also where what runs the model gives no more than log-probabilities.
        """
        raise UserError(f"{type(self).__name__} gives log-probabilities alone: let transformers run the model")

    @classmethod
    def columns(cls, params: P) -> Sequence[str]:
        return STATISTICS if params.statistics else ()

    @classmethod
    @abstractmethod
    def context(cls, params: P) -> int | None:
        """As ``limit``, by the model's config alone."""

    @classmethod
    def count_too_long(cls, params: P, batches: Iterable[Sequence[Solution]]) -> int | None:
        limit = cls.context(params)
        if limit is None:
            return 0
        encoder = _encoder(params)
        count = 0
        for batch in batches:
            texts = [(s.problem.problem, _rewritten(params, s)[0], s.response.finish_reason == "stop") for s in batch]
            # A token stands for one byte at least: most responses need not be tokenised.
            suspects = [text for text in texts if encoder.n_bytes(*text) > limit]
            count += sum(len(tokens.ids) > limit for tokens in encoder.encode(suspects))
        return count

    def logprobs(self, batch: Sequence[Solution]) -> list[TokenLogprobs]:
        """Log-probabilities of the tokens of each response, in nats, in the order of the batch.

        Raises:
            UserError: for a solution longer than the model's positions, where ``too_long`` makes an error of it.
        """
        rewritten = [_rewritten(self.params, s) for s in batch]
        keys = [
            (s.problem.problem, text, s.response.finish_reason == "stop")
            for s, (text, _) in zip(batch, rewritten, strict=True)
        ]
        firsts: dict[tuple[str, str, bool], Solution] = {}
        for solution, key in zip(batch, keys, strict=True):
            firsts.setdefault(key, solution)
        encoded = {}
        for solution, key, tokens in zip(firsts.values(), firsts, self.encoder.encode(list(firsts)), strict=True):
            if (fitting := self._fitting(tokens, solution)) is not None:
                encoded[key] = fitting
        columns = dict(zip(encoded, self._columns(list(encoded.values())), strict=True))
        return [
            TokenLogprobs(
                problem_id=solution.response.problem_id,
                generator=solution.response.generator,
                sample=solution.response.sample,
                token_ends=tuple(origins[end] if origins else end for end in encoded[key].token_ends),
                n_prompt_tokens=encoded[key].n_prompt,
                **columns[key],
            )
            if key in encoded
            else _unread(solution)
            for solution, key, (_, origins) in zip(batch, keys, rewritten, strict=True)
        ]

    def _columns(self, solutions: Sequence[Encoded]) -> list[dict[str, tuple[float, ...]]]:
        """The columns of each solution's record that have a number for every token."""
        if not self.params.statistics:
            return [{"logprobs": tuple(logprobs)} for logprobs in self.read(solutions)]
        names = ("logprobs", *STATISTICS)
        return [
            {name: tuple(row[i] for row in rows) for i, name in enumerate(names)}
            for rows in self.read_statistics(solutions)
        ]

    def _fitting(self, tokens: Encoded, solution: Solution) -> Encoded | None:
        """The tokens that the model reads of a solution, as ``too_long`` wants it; None where it reads none."""
        limit = self.limit
        if tokens.refused:
            if self.params.too_long == "error":
                response = solution.response
                raise UserError(
                    f"{tokens.refused} (problem {response.problem_id!r}); let too_long be skip to leave it out"
                )
            return None
        if limit is None or len(tokens.ids) <= limit:
            return tokens
        if self.params.too_long == "error":
            raise refusal(self.params.model, limit, solution.response, len(tokens.ids))
        if self.params.too_long == "skip" or tokens.n_prompt >= limit:
            return None
        return replace(tokens, ids=tokens.ids[:limit], token_ends=tokens.token_ends[: limit - tokens.n_prompt])


def _encoder(params: LMScorerParams) -> SolutionEncoder:
    from bonbench.reward_models.text.encoding import SolutionEncoder

    return SolutionEncoder(tokenizer_of(params.model), params.model, params)


def _rewritten(params: LMScorerParams, solution: Solution) -> tuple[str, list[int]]:
    """What the model reads of a response, and for each offset in it the one in the response ([]: the same)."""
    form = form_of(params.steps)
    return numbered(split(solution, form.splitter).steps) if form.numbered else (solution.response.text, [])


def _unread(solution: Solution) -> TokenLogprobs:
    response = solution.response
    return TokenLogprobs(response.problem_id, response.generator, response.sample, (), (), n_prompt_tokens=0)
