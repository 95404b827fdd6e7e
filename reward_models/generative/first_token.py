"""The probability that a model answers yes, read at the first token of its reply, without sampling."""

from __future__ import annotations

import secrets
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, ClassVar

from bonbench.reward_models.generative.params import QuestionParams
from bonbench.reward_models.hidden_state_model import Convention, HiddenStateParams
from bonbench.reward_models.text.layouts import Chat, Format, Layout, Piece
from bonbench.reward_models.two_answers import TwoAnswers
from bonbench.reward_models.vllm.params import CAUSAL_LM
from harness.core.chat_template import Refused
from harness.core.errors import UserError
from harness.core.params import StepsParams
from harness.core.records import Solution
from harness.core.verifications import QuestionTemplate

if TYPE_CHECKING:
    from bonbench.reward_models.text.pieces import PieceEncoder


def asked_about(template: QuestionTemplate, system: str | None, chat: Chat, solution: Solution) -> Layout:
    """The question about a response as a user's turn, read where the assistant is to answer.

    What stands before the response is the same for all responses to a problem, and counts as their prompt.

    Raises:
        UserError: where the chat template leaves no place for an answer.
    """
    problem = solution.problem.problem
    question = template.render(problem, [solution.response.text], solution.steps)
    mark = secrets.token_hex(16)
    before = template.render(problem, [mark], [mark]).partition(mark)[0]
    shared = before if question.startswith(before) else ""
    told = [] if system is None else [("system", [Piece(system)])]
    try:
        pieces, contents = chat.pieces([*told, ("user", [Piece(shared), Piece(question[len(shared) :])])], ready=True)
        response = contents[-1] + 1
    except Refused:  # the template rewrites the question, and no border in it is found again
        pieces, contents = chat.pieces([*told, ("user", [Piece(question)])], ready=True)
        response = contents[-1]
    pieces[-1] = pieces[-1]._replace(read="last")
    if not pieces[-1].text:
        raise UserError("the chat template writes nothing after a user's turn, so there is no place for an answer")
    return Layout(pieces, response)


def layout_of(params: QuestionParams) -> Format:
    """The layout in which the questions of some parameters are read."""
    return partial(asked_about, _template(params.text(), params.place), params.system)


@lru_cache(maxsize=8)
def _template(text: str, place: str) -> QuestionTemplate:
    return QuestionTemplate(text, place)


def _no_layout(chat: Chat, solution: Solution) -> Layout:
    """The layout of a convention whose template is a parameter."""
    raise NotImplementedError


def answer_ids(encoder: PieceEncoder, params: QuestionParams, model: str) -> list[int]:
    """The first tokens of the answers yes and no.

    Raises:
        UserError: where both answers begin with the same token, or one with none that the tokenizer knows.
    """
    yes, no = encoder.first_token(params.answer_yes), encoder.first_token(params.answer_no)
    if yes == no:
        raise UserError(
            f"{model}: {params.answer_yes!r} and {params.answer_no!r} begin with the same token: set answer_yes and "
            "answer_no to others"
        )
    return [yes, no]


class FirstTokenParams(HiddenStateParams, QuestionParams, StepsParams):
    """Parameters of :class:`FirstToken`."""


class FirstToken(TwoAnswers[FirstTokenParams]):
    """p(yes) / (p(yes) + p(no)) of the first tokens of both answers, where the model is to answer the question."""

    Params = FirstTokenParams
    reward = "ORM"
    family = "generative"
    conventions: ClassVar = {"question": Convention(_no_layout, "transformers:AutoModelForCausalLM", CAUSAL_LM)}

    @classmethod
    def _format(cls, params: FirstTokenParams) -> Format:
        return layout_of(params)

    @cached_property
    def answers(self) -> list[int]:
        """Ids of the answers' first tokens."""
        return answer_ids(self.encoder, self.params, self.params.model)
