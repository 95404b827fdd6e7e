"""A place in a list of tokens, from which a parser looks ahead and takes one after another."""

from __future__ import annotations

from collections.abc import Sequence

from bonbench.verifiers.reading.tokens import Token, Unreadable


class Cursor:
    """``position`` is the index of the next token of ``tokens``."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self._inserted = 0  # tokens more than there were, from numbers cut in two

    @property
    def taken(self) -> int:
        """How many of the tokens that there were at first have been taken."""
        return self.position - self._inserted

    def peek(self, ahead: int = 0) -> str:
        """The next token's text; "" at the end and for words, so that no word is taken for maths."""
        index = self.position + ahead
        if index >= len(self.tokens) or self.tokens[index].kind == "word":
            return ""
        return self.tokens[index].text

    def kind(self, ahead: int = 0) -> str:
        """The next token's kind; "" at the end."""
        index = self.position + ahead
        return self.tokens[index].kind if index < len(self.tokens) else ""

    def take(self) -> Token:
        """The next token, which is then behind.

        Raises:
            Unreadable: at the end.
        """
        if self.position >= len(self.tokens):
            raise Unreadable("ends early")
        token = self.tokens[self.position]
        self.position += 1
        return token

    def expect(self, text: str) -> None:
        """Take the next token, which must be ``text``.

        Raises:
            Unreadable: where it is another.
        """
        if self.peek() != text:
            raise Unreadable(f"{text} missing")
        self.position += 1

    def argument_tokens(self) -> list[Token]:
        """The tokens of a braced group, or the single next token."""
        if self.peek() != "{":
            return [self.take()]
        depth, start = 0, self.position + 1
        while True:
            token = self.take()
            depth += (token.text == "{") - (token.text == "}")
            if depth == 0:
                return list(self.tokens[start : self.position - 1])

    def cut_number(self, digits: int) -> None:
        """Make two numbers of the next token, the first of them with so many digits: ``\\frac34`` is 3/4."""
        text = self.tokens[self.position].text
        halves = [Token("num", text[:digits]), Token("num", text[digits:])]
        self.tokens = [*self.tokens[: self.position], *halves, *self.tokens[self.position + 1 :]]
        self._inserted += 1
