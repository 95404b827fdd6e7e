"""From (problem, response) to the token ids that a causal language model reads, with character offsets.

What is tokenised is always one string, the rendered chat template up to the assistant's turn, the response
and, where the model ended its turn, the end-of-turn token. Tokenising pieces and joining their ids would give
other tokens than the model ever sees wherever a token spans the border.
"""

from __future__ import annotations

import copy
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Encoding, Tokenizer
from transformers import PreTrainedTokenizerBase

from harness.registry import UserError


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of prompt and response; ``ids[:n_prompt]`` are the prompt's.

    A token that holds characters of both belongs to the response. ``token_ends`` are the response tokens' ends
    as character offsets into the response text.
    """

    ids: list[int]
    n_prompt: int
    token_ends: list[int]


class SolutionEncoder:
    """Encodes solutions for one chat model.

    Raises:
        UserError: when the tokenizer has no chat template or gives no character offsets.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: str) -> None:
        if tokenizer.chat_template is None:
            raise UserError(f"{model}: its tokenizer has no chat template, so there is no prompt for a response")
        if not tokenizer.is_fast:
            raise UserError(f"{model}: its tokenizer has no fast (Rust) version, which character offsets need")
        self._tokenizer = tokenizer
        # An own copy: without padding and truncation, and without the post-processor, which would trim
        # whitespace off the offsets and adds nothing else, the template writing all special tokens.
        self._state: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
        self._state |= {"padding": None, "truncation": None, "post_processor": None}
        self._backend = Tokenizer.from_str(json.dumps(self._state))
        self._specials = {t.content for t in tokenizer.added_tokens_decoder.values() if t.special}
        self._special = re.compile("|".join(map(re.escape, sorted(self._specials, key=len, reverse=True))) or r"(?!)")
        self._disguised: tuple[Tokenizer, dict[str, str]] | None = None
        self.end_of_turn = self._end_of_turn(model)

    def encode(self, solutions: Sequence[tuple[str, str, bool]]) -> list[Encoded]:
        """Encode (problem, response text, whether the model ended its turn) triples."""
        prompts = {problem: self._prompt(problem) for problem in dict.fromkeys(s[0] for s in solutions)}
        plain = [i for i, (_, text, _) in enumerate(solutions) if not self._special.search(text)]
        encoded: dict[int, Encoded] = {}
        strings = [
            prompts[problem] + text + (self.end_of_turn if ended else "")
            for problem, text, ended in (solutions[i] for i in plain)
        ]
        encodings = self._backend.encode_batch(strings, add_special_tokens=False)
        for i, encoding in zip(plain, encodings, strict=True):
            problem, text, _ = solutions[i]
            encoded[i] = _split(encoding, len(prompts[problem]), len(text))
        for i, (problem, text, ended) in enumerate(solutions):
            if i not in encoded:
                encoded[i] = self._encode_literally(prompts[problem], text, ended)
        return [encoded[i] for i in range(len(solutions))]

    def _prompt(self, problem: str) -> str:
        messages = [{"role": "user", "content": problem}]
        return str(self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))

    def _end_of_turn(self, model: str) -> str:
        """What the chat template writes after the assistant's words, or the EOS token where it writes nothing."""
        words = "words of the assistant"
        messages = [{"role": "user", "content": "problem"}, {"role": "assistant", "content": words}]
        after = self._tokenizer.apply_chat_template(messages, tokenize=False).rpartition(words)[2]
        special = self._special.match(after.lstrip())
        token = special[0] if special else self._tokenizer.eos_token
        if not token:
            raise UserError(f"{model}: neither its chat template nor its tokenizer names an end-of-turn token")
        return str(token)

    def _encode_literally(self, prompt: str, text: str, ended: bool) -> Encoded:
        """Encode a response in which the text of a special token occurs, say "<|im_end|>" typed out.

        To a tokenizer such text is that token wherever it stands in the string, and switching this off
        switches it off for the prompt too. So a copy of the tokenizer has its special tokens renamed to strings
        nobody can have written, and the prompt is written with the new names. It is still one string.
        """
        if self._disguised is None:
            self._disguised = _renamed(self._state, self._specials)
        tokenizer, names = self._disguised
        prompt = self._special.sub(lambda match: names[match[0]], prompt)
        string = prompt + text + (names[self.end_of_turn] if ended else "")
        return _split(tokenizer.encode(string, add_special_tokens=False), len(prompt), len(text))


def _split(encoding: Encoding, n_prompt_characters: int, n_text_characters: int) -> Encoded:
    ends = [end for _, end in encoding.offsets]
    n_prompt = sum(end <= n_prompt_characters for end in ends)
    token_ends = [min(end - n_prompt_characters, n_text_characters) for end in ends[n_prompt:]]
    return Encoded(encoding.ids, n_prompt, token_ends)


def _renamed(state: dict[str, Any], specials: set[str]) -> tuple[Tokenizer, dict[str, str]]:
    """A tokenizer like the one with ``state``, its special tokens renamed to unguessable texts; and old -> new."""
    salt = secrets.token_hex(16)
    names = {content: f"\uf8ff{salt}:{i}\uf8ff" for i, content in enumerate(sorted(specials))}
    state = copy.deepcopy(state)
    for token in state["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    model = state["model"]
    if isinstance(model.get("vocab"), dict):
        model["vocab"] = {names.get(token, token): id_ for token, id_ in model["vocab"].items()}
    else:
        model["vocab"] = [[names.get(token, token), score] for token, score in model["vocab"]]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    return Tokenizer.from_str(json.dumps(state)), names
