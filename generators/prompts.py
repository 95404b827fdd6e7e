"""How a problem becomes a prompt: one definition for every sampler.

A chat model gets the problem in its chat template, as ``user_template`` puts it; the worked examples are earlier turns.
A base model gets the problem in the raw ``template``; the worked examples stand before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from harness.core.components import ComponentParams
from harness.core.errors import UserError
from harness.core.user_template import UserTemplate, filled, has_a_place


class Example(BaseModel):
    """A worked example: a problem and its solution, as the model should write it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    problem: str
    solution: str


class PromptParams(ComponentParams):
    """The parameters that decide the prompt.

    Without ``template``, the conversation is ``system_prompt``, then a user's and an assistant's turn per example of
    ``few_shot``, then the problem; what a user's turn says of a problem is ``user_template`` around it. With a
    ``template`` the text is ``system_prompt``, each example as the template followed by its solution, and the template
    around the problem, with a blank line between them.
    """

    system_prompt: str | None = Field(None, description="what the model is told before everything else")
    user_template: UserTemplate = None
    template: Annotated[str | None, AfterValidator(has_a_place)] = Field(
        None,
        description="a raw prompt with {problem} in it, for base models; other braces mean themselves; null: the "
        "model's own chat template",
    )
    few_shot: tuple[Example, ...] = Field((), description="worked examples: {problem, solution} each")

    @model_validator(mode="after")
    def _one_template(self) -> Self:
        if self.template is not None and self.user_template is not None:
            raise ValueError("user_template is for chats, template makes a raw prompt: remove one of them")
        return self


def conversation(params: PromptParams, problem: str) -> list[dict[str, str]]:
    """The chat messages that a problem is put as."""
    messages = [] if params.system_prompt is None else [{"role": "system", "content": params.system_prompt}]
    for example in params.few_shot:
        messages.append({"role": "user", "content": filled(params.user_template, example.problem)})
        messages.append({"role": "assistant", "content": example.solution})
    return [*messages, {"role": "user", "content": filled(params.user_template, problem)}]


def raw_prompt(params: PromptParams, problem: str) -> str:
    """The text that a problem is put as by ``params.template``, which must be given."""
    assert params.template is not None
    parts = [] if params.system_prompt is None else [params.system_prompt]
    parts += [filled(params.template, e.problem) + e.solution for e in params.few_shot]
    return "\n\n".join([*parts, filled(params.template, problem)])


class Codec:
    """From problems to prompt tokens and from sampled tokens to text, for one model's tokenizer.

    Args:
        generation_eos: the end-of-turn tokens that the model's generation config names.

    Attributes:
        stop_ids: tokens that end a response: those of the generation config, and the tokenizer's own.

    Raises:
        UserError: when there is neither a template nor a chat template.
    """

    def __init__(
        self, params: PromptParams, tokenizer: Any, model: str, generation_eos: int | Sequence[int] | None
    ) -> None:
        if params.template is None and tokenizer.chat_template is None:
            raise UserError(f"{model}: its tokenizer has no chat template: give the prompt as `template`")
        self._params, self._tokenizer, self._model = params, tokenizer, model
        bos = tokenizer.bos_token_id
        self._leading_bos = [bos] if bos is not None and tokenizer("")["input_ids"][:1] == [bos] else []
        named = list(generation_eos) if isinstance(generation_eos, Sequence) else [generation_eos]
        if not all(isinstance(id_, int | None) for id_ in named) or isinstance(generation_eos, str):
            raise UserError(
                f"{model}: eos_token_id in generation_config.json is {generation_eos!r}, not a token's number"
            )
        self.stop_ids = sorted({*named, tokenizer.eos_token_id} - {None})
        special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        self._unwritten = {*special, *tokenizer.all_special_ids, *self.stop_ids}

    def prompt(self, problem: str) -> str:
        """The prompt as text.

        Raises:
            UserError: when the chat template refuses the conversation (some take no system prompt).
        """
        if self._params.template is not None:
            return raw_prompt(self._params, problem)
        from jinja2 import TemplateError

        messages = conversation(self._params, problem)
        try:
            return str(self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
        except TemplateError as error:
            raise UserError(f"{self._model}: its chat template refuses the prompt: {error}") from error

    def encode(self, problem: str, prefix: str = "") -> list[int]:
        """The prompt, and after it the beginning of a response, as token ids.

        The text is tokenised as a whole. It has one BOS token where the model wants one.
        """
        ids = list(self._tokenizer(self.prompt(problem) + prefix, add_special_tokens=False)["input_ids"])
        # A chat template writes the BOS token itself; a raw prompt may.
        if self._params.template is not None and ids[:1] != self._leading_bos:
            ids = self._leading_bos + ids
        return ids

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
