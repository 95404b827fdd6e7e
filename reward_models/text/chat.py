"""What a model reads before and around a response: its chat template, or a raw prompt.

The template's own rendering of the actual text decides. A frame that is found with a placeholder is faster to cut into
pieces, and is used where it comes to the same text. Templates may do more than frame a turn: trim it, move or drop its
``<think>`` block, look at what is said in it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from functools import cached_property, partial
from itertools import chain, pairwise
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from bonbench.generators.special_tokens import special_pattern
from bonbench.reward_models.text.layouts import Piece
from harness.core.chat_template import Refused, leading_bos, rendered
from harness.core.errors import UserError
from harness.core.prompt import Asked, around, conversation
from harness.core.user_template import filled

Turns = Sequence[tuple[str, Sequence[Piece]]]

_MARK = "\uf8ff"  # of private use: no template looks for it, and no content begins or ends with it


class _Frame(NamedTuple):
    """What the template writes before, between and after the contents, and which contents it trims."""

    texts: list[str]
    trims: list[bool]


class _Found(NamedTuple):
    """Of a content: from where to where its format's own pieces reach, and how many texts of special tokens that are
    no special tokens there are in each piece."""

    own: list[tuple[int, int]]
    special: list[int]


class ChatTemplate:
    """A tokenizer's chat template around contents, and the prompt that a problem is put as.

    Args:
        asked: the parameters of the prompt. A ``template`` in them makes it a raw one, without the chat template.
        special: the special tokens, which contents may not have by themselves.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        model: str,
        asked: Asked | None = None,
        special: re.Pattern[str] | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._model = model
        self._asked = asked or Asked.model_validate({})
        self._special = special or special_pattern(tokenizer)
        self._frames: dict[tuple[tuple[str, ...], bool], _Frame] = {}

    def user(self, problem: str) -> str:
        """What a user's turn says of a problem."""
        return filled(self._asked.user_template, problem)

    @property
    def bos(self) -> str:
        """The tokenizer's BOS token, "" where it has none."""
        return str(self._tokenizer.bos_token or "")

    def prompt(self, problem: str) -> list[Piece]:
        """What is read before a response to a problem.

        Raises:
            UserError: as :meth:`pieces`.
        """
        if self._asked.template is not None:
            return self._raw(problem)
        return self.pieces(self._turns(problem), ready=True)[0]

    def exchange(self, problem: str, text: str) -> tuple[list[Piece], int]:
        """The prompt, a whole response and what ends it, and the index at which the response begins.

        After a raw prompt the EOS token ends a response.

        Raises:
            UserError: as :meth:`pieces`.
        """
        if self._asked.template is not None:
            prompt = self._raw(problem)
            return [*prompt, Piece(text), Piece(self._tokenizer.eos_token or "", trusted=True)], len(prompt)
        pieces, contents = self.pieces([*self._turns(problem), ("assistant", [Piece(text)])])
        return pieces, contents[-1]

    def pieces(self, turns: Turns, ready: bool = False) -> tuple[list[Piece], list[int]]:
        """The template's rendering of the (role, content) turns, and the index at which each turn's content begins.

        Raises:
            Refused: where the template refuses what is said, or changes it so that the pieces of a content are not
                found in what it writes.
            UserError: where there is no chat template, it refuses turns of these roles, or does not write every
                content once.
        """
        frame = self._frame(tuple(role for role, _ in turns), ready)
        whole = self._said(turns, [_joined(content) for _, content in turns], ready)
        pieces, contents = _framed(turns, frame)
        return (pieces, contents) if _joined(pieces) == whole else self._cut(turns, whole, ready)

    def render(self, turns: Sequence[tuple[str, str]], ready: bool = False) -> str:
        """What the template itself makes of the turns.

        Raises:
            UserError: where there is no template, or it refuses the turns.
        """
        messages = [{"role": role, "content": content} for role, content in turns]
        return rendered(self._tokenizer, self._model, messages, ready, self._asked.date)

    def _said(self, turns: Turns, contents: Sequence[str], ready: bool) -> str:
        """The turns with these contents, of whose roles it is known that the template takes them.

        Raises:
            Refused: where it does not take the contents.
        """
        try:
            return self.render([(role, content) for (role, _), content in zip(turns, contents, strict=True)], ready)
        except UserError as error:
            raise Refused(str(error)) from error

    def _turns(self, problem: str) -> list[tuple[str, list[Piece]]]:
        """The conversation up to a problem. All but the problem's turn is the format's own."""
        *before, last = conversation(self._asked, problem)
        turns = [(turn["role"], [Piece(turn["content"], trusted=True)]) for turn in before]
        return [*turns, (last["role"], [Piece(last["content"])])]

    def _raw(self, problem: str) -> list[Piece]:
        """A raw prompt, after the BOS token where the tokenizer puts one and the prompt does not."""
        before, parts = around(self._asked)
        pieces = [Piece(before + parts[0], trusted=True)]
        for part in parts[1:]:
            pieces += [Piece(problem), Piece(part, trusted=True)]
        if not self._wants_bos or _joined(pieces).startswith(self.bos):
            return pieces
        return [Piece(self.bos, trusted=True), pieces[0]._replace(apart=True), *pieces[1:]]

    @cached_property
    def _wants_bos(self) -> bool:
        return bool(leading_bos(self._tokenizer))

    def _frame(self, roles: tuple[str, ...], ready: bool) -> _Frame:
        """The frame around turns of these roles, found by rendering it with placeholders."""
        if (roles, ready) not in self._frames:
            salt = secrets.token_hex(16)
            contents = [f"{salt}:{i}:" for i in range(len(roles))]
            rest, texts = self.render(list(zip(roles, contents, strict=True)), ready), []
            for content in contents:
                before, written, rest = rest.partition(content)
                if not written or content in rest:
                    raise UserError(f"{self._model}: its chat template does not write what each turn says just once")
                texts.append(before)
            padded = self.render([(role, f" {content} ") for role, content in zip(roles, contents, strict=True)], ready)
            self._frames[roles, ready] = _Frame([*texts, rest], [f" {content} " not in padded for content in contents])
        return self._frames[roles, ready]

    # Where the frame is not what the template writes, its text is taken. A content is where another one would change
    # the text. The format's own pieces inside a content are found by names that the template is given in their places.

    def _cut(self, turns: Turns, whole: str, ready: bool) -> tuple[list[Piece], list[int]]:
        """The template's own text, cut into pieces as :meth:`pieces` promises them."""
        pieces: list[Piece] = []
        contents: list[int] = []
        regions, found = self._regions(turns, whole, ready), self._found(turns, whole, ready)
        end = 0
        for (_, content), region, named in zip(turns, regions, found, strict=True):
            spans = [region] if len(content) == 1 else _between(content, named.own, region)
            borders = [end, *chain.from_iterable(spans)]
            if any(a > b for a, b in pairwise(borders)):
                raise self._lost()
            pieces.append(Piece(whole[end : borders[1] if spans else end], trusted=True))
            contents.append(len(pieces))
            for i, (piece, (begin, end)) in enumerate(zip(content, spans, strict=True)):
                pieces.append(self._written(piece, whole[begin:end], named.special[i]))
            end = borders[-1]
        return [*pieces, Piece(whole[end:], trusted=True)], contents

    def _regions(self, turns: Turns, whole: str, ready: bool) -> list[tuple[int, int]]:
        """From where to where each content reaches: what another content in its place would change, in whole special
        tokens."""
        said, regions, end = [_joined(content) for _, content in turns], [], 0
        tokens = [match.span() for match in self._special.finditer(whole)]
        for k in range(len(turns)):
            other = self._said(turns, [*said[:k], f"{_MARK}{secrets.token_hex(16)}{_MARK}", *said[k + 1 :]], ready)
            begin = max(_n_common(whole, other), end)
            begin = max(next((a for a, b in tokens if a < begin < b), begin), end)
            end = len(whole) - _n_common(whole[begin:][::-1], other[::-1])
            end = next((b for a, b in tokens if a < end < b), end)
            regions.append((begin, end))
        return regions

    def _found(self, turns: Turns, whole: str, ready: bool) -> list[_Found]:
        """What of each content is found in the text by names."""
        salt = secrets.token_hex(16)
        names: list[tuple[int, int, bool, str, str]] = []  # turn, piece, the format's own, its text and its name

        def named(k: int, i: int, own: bool, text: str) -> str:
            names.append((k, i, own, text, f"{_MARK}{salt}:{len(names)}{_MARK}"))
            return names[-1][-1]

        def hidden(k: int, i: int, special: re.Match[str]) -> str:
            return named(k, i, False, special[0])

        contents = []
        for k, (_, content) in enumerate(turns):
            words = [piece.text for piece in content]
            for i, piece in enumerate(content):
                if not piece.trusted:
                    words[i] = self._special.sub(partial(hidden, k, i), piece.text)
                elif len(content) > 1:
                    words[i] = named(k, i, True, piece.text)
            contents.append("".join(words))
        found = [_Found([], [0] * len(content)) for _, content in turns]
        if not names:
            return found
        written = self._said(turns, contents, ready)
        for k, i, own, text, name in names:
            before, there, after = written.partition(name)
            if own:
                found[k].own.append((len(before), len(before) + len(text)))
            else:
                found[k].special[i] += bool(there)
            written = before + (text if there else "") + after
        if written != whole:
            raise self._lost()
        return found

    def _written(self, piece: Piece, text: str, n_special: int) -> Piece:
        """A piece with the template's text for it, in which it has so many texts of special tokens. Others are the
        template's."""
        if n_special and n_special != len(self._special.findall(text)):
            raise self._lost()
        return piece._replace(text=text, trusted=piece.trusted or not n_special)

    def _lost(self) -> Refused:
        return Refused(f"{self._model}: its chat template changes what is said so that it is not found again")


def _framed(turns: Turns, frame: _Frame) -> tuple[list[Piece], list[int]]:
    """Contents in a frame, as they are, or trimmed of surrounding whitespace where the template trims them."""
    pieces, contents = [Piece(frame.texts[0], trusted=True)], []
    for (_, content), after, trim in zip(turns, frame.texts[1:], frame.trims, strict=True):
        contents.append(len(pieces))
        pieces += _trimmed(content) if trim else content
        pieces.append(Piece(after, trusted=True))
    return pieces, contents


def _between(
    content: Sequence[Piece], places: Sequence[tuple[int, int]], region: tuple[int, int]
) -> list[tuple[int, int]]:
    """From where to where each piece of a content reaches, by the ``places`` of the format's own pieces in it."""
    spans: list[tuple[int, int]] = []
    (at, stop), own = region, iter(places)
    for piece in content:
        if piece.trusted:
            begin, end = next(own)
            if spans and spans[-1][1] == stop:  # the text before it
                spans[-1] = (spans[-1][0], begin)
            spans.append((begin, end))
            at = end
        else:
            spans.append((at, stop))
    return spans


def _n_common(a: str, b: str) -> int:
    """How many characters two texts have in common at their beginnings."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _joined(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def _trimmed(content: Sequence[Piece]) -> list[Piece]:
    """The pieces without the whitespace that surrounds them all."""
    pieces = list(content)
    for order, strip in ((range(len(pieces)), str.lstrip), (reversed(range(len(pieces))), str.rstrip)):
        for i in order:
            pieces[i] = pieces[i]._replace(text=strip(pieces[i].text))
            if pieces[i].text:
                break
    return pieces
