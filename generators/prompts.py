"""How a problem becomes a prompt's tokens, and sampled tokens a text: one definition for every sampler."""

from __future__ import annotations

import datetime
import re
import secrets
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from bonbench.generators.special_tokens import renamed, special_pattern, special_tokens
from bonbench.generators.weighing import Ids, answer_ids
from harness.core.chat_template import Refused, leading_bos, rendered
from harness.core.errors import UserError
from harness.core.prompt import PromptParams, conversation, raw_prompt


class Codec:
    """From problems to prompt tokens and from sampled tokens to text, for one model's tokenizer.

    Args:
        generation_eos: the end-of-turn tokens that the model's generation config names.
        day: what the chat template is told where it asks for today's date.

    Attributes:
        stop_ids: tokens that end a response: those of the generation config, and the tokenizer's own.

    Raises:
        UserError: when there is neither a template nor a chat template.
    """

    def __init__(
        self,
        params: PromptParams,
        tokenizer: Any,
        model: str,
        generation_eos: int | Sequence[int] | None,
        day: datetime.date | None = None,
    ) -> None:
        if params.template is None and tokenizer.chat_template is None:
            raise UserError(f"{model}: its tokenizer has no chat template: give the prompt as `template`")
        self._params, self._tokenizer, self._model, self._day = params, tokenizer, model, day
        self._leading_bos = leading_bos(tokenizer)
        named = list(generation_eos) if isinstance(generation_eos, Sequence) else [generation_eos]
        if not all(isinstance(id_, int | None) for id_ in named) or isinstance(generation_eos, str):
            raise UserError(
                f"{model}: eos_token_id in generation_config.json is {generation_eos!r}, not a token's number"
            )
        self.stop_ids = sorted({*named, tokenizer.eos_token_id} - {None})
        special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        self._unwritten = {*special, *tokenizer.all_special_ids, *self.stop_ids}
        self._special = special_pattern(tokenizer)
        self._answers: dict[tuple[str, str], tuple[Ids, Ids]] = {}  # the whole vocabulary is looked through for each

    def prompt(self, problem: str) -> str:
        """The prompt as text.

        Raises:
            Refused: when the chat template refuses this problem, and takes others.
            UserError: when it refuses the conversation (some take no system prompt).
        """
        if self._params.template is not None:
            return raw_prompt(self._params, problem)
        try:
            return self._rendered(problem)
        except UserError as error:
            self._rendered("2 + 2?")
            raise Refused(str(error)) from error

    def _rendered(self, problem: str) -> str:
        return rendered(self._tokenizer, self._model, conversation(self._params, problem), True, self._day)

    def encode(self, problem: str, prefix: str = "") -> list[int]:
        """The prompt, and after it the beginning of a response, as token ids.

        The text is tokenised as a whole. It has one BOS token where the model wants one. A special token that the
        problem, or the beginning, spells out is text, as it is to whoever scores the responses.
        """
        spelled = self._special.search(problem) or self._special.search(prefix)
        if spelled and self._tokenizer.is_fast:
            ids = self._with_special_tokens_spelled(problem, prefix)
        else:
            ids = list(self._tokenizer(self.prompt(problem) + prefix, add_special_tokens=False)["input_ids"])
        # A chat template writes the BOS token itself; a raw prompt may.
        if self._params.template is not None and ids[:1] != self._leading_bos:
            ids = self._leading_bos + ids
        return ids

    @cached_property
    def _renamed(self) -> tuple[Any, dict[str, str]]:
        return renamed(self._tokenizer.backend_tokenizer, special_tokens(self._tokenizer))

    def _with_special_tokens_spelled(self, problem: str, prefix: str) -> list[int]:
        spelled: dict[str, str] = {}  # by what stands in its place while the prompt is written
        salt = secrets.token_hex(16)

        def hide(match: re.Match[str]) -> str:
            place = f"\uf8fe{salt}:{len(spelled)}\uf8fe"
            spelled[place] = match[0]
            return place

        problem, prefix = self._special.sub(hide, problem), self._special.sub(hide, prefix)
        backend, names = self._renamed
        text = self._special.sub(lambda match: names[match[0]], self.prompt(problem) + prefix)
        for place, special in spelled.items():
            text = text.replace(place, special)
        return list(backend.encode(text, add_special_tokens=False).ids)

    def answers(self, answers: tuple[str, str]) -> tuple[Ids, Ids]:
        """The tokens of two answers (:func:`~generators.weighing.answer_ids`)."""
        if answers not in self._answers:
            self._answers[answers] = answer_ids(self._tokenizer, answers, self._model)
        return self._answers[answers]

    def end(self, ids: list[int], n_tokens: int) -> list[int]:
        """The last ``n_tokens`` tokens of a prompt. The first of them is the BOS token where the prompt begins with it.

        The rest of the beginning is lost: what the chat template and the examples say there.
        """
        bos = ids[:1] if ids[0] == self._tokenizer.bos_token_id else []
        return bos + ids[len(ids) - n_tokens + len(bos) :]

    def decode(self, prompt: Sequence[int], tokens: Sequence[int]) -> str:
        """Tokens sampled after ``prompt`` as text, special and end-of-turn tokens left out.

        Decoded behind the prompt's last token: alone, a response could lose a leading space.
        """
        written = [token for token in tokens if token not in self._unwritten]
        anchor = self._tokenizer.decode(list(prompt[-1:]), clean_up_tokenization_spaces=False)
        whole = self._tokenizer.decode([*prompt[-1:], *written], clean_up_tokenization_spaces=False)
        return str(whole[len(anchor) :])
