"""The tokens of two answers, and their share of what a model may say next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from harness.core.errors import UserError

#: What marks a token that begins a word, in the vocabularies of SentencePiece and of byte-level BPE.
_BLANKS = "\u2581\u0120 "

Ids = frozenset[int]


def answer_ids(tokenizer: Any, answers: Sequence[str], model: str) -> tuple[Ids, Ids]:
    """Of two answers the tokens that each is, in any case and with or without a blank before it; or, where it is no
    token of the vocabulary, the first token of it.

    Raises:
        UserError: where both have a token in common, or one has none that is known.
    """
    yes, no = (_ids(tokenizer, answer) for answer in answers)
    if not yes or not no or yes & no:
        raise UserError(
            f"{model}: {answers[0]!r} and {answers[1]!r} do not begin with tokens of their own: set answer_yes and "
            "answer_no to others"
        )
    return yes, no


def _ids(tokenizer: Any, answer: str) -> Ids:
    wanted = answer.strip().casefold()
    words = {id_ for token, id_ in tokenizer.get_vocab().items() if token.strip(_BLANKS).casefold() == wanted}
    if words:
        return frozenset(words)
    first = tokenizer(answer, add_special_tokens=False)["input_ids"][:1]
    return frozenset(first) - {tokenizer.unk_token_id}


def share(likely: Iterable[tuple[int, float]], yes: Ids, no: Ids) -> float | None:
    """P(yes) / (P(yes) + P(no)) from (token, log-probability) of the most probable tokens; None without either."""
    known = dict(likely)
    for_yes, for_no = (math.fsum(math.exp(known[id_]) for id_ in ids & known.keys()) for ids in (yes, no))
    return for_yes / (for_yes + for_no) if for_yes + for_no > 0 else None
