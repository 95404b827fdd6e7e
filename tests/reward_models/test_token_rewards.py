"""Implicit rewards of single tokens."""

from __future__ import annotations

import pytest

from bonbench.reward_models.implicit import ImplicitParams, ImplicitPRM
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Solution, TokenLogprobs


def solution(text: str, **passes: tuple[list[float], list[int]]) -> Solution:
    roles = {role: TokenLogprobs("p", "g", 0, tuple(lp), tuple(ends), 9) for role, (lp, ends) in passes.items()}
    return Solution(Problem("p", "2 + 2", "4"), Response("p", "g", 0, text, finish_reason="stop"), roles)


def prm(per: str, reference: str | None = "ref") -> ImplicitPRM:
    return ImplicitPRM(
        ImplicitParams.model_validate({"policy": "pol", "reference": reference, "beta": 0.5, "per": per})
    )


def test_each_token_has_its_log_ratio_and_steps_are_their_sums() -> None:
    text, ends = "Step 1: ab\nStep 2: c", [9, 13, 20, 20]
    scored = solution(text, policy=([-1.0, -2.0, -3.0, -0.5], ends), reference=([-1.5, -1.0, -3.5, -2.0], ends))
    tokens = prm("token").score([scored])[0]
    assert tokens.step_rewards == pytest.approx((0.25, -0.5, 0.25, 0.75))
    assert tokens.step_ends == tuple(ends)
    steps = prm("step").score([scored])[0]
    assert steps.step_rewards == pytest.approx((tokens.step_rewards[0], sum(tokens.step_rewards[1:])))


def test_an_empty_response_has_one_reward() -> None:
    record = prm("token", reference=None).score([solution("", policy=([], []))])[0]
    assert (record.step_rewards, record.step_ends, record.n_tokens) == ((0.0,), (0,), 0)


def test_policy_and_reference_must_agree_on_tokens() -> None:
    apart = solution("ab", policy=([-1.0, -1.0], [1, 2]), reference=([-1.0], [2]))
    with pytest.raises(UserError, match="pol and ref cut a response into different tokens"):
        prm("token").score([apart])
    assert prm("step").score([apart])[0].step_rewards == (-0.5,)
