"""Responses without a score: what the engine stores of them, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.core.components import ModelFacts, RewardModel, TokenScorer
from harness.core.params import ComponentParams
from harness.core.records import Problem, Response, Solution, StepScores, TokenLogprobs
from harness.engine import tasks
from harness.storage.arrow import to_records, to_table

CONFIG = {
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 50,
}
PROBLEMS = to_table(Problem, [Problem("p", "1 + 1", "2")])


def responses(*texts: str) -> list[Response]:
    return [Response("p", "g", i, text, n_prompt_tokens=7, n_tokens=len(text)) for i, text in enumerate(texts)]


class Picky(RewardModel[ComponentParams]):
    """Gives a response of more than three characters no reward."""

    unscored_because = "longer than three characters"

    def describe(self) -> ModelFacts:
        return ModelFacts(CONFIG, "cpu")

    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        return [
            self.unscored(s)
            if len(s.response.text) > 3
            else StepScores("p", "g", s.response.sample, self.name, (1.0,), None, len(s.response.text))
            for s in batch
        ]


class Strict(Picky):
    """Cannot make anything of a solution that a token pass has not read."""

    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        assert batch and all(s.logprobs["model"].logprobs for s in batch)
        return super().score(batch)


class Short(TokenScorer[ComponentParams]):
    """Reads responses of up to three characters."""

    def describe(self) -> ModelFacts:
        return ModelFacts(CONFIG, "cpu")

    def logprobs(self, batch: Sequence[Solution]) -> list[TokenLogprobs]:
        return [
            TokenLogprobs("p", "g", s.response.sample, (), (), 0)
            if (n := len(s.response.text)) > 3
            else TokenLogprobs("p", "g", s.response.sample, (-1.0,) * n, tuple(range(1, n + 1)), 7)
            for s in batch
        ]


def test_an_adapter_may_leave_responses_unscored() -> None:
    result = tasks.score(Picky(ComponentParams(), "mine"), PROBLEMS, to_table(Response, responses("12345", "123")))
    unscored, scored = to_records(StepScores, result.table)
    assert unscored == StepScores("p", "g", 0, "mine", (), (), 0)
    assert scored.step_rewards == (1.0,)
    assert result.meta["unscored_because"] == "longer than three characters"
    # What was not read costs nothing; the prompt was read for the other one.
    alone = tasks.score(Picky(ComponentParams(), "mine"), PROBLEMS, to_table(Response, responses("", "123")[1:]))
    assert (result.prompt_tokens, result.completion_tokens) == (alone.prompt_tokens, alone.completion_tokens) == (7, 3)
    assert result.flops == pytest.approx(alone.flops)
    assert "unscored_because" not in alone.meta


def test_what_no_token_pass_has_read_is_not_handed_to_the_reward_model() -> None:
    table = to_table(Response, responses("12345", "123", "123456"))
    read = tasks.token_pass(Short(ComponentParams()), PROBLEMS, table)
    assert (read.prompt_tokens, read.completion_tokens) == (7, 3)
    result = tasks.score(Strict(ComponentParams(), "mine"), PROBLEMS, table, model=read.table)
    assert [record.step_rewards for record in to_records(StepScores, result.table)] == [(), (1.0,), ()]
    nothing = to_table(Response, responses("12345"))
    unread = tasks.token_pass(Short(ComponentParams()), PROBLEMS, nothing)
    result = tasks.score(Strict(ComponentParams(), "mine"), PROBLEMS, nothing, model=unread.table)
    assert [record.step_rewards for record in to_records(StepScores, result.table)] == [()]
