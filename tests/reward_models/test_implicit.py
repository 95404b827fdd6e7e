"""Implicit process rewards: definitions, boundaries, and proposition 3.1 by enumeration."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tiny_models import make_model

from bonbench.reward_models.implicit import ImplicitParams, ImplicitPRM
from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer
from bonbench.reward_models.training.params import ImplicitTrainerParams
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Solution, StepScores, TokenLogprobs
from harness.core.registry import find

PROBLEM = Problem("p", "2 + 2 + 3", "7")


def prm(reference: str | None = "ref", beta: float = 0.5, **more: Any) -> ImplicitPRM:
    return ImplicitPRM(ImplicitParams(policy="pol", reference=reference, beta=beta, **more), "rm")


def solution(text: str, **passes: tuple[list[float], list[int]]) -> Solution:
    return Solution(
        PROBLEM,
        Response("p", "g", 4, text, finish_reason="stop"),
        {role: TokenLogprobs("p", "g", 4, tuple(lp), tuple(ends), 9) for role, (lp, ends) in passes.items()},
    )


def test_step_rewards_by_hand() -> None:
    text = "Step 1: ab\nStep 2: c"
    # Tokens: "Step 1: a", "b\nSt" (ends in step 2), "ep 2: c", end of turn.
    ends = [9, 13, 20, 20]
    record = prm().score(
        [solution(text, policy=([-1.0, -2.0, -3.0, -0.5], ends), reference=([-1.5, -1.0, -3.5, -2.0], ends))]
    )[0]
    assert record.step_rewards == pytest.approx((0.5 * 0.5, 0.5 * (-1.0 + 0.5 + 1.5)))
    assert record.step_ends == (11, 20)
    assert (record.reward_model, record.problem_id, record.generator, record.sample) == ("rm", "p", "g", 4)
    assert record.n_tokens == 4


def test_without_reference_it_is_the_scaled_log_likelihood() -> None:
    record = prm(reference=None).score([solution("Step 1: a\nStep 2: b", policy=([-1.0, -2.0], [10, 19]))])[0]
    assert record.step_rewards == (-0.5, -1.0)
    assert ImplicitPRM.token_passes(prm(reference=None).params) == {"policy": "pol"}
    assert ImplicitPRM.token_passes(prm().params) == {"policy": "pol", "reference": "ref"}


def test_steps_sum_to_the_log_ratio_of_the_sequence(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    texts = ["Step 1: 2 + 2 = 4\nStep 2: 4 + 3 = 7\nThe answer is 7", "so 7\n\n\n7", "", "7\n"]
    bare = [Solution(PROBLEM, Response("p", "g", j, t, finish_reason="stop")) for j, t in enumerate(texts)]
    passes = {
        role: CausalLMScorer(CausalLMParams(model=make_model(tmp_path / role, seed))).logprobs(bare)
        for seed, role in enumerate(["policy", "reference"])
    }
    batch = [
        Solution(PROBLEM, s.response, {role: records[i] for role, records in passes.items()})
        for i, s in enumerate(bare)
    ]
    for i, record in enumerate(prm(beta=0.05).score(batch)):
        ratio = sum(passes["policy"][i].logprobs) - sum(passes["reference"][i].logprobs)
        assert sum(record.step_rewards) == pytest.approx(0.05 * ratio, abs=1e-6)
        assert record.step_ends is not None
        assert len(record.step_rewards) == len(record.step_ends)
    assert [len(r.step_rewards) for r in prm().score(batch)] == [2, 2, 1, 1]


def test_proposition_3_1_by_enumeration() -> None:
    """q_t = beta log E_{y ~ ref(.|y<=t)} exp(r(y) / beta) for r(y) = beta log policy(y) / ref(y)."""
    rng = np.random.default_rng(0)
    vocabulary, length, beta = 3, 4, 0.7
    # Next-token distributions of two random "models" for every prefix.
    prefixes = [prefix for t in range(length) for prefix in product(range(vocabulary), repeat=t)]
    policy, reference = ({p: rng.dirichlet(np.ones(vocabulary)) for p in prefixes} for _ in range(2))

    def logp(model: dict[tuple[int, ...], np.ndarray], y: tuple[int, ...]) -> list[float]:
        return [float(np.log(model[y[:t]][y[t]])) for t in range(length)]

    text = "a\nb\nc\nd"  # one step per token: the line breaks end the tokens
    ends = [2, 4, 6, 7]
    everything = list(product(range(vocabulary), repeat=length))
    outcome = {y: beta * (sum(logp(policy, y)) - sum(logp(reference, y))) for y in everything}
    for y in [(0, 1, 2, 0), (2, 2, 1, 1)]:
        scored = prm(beta=beta).score(
            [solution(text, policy=(logp(policy, y), ends), reference=(logp(reference, y), ends))]
        )[0]
        q = np.cumsum(scored.step_rewards)
        for t in range(1, length + 1):
            rest = [z for z in everything if z[:t] == y[:t]]
            weights = [np.exp(sum(logp(reference, z)[t:])) for z in rest]
            expected = beta * np.log(sum(w * np.exp(outcome[z] / beta) for w, z in zip(weights, rest, strict=True)))
            assert q[t - 1] == pytest.approx(expected)


def test_trained_entries() -> None:
    training = ImplicitTrainerParams(base="base", beta=0.3)
    entry = ImplicitPRM.with_trained({}, "trained", "base", training)
    assert entry == {"policy": "trained", "reference": "base", "beta": 0.3}
    entry = ImplicitPRM.with_trained({"reference": None, "beta": 1.0, "coefficient": 0.1}, "trained", "base", training)
    assert entry == {"policy": "trained", "reference": None, "beta": 1.0, "coefficient": 0.1}
    assert ImplicitPRM(ImplicitParams.model_validate(entry)).coefficient == 0.1


def test_registered_and_declared() -> None:
    cls = find("reward_models", "implicit")
    assert cls.score_type == "log-ratio"
    assert cls.aggregation == "min"
    assert cls.reward == "PRM"


def test_mistakes() -> None:
    with pytest.raises(UserError, match="every reward would be 0"):
        ImplicitPRM.check(ImplicitParams(policy="m", reference="m"))
    with pytest.raises(ValidationError, match="reference"):
        ImplicitParams.model_validate({"policy": "m"})


TWO_STEPS = "Step 1: ab\nStep 2: c"
UNREAD = TokenLogprobs("p", "g", 4, (), (), 0)


def half_read() -> Solution:
    """A solution that the policy has read and the reference has not."""
    read = solution(TWO_STEPS, policy=([-1.0, -2.0], [11, 20]))
    return replace(read, logprobs={**read.logprobs, "reference": UNREAD})


def test_what_a_model_has_not_read_has_no_score() -> None:
    read = solution(TWO_STEPS, policy=([-1.0, -2.0], [11, 20]), reference=([-2.0, -2.5], [11, 20]))
    first, second = prm().score_read([half_read(), read])
    assert first == StepScores("p", "g", 4, "rm", (), (), 0)
    assert [second] == prm().score([read])
    with pytest.raises(UserError, match="sample 4 of g for problem 'p' is longer than the reference reads"):
        prm(too_long="error").score_read([read, half_read()])


@pytest.mark.parametrize(("per", "rewards", "ends"), [("step", (0.5,), (11,)), ("token", (0.5, 0.25), (11, 15))])
def test_of_truncated_passes_counts_what_both_models_have_read(
    per: str, rewards: tuple[float, ...], ends: tuple[int, ...]
) -> None:
    cut = solution(TWO_STEPS, policy=([-1.0, -2.0, -9.0], [11, 15, 20]), reference=([-2.0, -2.5], [11, 15]))
    record = prm(too_long="truncate", per=per).score([cut])[0]
    assert (record.step_rewards, record.step_ends) == (rewards, ends)
    nothing_whole = solution(TWO_STEPS, policy=([-1.0], [5]), reference=([-2.0], [5]))
    assert (prm(too_long="truncate", per=per).score([nothing_whole])[0].step_rewards == ()) == (per == "step")


def test_only_truncation_asks_for_other_passes() -> None:
    asked = {choice: ImplicitPRM.token_passes(prm(too_long=choice).params) for choice in ("skip", "error", "truncate")}
    assert asked["skip"] == asked["error"] == {"policy": "pol", "reference": "ref"}
    assert asked["truncate"]["policy"] == {"model": "pol", "too_long": "truncate"}
