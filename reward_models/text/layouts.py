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

from harness.core.steps import step_spans


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
    """A tokenizer's chat template (``reward_models.chat.ChatTemplate``)."""

    def pieces(
        self, turns: Sequence[tuple[str, Sequence[Piece]]], ready: bool = False
    ) -> tuple[list[Piece], list[int]]:
        """The (role, content) turns in the template's frame, and the index at which each turn's content begins.

        Content k is framed by the piece before it and the one after it. ``ready``: for the assistant's turn.
        """

    @property
    def bos(self) -> str:
        """The tokenizer's BOS token, "" where it has none."""


Format = Callable[[Chat, str, str], Layout]  # (chat template, problem, response text) -> layout

_QWEN_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
_QWEN_TAG = "<extra_0>"


def step_ends(chat: Chat, problem: str, text: str) -> Layout:
    """The prompt and the response as they are; a step is read at its last token."""
    pieces, _ = chat.pieces([("user", [Piece(problem)])], ready=True)
    steps = [Piece(text[a:b], read="last") for a, b in step_spans(text)]
    return Layout([*pieces, *steps], response=len(pieces))


def math_shepherd(_: Chat, problem: str, text: str) -> Layout:
    """``problem step ки\\nstep ки`` without a chat template; a step is read at its tag (model card)."""
    pieces = [Piece(problem), Piece(" ", trusted=True)]
    for k, (a, b) in enumerate(step_spans(text)):
        step = text[a:b].strip()
        if k:
            pieces.append(Piece("\n", trusted=True))
        # An empty response has no second space before its only tag.
        pieces += [Piece(step), Piece(" ки" if step else "ки", trusted=True, read="last")]
    return Layout(pieces, response=2, prefix=True)


def rlhflow(chat: Chat, problem: str, text: str) -> Layout:
    """Every step is a user's turn, the first one after the problem, and is answered ``+`` (public evaluation code).

    A step is read at the token that predicts its answer. The answers to earlier steps that a step's score is
    conditioned on are ``+`` in any case, so one pass over the conversation gives what a pass per step would.
    """
    turns: list[tuple[str, list[Piece]]] = []
    for k, (a, b) in enumerate(step_spans(text)):
        step = Piece(text[a:b].strip())
        turns.append(("user", [step] if k else [Piece(problem), Piece(" ", trusted=True), step]))
        turns.append(("assistant", [Piece("+", trusted=True)]))
    pieces, contents = chat.pieces(turns)
    for answer in contents[1::2]:
        pieces[answer - 1] = pieces[answer - 1]._replace(read="last")
    return Layout(pieces, response=contents[0] + 2)


def qwen_prm(chat: Chat, problem: str, text: str) -> Layout:
    """A chat with a system prompt; every step is followed by ``<extra_0>``, at which it is read (model card)."""
    content = []
    for a, b in step_spans(text):
        content += [Piece(text[a:b].strip()), Piece(_QWEN_TAG, trusted=True, read="last")]
    turns = [("system", [Piece(_QWEN_SYSTEM, trusted=True)]), ("user", [Piece(problem)]), ("assistant", content)]
    pieces, contents = chat.pieces(turns)
    return Layout(pieces, response=contents[2])


def skywork_prm(chat: Chat, problem: str, text: str) -> Layout:
    """BOS, problem and response, no chat template; a step is read at its line break (public inference code).

    There, lines are tokenised apart and joined by the token of a lone line break. In one string the break would melt
    into the punctuation before it, to a token at which the model was never asked. Every line is a step there; here the
    break after the step's last line is the one that counts.
    """
    pieces = [Piece(chat.bos, trusted=True), Piece(problem), Piece("\n", trusted=True)]
    response = len(pieces)
    for a, b in step_spans(text):
        *lines, rest = text[a:b].split("\n")
        if rest.strip() or not lines:  # the response does not end with a line break
            lines, rest = [*lines, rest], ""
        last = max((i for i, line in enumerate(lines) if line.strip()), default=0)
        for i, line in enumerate(lines):
            pieces.append(Piece(line, apart=i > 0 or a == 0))
            pieces.append(Piece("\n", trusted=True, read="last" if i == last else None, apart=True))
        pieces.append(Piece(rest, apart=True))
    return Layout(pieces, response=response)


def chat_turns(chat: Chat, problem: str, text: str) -> Layout:
    """The user's turn is the problem, the assistant's the response; read at the very last token."""
    pieces, contents = chat.pieces([("user", [Piece(problem)]), ("assistant", [Piece(text)])])
    pieces[-1] = pieces[-1]._replace(read="last")
    return Layout(pieces, response=contents[1])


def chat_turns_gated(chat: Chat, problem: str, text: str) -> Layout:
    """As :func:`chat_turns`, and read before that at the token that ends the user's turn (ArmoRM's public code)."""
    layout = chat_turns(chat, problem, text)
    after_problem = layout.response - 1
    layout.pieces[after_problem] = layout.pieces[after_problem]._replace(read="first")
    return layout


def eurus(_: Chat, problem: str, text: str) -> Layout:
    """``[INST] problem [\\INST] response``, read at the last token (model card, whose spelling this is)."""
    pieces = [Piece("[INST] ", True), Piece(problem), Piece(" [\\INST] ", True), Piece(text, read="last")]
    return Layout(pieces, response=3, prefix=True)


_MARKER = re.compile(r"\s*(?:(?:\*\*|#+[ \t]*)?Step[ \t]+\d+[ \t]*[:.](?:\*\*)?)?\s*", re.IGNORECASE)


def numbered(text: str) -> tuple[str, list[int]]:
    """A response as the released implicit PRMs read it: paragraphs that begin ``Step 1: ``, ``Step 2: `` and so on.

    Steps keep their words and lose the marker, number and blanks that they had (public evaluation code).

    Returns:
        The new text, and for each offset in it (0 to its length) one in ``text``, non-decreasing, such that what
        ends there belongs to the same step: a character that was kept ends where it did, a step's new prefix at its
        beginning, and the blank line after a step at its end.
    """
    words: list[str] = []
    origins = [0]
    for k, (begin, end) in enumerate(step_spans(text), 1):
        step = text[begin:end]
        marker = _MARKER.match(step)
        assert marker is not None  # it may be empty
        words_of_step = step[marker.end() :].rstrip()
        prefix, gap = f"Step {k}: ", "" if end == len(text) else "\n\n"
        words += [prefix, words_of_step, gap]
        origins += [min(begin + 1, end)] * len(prefix)
        origins += [begin + marker.end() + i for i in range(1, len(words_of_step) + 1)]
        origins += [end] * len(gap)
    origins[-1] = len(text)
    return "".join(words), origins
