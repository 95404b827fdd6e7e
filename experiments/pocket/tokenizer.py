"""The pocket models' tokenizer: words, LaTeX commands and numbers up to 99 are single tokens.

Pieces include the spaces around them, and the decoder joins pieces as they are, so decoding gives back the exact text.
Numbers of any length can be written, two digits a token, from the left. Single printable characters are in the
vocabulary too, so text outside the world can be read, at more tokens.
"""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import Any

PAD, BOS, EOS, USER, ASSISTANT, UNKNOWN = "<|pad|>", "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|unknown|>"

#: Alternatives in order of preference; the last one takes any character, so the pieces tile every text.
_PIECES = "|".join(
    (
        r"Step \d+: ?",
        r" ?\$\\boxed\{",
        r"\}\$",
        r"\}\{",
        r" ?\\[A-Za-z]+\{? ?",
        r" ?[A-Za-z]+[,.:]? ?",
        r"\d{1,2}",
        r"\(-?",
        r", ?",
        r" ?[-+=] ?",
        r"[\s\S]",
    )
)

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
    f"{ASSISTANT}{{% generation %}}{{{{ message['content'] + eos_token }}}}{{% endgeneration %}}"
    f"{{% else %}}{USER}{{{{ message['content'] }}}}{{% endif %}}{{% endfor %}}"
    f"{{% if add_generation_prompt %}}{ASSISTANT}{{% endif %}}"
)


def build_tokenizer(texts: Iterable[str]) -> Any:
    """A ``PreTrainedTokenizerFast`` whose vocabulary holds every piece of ``texts``."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")
    pieces = {piece for text in texts for piece, _ in split.pre_tokenize_str(text)}
    pieces |= set(string.printable) | {str(n) for n in range(100)} | {f"{n:02}" for n in range(10)}
    specials = [PAD, BOS, EOS, USER, ASSISTANT, UNKNOWN]
    vocabulary = {piece: index for index, piece in enumerate(specials + sorted(pieces))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        additional_special_tokens=[USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
