"""The part of a response that a reward model reads: all of it, its reasoning or its answer, cut into steps.

A part is a solution of its own: its text, its steps, and of the token passes the tokens that end in it. The models of
the passes have read the whole response; a reward model that is a model reads the part alone.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.core.records import Solution, StepScores, TokenLogprobs
from harness.core.splitters import StepSplitter
from harness.core.thoughts import Span, thoughts

Reads = Literal["answer", "reasoning", "all"]


@dataclass(frozen=True, slots=True)
class Part:
    """``solution`` is what is read, ``begin`` its offset in the response; where nothing is, ``lacks`` says why."""

    solution: Solution | None
    begin: int = 0
    lacks: str = ""

    def of_response(self, scores: StepScores) -> StepScores:
        """The scores of the part, with offsets into the response."""
        if self.begin == 0 or scores.step_ends is None:
            return scores
        return replace(scores, step_ends=tuple(self.begin + end for end in scores.step_ends))


def part_of(solution: Solution, reads: Reads, splitter: StepSplitter | None) -> Part:
    """The part of a solution that ``reads`` names; its steps are those of the ``splitter``, None for the usual ones.

    Steps that a data set gives are kept, whatever the splitter; of one that is partly in the part, this piece is.
    """
    if reads == "all":
        return Part(split(solution, splitter))
    span, lacks = span_of(solution.response.text, reads)
    if span is None:
        return Part(None, lacks=lacks)
    part = _within(solution, span)
    if any(tokens.was_read and not part.logprobs[role].logprobs for role, tokens in solution.logprobs.items()):
        return Part(None, lacks=f"a model of its token passes does not read as far as its {reads}")
    return Part(split(part, splitter), span[0])


def span_of(text: str, reads: Reads) -> tuple[Span | None, str]:
    """The characters of a response that are read, or why there are none."""
    if reads == "all":
        return (0, len(text)), ""
    found = thoughts(text)
    if reads == "reasoning":
        return found.reasoning, "it has no reasoning"
    return found.answer, "it was cut before its answer" if found.is_cut else "it has no answer"


def split(solution: Solution, splitter: StepSplitter | None) -> Solution:
    """The solution with the steps of a splitter, unless a data set gives them."""
    if splitter is None or solution.given_ends:
        return solution
    return replace(solution, given_ends=splitter.checked_ends(solution.response.text))


def _within(solution: Solution, span: Span) -> Solution:
    begin, end = span
    response = solution.response
    part = replace(
        response,
        text=response.text[begin:end],
        n_tokens=0,
        finish_reason=response.finish_reason if end == len(response.text) else "",
        token_ids=None,
    )
    given = solution.given_ends and (*(at - begin for at in solution.given_ends if begin < at < end), end - begin)
    logprobs = {role: _tokens_within(tokens, span) for role, tokens in solution.logprobs.items()}
    return replace(solution, response=part, given_ends=given, logprobs=logprobs)


def _tokens_within(tokens: TokenLogprobs, span: Span) -> TokenLogprobs:
    """The tokens whose last character is in the span; whatever the record has for each token is cut to them."""
    begin, end = span
    first, last = bisect_right(tokens.token_ends, begin), bisect_right(tokens.token_ends, end)
    columns: dict[str, Any] = {
        field.name: value[first:last]
        for field in dataclasses.fields(tokens)
        if isinstance(value := getattr(tokens, field.name), tuple)
    }
    return replace(tokens, **columns | {"token_ends": tuple(at - begin for at in columns["token_ends"])})
