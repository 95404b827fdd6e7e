"""From pieces of text to the token ids of the one string they make, and to the tokens at which pieces begin and end.

Some pieces are a format's (a chat template's turns, a step tag), some come from outside (a problem, a response).
Special tokens are recognised in the former only. Where a model's score is read follows from the pieces' places in the
string: never from a search for token ids, which a response could contain too.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from tokenizers import Encoding, Tokenizer
from transformers import PreTrainedTokenizerBase

from bonbench.generators.special_tokens import renamed, special_pattern, special_tokens
from bonbench.reward_models.text.layouts import Layout, Piece
from harness.core.chat_template import Refused
from harness.core.errors import UserError


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a string of pieces.

    ``starts`` and ``ends`` are the tokens' character offsets in the string, ``borders`` the pieces': piece k is
    ``borders[k]`` to ``borders[k + 1]``. Tokens that stand for no characters (a BOS token that the tokenizer adds) have
    both offsets 0.
    """

    ids: list[int]
    starts: list[int]
    ends: list[int]
    borders: list[int]

    def first(self, piece: int) -> int:
        """Index of the token that holds the piece's first character."""
        return bisect_right(self.ends, self.borders[piece])

    def last(self, piece: int) -> int:
        """Index of the token that holds the piece's last character; of an empty piece, the last one before it."""
        return bisect_left(self.starts, self.borders[piece + 1]) - 1


@dataclass(frozen=True, slots=True)
class Marked:
    """Token ids, ``ids[:n_prompt]`` the prompt's, and the increasing indices of those at which they are read.

    ``steps``, where that is asked, has the number of the response's step that each read belongs to. ``refused`` says
    why there are no tokens: the chat template does not take what is said.
    """

    ids: list[int]
    n_prompt: int
    reads: Sequence[int]
    steps: Sequence[int] = ()
    refused: str = ""


class PieceEncoder:
    """Encodes pieces for one tokenizer.

    Args:
        markers: tokens that count as special beside those which the tokenizer calls so.

    Raises:
        UserError: when the tokenizer gives no character offsets.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: str, markers: Iterable[str] = ()) -> None:
        if not tokenizer.is_fast:
            raise UserError(f"{model}: its tokenizer has no fast (Rust) version, which character offsets need")
        self._model = model
        # An own copy: without padding and truncation, and without the post-processor, which would trim
        # whitespace off the offsets.
        state = json.loads(tokenizer.backend_tokenizer.to_str())
        self._backend = Tokenizer.from_str(
            json.dumps(state | {"padding": None, "truncation": None, "post_processor": None})
        )
        self._specials = special_tokens(tokenizer) | set(markers)
        self.special = special_pattern(tokenizer, markers)
        self._greedy = {id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.lstrip or token.rstrip}
        self._disguised: tuple[Tokenizer, dict[str, str]] | None = None
        self._tokenizer = tokenizer

    @cached_property
    def prefix(self) -> list[int]:
        """What the tokenizer puts before a text that is not a chat: a BOS token, or nothing."""
        probe = self._tokenizer("x", return_special_tokens_mask=True)
        return list(probe["input_ids"][: probe["special_tokens_mask"].index(0)])

    def _spans(self, run: str, encoding: Encoding) -> list[tuple[int, int]]:
        """The tokens' offsets, without the whitespace that some tokens swallow before or after them."""
        spans: list[tuple[int, int]] = encoding.offsets
        if self._greedy.isdisjoint(encoding.ids):
            return spans
        return [
            _stripped(run, *span) if id_ in self._greedy else span
            for id_, span in zip(encoding.ids, spans, strict=True)
        ]

    def encode(self, texts: Sequence[Sequence[Piece]], prefix: bool = False) -> list[Tokens]:
        """Encode each string of pieces, after the tokenizer's own ``prefix`` if asked."""
        plain = [not self._special_outside(pieces) for pieces in texts]
        written = [
            [piece.text if harmless else self._disguise(piece) for piece in pieces]
            for pieces, harmless in zip(texts, plain, strict=True)
        ]
        runs = [_runs(pieces, words) for pieces, words in zip(texts, written, strict=True)]
        strings = [run for pieces, harmless in zip(runs, plain, strict=True) if harmless for run in pieces]
        batch = iter(self._backend.encode_batch(strings, add_special_tokens=False))
        encoded = []
        for words, pieces, harmless in zip(written, runs, plain, strict=True):
            ids = list(self.prefix) if prefix else []
            starts, ends, offset = [0] * len(ids), [0] * len(ids), 0
            for run in pieces:
                encoding = next(batch) if harmless else self._literal().encode(run, add_special_tokens=False)
                spans = self._spans(run, encoding)
                ids += encoding.ids
                starts += [offset + start for start, _ in spans]
                ends += [offset + end for _, end in spans]
                offset += len(run)
            encoded.append(Tokens(ids, starts, ends, [0, *accumulate(map(len, words))]))
        return encoded

    def encode_layouts(self, layouts: Sequence[Layout | Refused]) -> list[Marked]:
        """Encode layouts of one format."""
        laid_out = [layout for layout in layouts if not isinstance(layout, Refused)]
        prefix = bool(laid_out) and laid_out[0].prefix
        encoded = iter(self.encode([layout.pieces for layout in laid_out], prefix))
        return [
            Marked([], 0, [], refused=str(layout)) if isinstance(layout, Refused) else _marked(layout, next(encoded))
            for layout in layouts
        ]

    def first_token(self, text: str) -> int:
        """The id of the token that a text begins with where it stands alone.

        Raises:
            UserError: when the tokenizer has no token for its beginning.
        """
        ids = self.encode([[Piece(text)]])[0].ids
        if not ids or ids[0] == self._tokenizer.unk_token_id:
            raise UserError(f"{self._model}: its tokenizer has no token for {text!r}")
        return ids[0]

    def only_token(self, text: str) -> int:
        """The id of a text that is one token when it stands alone.

        Raises:
            UserError: when it is several.
        """
        ids = self.encode([[Piece(text, trusted=True)]])[0].ids
        if len(ids) != 1:
            raise UserError(f"{self._model}: {text!r} is {len(ids)} tokens to its tokenizer, one is needed")
        return ids[0]

    def _special_outside(self, pieces: Sequence[Piece]) -> bool:
        """Whether text outside the format's own pieces would be read as a special token."""
        borders = list(accumulate((len(piece.text) for piece in pieces), initial=0))
        inside = [span for span, piece in zip(pairwise(borders), pieces, strict=True) if piece.trusted]
        matches = self.special.finditer("".join(piece.text for piece in pieces))
        return any(not any(a <= match.start() and match.end() <= b for a, b in inside) for match in matches)

    # To a tokenizer the text of a special token is that token wherever it stands in the string, and switching this
    # off switches it off for the format too. So a copy of the tokenizer has its special tokens renamed to strings
    # nobody can have written, and the format is written with the new names. It is still one string.

    def _literal(self) -> Tokenizer:
        if self._disguised is None:
            self._disguised = renamed(self._backend, self._specials)
        return self._disguised[0]

    def _disguise(self, piece: Piece) -> str:
        if not piece.trusted:
            return piece.text
        self._literal()
        assert self._disguised is not None
        names = self._disguised[1]
        return self.special.sub(lambda match: names[match[0]], piece.text)


def _marked(layout: Layout, tokens: Tokens) -> Marked:
    border = tokens.borders[layout.response]
    reads = [
        tokens.first(k) if piece.read == "first" else tokens.last(k)
        for k, piece in enumerate(layout.pieces)
        if piece.read
    ]
    return Marked(tokens.ids, sum(end <= border for end in tokens.ends), reads)


def _runs(pieces: Sequence[Piece], words: Sequence[str]) -> list[str]:
    """What is tokenised together: the pieces' words up to the next piece that stands apart."""
    runs: list[list[str]] = [[]]
    for piece, text in zip(pieces, words, strict=True):
        if piece.apart:
            runs.append([])
        runs[-1].append(text)
    return ["".join(run) for run in runs]


def _stripped(run: str, start: int, end: int) -> tuple[int, int]:
    text = run[start:end]
    return start + len(text) - len(text.lstrip()), end - (len(text) - len(text.rstrip()))
