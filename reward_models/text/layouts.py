"""What reward models are given to read and where their scores are read: the formats, without a tokenizer.

A layout is the text a model is fed, cut into pieces, with marks at the pieces on whose first or last token a value is
read. Steps are those of :mod:`harness.core.steps`: a layout for process rewards reads one value per step, whatever the
response looks like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from harness.core.chat_template import Refused
from harness.core.records import Solution


class Piece(NamedTuple):
    """A stretch of the text that is fed.

    ``trusted`` pieces are the format's own: special tokens are recognised in them alone. ``read`` asks for a value at
    the piece's first or last token. ``apart``: tokenised apart from what precedes it.
    """

    text: str
    trusted: bool = False
    read: Literal["first", "last"] | None = None
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """``pieces`` are what is fed; those from index ``response`` on count as the response's.

    ``prefix``: whether the tokenizer puts its BOS token in front, as it does with a text that is not a chat.
    """

    pieces: list[Piece]
    response: int
    prefix: bool = False

    @property
    def n_bytes(self) -> int:
        """The length of the string that the pieces make, in UTF-8."""
        return sum(len(piece.text.encode()) for piece in self.pieces)


class Chat(Protocol):
    """What a model reads before and around a response (``reward_models.text.chat.ChatTemplate``)."""

    def prompt(self, problem: str) -> list[Piece]:
        """What is read before a response to a problem."""

    def exchange(self, problem: str, text: str) -> tuple[list[Piece], int]:
        """The prompt, a whole response and what ends it, and the index at which the response begins."""

    def user(self, problem: str) -> str:
        """What a user's turn says of a problem."""

    def pieces(
        self, turns: Sequence[tuple[str, Sequence[Piece]]], ready: bool = False
    ) -> tuple[list[Piece], list[int]]:
        """The (role, content) turns in the template's frame, and the index at which each turn's content begins.

        Content k is framed by the piece before it and the one after it. ``ready``: for the assistant's turn.
        """

    @property
    def bos(self) -> str:
        """The tokenizer's BOS token, "" where it has none."""


Format = Callable[[Chat, Solution], Layout]


def laid_out(format_: Format, chat: Chat, solution: Solution) -> Layout | Refused:
    """A solution in a format, or why the chat template does not take it."""
    try:
        return format_(chat, solution)
    except Refused as refused:
        return refused


_QWEN_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
_QWEN_TAG = "<extra_0>"
_ACEMATH_SYSTEM = "Please reason step by step, and check your final answer within \\boxed{}."


def step_ends(chat: Chat, solution: Solution) -> Layout:
    """The prompt and the response as they are; a step is read at its last token."""
    pieces = chat.prompt(solution.problem.problem)
    return Layout([*pieces, *(Piece(step, read="last") for step in solution.steps)], response=len(pieces))


def math_shepherd(chat: Chat, solution: Solution) -> Layout:
    """``problem step ки\\nstep ки`` without a chat template; a step is read at its tag (model card)."""
    pieces = [Piece(chat.user(solution.problem.problem)), Piece(" ", trusted=True)]
    for k, step in enumerate(map(str.strip, solution.steps)):
        if k:
            pieces.append(Piece("\n", trusted=True))
        # An empty response has no second space before its only tag.
        pieces += [Piece(step), Piece(" ки" if step else "ки", trusted=True, read="last")]
    return Layout(pieces, response=2, prefix=True)


def rlhflow(chat: Chat, solution: Solution) -> Layout:
    """Every step is a user's turn, the first one after the problem, and is answered ``+`` (public evaluation code).

    A step is read at the token that predicts its answer. The answers to earlier steps that a step's score is
    conditioned on are ``+`` in any case, so one pass over the conversation gives what a pass per step would.
    """
    turns: list[tuple[str, list[Piece]]] = []
    problem = Piece(chat.user(solution.problem.problem))
    for k, text in enumerate(solution.steps):
        step = Piece(text.strip())
        turns.append(("user", [step] if k else [problem, Piece(" ", trusted=True), step]))
        turns.append(("assistant", [Piece("+", trusted=True)]))
    pieces, contents = chat.pieces(turns)
    for answer in contents[1::2]:
        pieces[answer - 1] = pieces[answer - 1]._replace(read="last")
    return Layout(pieces, response=contents[0] + 2)


def qwen_prm(chat: Chat, solution: Solution) -> Layout:
    """A chat with a system prompt; every step is followed by ``<extra_0>``, at which it is read (model card)."""
    return _tagged(chat, solution, [("system", [Piece(_QWEN_SYSTEM, trusted=True)])])


def reasonflux_prm(chat: Chat, solution: Solution) -> Layout:
    """As :func:`qwen_prm`, without a system prompt but for the chat template's own (its repository's README)."""
    return _tagged(chat, solution, [])


def _tagged(chat: Chat, solution: Solution, before: list[tuple[str, list[Piece]]]) -> Layout:
    content = []
    for step in solution.steps:
        content += [Piece(step.strip()), Piece(_QWEN_TAG, trusted=True, read="last")]
    problem = Piece(chat.user(solution.problem.problem))
    pieces, contents = chat.pieces([*before, ("user", [problem]), ("assistant", content)])
    return Layout(pieces, response=contents[-1])


def skywork_prm(chat: Chat, solution: Solution) -> Layout:
    """BOS, problem and response, no chat template; a step is read at its line break (public inference code).

    There, lines are tokenised apart and joined by the token of a lone line break. In one string the break would melt
    into the punctuation before it, to a token at which the model was never asked. Every line is a step there; here the
    break after the step's last line is the one that counts.
    """
    problem = Piece(chat.user(solution.problem.problem))
    pieces = [Piece(chat.bos, trusted=True), problem, Piece("\n", trusted=True)]
    response, begin = len(pieces), 0
    for step in solution.steps:
        *lines, rest = step.split("\n")
        if rest.strip() or not lines:  # the response does not end with a line break
            lines, rest = [*lines, rest], ""
        last = max((i for i, line in enumerate(lines) if line.strip()), default=0)
        for i, line in enumerate(lines):
            pieces.append(Piece(line, apart=i > 0 or begin == 0))
            pieces.append(Piece("\n", trusted=True, read="last" if i == last else None, apart=True))
        pieces.append(Piece(rest, apart=True))
        begin += len(step)
    return Layout(pieces, response=response)


def trl(chat: Chat, solution: Solution, separator: str) -> Layout:
    """BOS, problem and steps, no chat template; a step is read at the separator after it (TRL's ``PRMTrainer``).

    There, problem, steps and separator are tokenised each by itself.
    """
    problem = Piece(chat.user(solution.problem.problem), apart=True)
    pieces = [Piece(chat.bos, trusted=True), problem]
    for step in solution.steps:
        pieces.append(Piece(step.strip(), apart=True))
        pieces.append(Piece(separator, trusted=True, read="last", apart=True))
    return Layout(pieces, response=2)


def chat_turns(chat: Chat, solution: Solution) -> Layout:
    """The user's turn is the problem, the assistant's the response; read at the very last token."""
    pieces, response = chat.exchange(solution.problem.problem, solution.response.text)
    pieces[-1] = pieces[-1]._replace(read="last")
    return Layout(pieces, response)


def chat_turns_gated(chat: Chat, solution: Solution) -> Layout:
    """As :func:`chat_turns`, and read before that at the token that ends the user's turn (ArmoRM's public code)."""
    layout = chat_turns(chat, solution)
    after_problem = layout.response - 1
    layout.pieces[after_problem] = layout.pieces[after_problem]._replace(read="first")
    return layout


def chat_turns_told(chat: Chat, solution: Solution, system: str) -> Layout:
    """As :func:`chat_turns`, after a system prompt of the model's own."""
    turns = [
        ("system", [Piece(system, trusted=True)]),
        ("user", [Piece(chat.user(solution.problem.problem))]),
        ("assistant", [Piece(solution.response.text)]),
    ]
    pieces, contents = chat.pieces(turns)
    pieces[-1] = pieces[-1]._replace(read="last")
    return Layout(pieces, contents[-1])


def qwen_rm(chat: Chat, solution: Solution) -> Layout:
    """A chat with the system prompt of Qwen's maths models, read at the very last token (model card)."""
    return chat_turns_told(chat, solution, _QWEN_SYSTEM)


def acemath_rm(chat: Chat, solution: Solution) -> Layout:
    """A chat with a system prompt that says "check", read at the very last token (model card)."""
    return chat_turns_told(chat, solution, _ACEMATH_SYSTEM)


def eurus(chat: Chat, solution: Solution) -> Layout:
    """``[INST] problem [\\INST] response``, read at the last token (model card, whose spelling this is)."""
    problem, text = Piece(chat.user(solution.problem.problem)), Piece(solution.response.text, read="last")
    pieces = [Piece("[INST] ", True), problem, Piece(" [\\INST] ", True), text]
    return Layout(pieces, response=3, prefix=True)


_MARKER = re.compile(r"\s*(?:(?:\*\*|#+[ \t]*)?Step[ \t]+\d+[ \t]*[:.](?:\*\*)?)?\s*", re.IGNORECASE)


def numbered(steps: Sequence[str]) -> tuple[str, list[int]]:
    """A response as the released implicit PRMs read it: paragraphs that begin ``Step 1: ``, ``Step 2: `` and so on.

    Steps keep their words and lose the marker, number and blanks that they had (public evaluation code).

    Returns:
        The new text, and for each offset in it (0 to its length) one in the response, non-decreasing, such that what
        ends there belongs to the same step: a character that was kept ends where it did, a step's new prefix at its
        beginning, and the blank line after a step at its end.
    """
    words: list[str] = []
    origins, end, length = [0], 0, sum(map(len, steps))
    for k, step in enumerate(steps, 1):
        begin, end = end, end + len(step)
        marker = _MARKER.match(step)
        assert marker is not None  # it may be empty
        words_of_step = step[marker.end() :].rstrip()
        prefix, gap = f"Step {k}: ", "" if end == length else "\n\n"
        words += [prefix, words_of_step, gap]
        origins += [min(begin + 1, end)] * len(prefix)
        origins += [begin + marker.end() + i for i in range(1, len(words_of_step) + 1)]
        origins += [end] * len(gap)
    origins[-1] = length
    return "".join(words), origins
