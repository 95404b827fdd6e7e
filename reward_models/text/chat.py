"""A tokenizer's chat template as a frame around contents."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from bonbench.reward_models.text.layouts import Piece
from harness.core.errors import UserError, one_line


class ChatTemplate:
    """What a chat template writes around the contents of turns, found by rendering it with placeholders.

    Contents go into the frame as they are, or trimmed of surrounding whitespace where the template trims them.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: str) -> None:
        self._tokenizer = tokenizer
        self._model = model
        self._frames: dict[tuple[tuple[str, ...], bool], tuple[list[str], list[bool]]] = {}

    @property
    def bos(self) -> str:
        """The tokenizer's BOS token, "" where it has none."""
        return str(self._tokenizer.bos_token or "")

    def pieces(
        self, turns: Sequence[tuple[str, Sequence[Piece]]], ready: bool = False
    ) -> tuple[list[Piece], list[int]]:
        """The (role, content) turns in the template's frame, and the index at which each turn's content begins.

        Raises:
            UserError: when there is no chat template, it refuses the turns, or does not write every content once.
        """
        frame, trims = self._frame(tuple(role for role, _ in turns), ready)
        pieces, contents = [Piece(frame[0], trusted=True)], []
        for (_, content), after, trim in zip(turns, frame[1:], trims, strict=True):
            contents.append(len(pieces))
            pieces += _trimmed(content) if trim else content
            pieces.append(Piece(after, trusted=True))
        return pieces, contents

    def render(self, turns: Sequence[tuple[str, str]], ready: bool = False) -> str:
        """What the template itself makes of the turns.

        Raises:
            UserError: where there is no template, or it refuses turns of these roles.
        """
        if self._tokenizer.chat_template is None:
            raise UserError(f"{self._model}: its tokenizer has no chat template, so there is no prompt for a response")
        messages = [{"role": role, "content": content} for role, content in turns]
        try:
            return str(self._tokenizer.apply_chat_template(messages, add_generation_prompt=ready, tokenize=False))
        except Exception as error:  # a template is a program: it raises whatever it likes
            roles = ", ".join(role for role, _ in turns)
            why = error if isinstance(error, TemplateError) else one_line(error)
            raise UserError(f"{self._model}: its chat template refuses turns of {roles}: {why}") from error

    def _frame(self, roles: tuple[str, ...], ready: bool) -> tuple[list[str], list[bool]]:
        """What the template writes before, between and after the contents, and which contents it trims."""
        if (roles, ready) not in self._frames:
            salt = secrets.token_hex(16)
            contents = [f"{salt}:{i}:" for i in range(len(roles))]
            rest, frame = self.render(list(zip(roles, contents, strict=True)), ready), []
            for content in contents:
                before, written, rest = rest.partition(content)
                if not written or content in rest:
                    raise UserError(f"{self._model}: its chat template does not write what each turn says just once")
                frame.append(before)
            padded = self.render([(role, f" {content} ") for role, content in zip(roles, contents, strict=True)], ready)
            self._frames[roles, ready] = [*frame, rest], [f" {content} " not in padded for content in contents]
        return self._frames[roles, ready]


def _trimmed(content: Sequence[Piece]) -> list[Piece]:
    """The pieces without the whitespace that surrounds them all."""
    pieces = list(content)
    for order, strip in ((range(len(pieces)), str.lstrip), (reversed(range(len(pieces))), str.rstrip)):
        for i in order:
            pieces[i] = pieces[i]._replace(text=strip(pieces[i].text))
            if pieces[i].text:
                break
    return pieces
