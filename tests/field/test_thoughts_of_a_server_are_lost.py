"""A reasoning model behind a server: its words are beside the answer, or nowhere; no answer passes for a good one.

generative-computing/mellea#1060, lmstudio-ai/lmstudio-bug-tracker#1602, xorbitsai/xagent#626.
"""

from __future__ import annotations

from typing import Any

import pytest
from model_server import Reply, completion, serving

from bonbench.generators.openai import OpenAIGenerator
from bonbench.generators.openai_answers import read_completion
from bonbench.generators.openai_params import OpenAIParams
from bonbench.verifiers.judge import JudgeParams, JudgeVerifier
from harness.core.incomplete import Incomplete
from harness.core.records import Problem, Sampling
from harness.core.server.failures import Unusable
from harness.experiment.entries import build
from harness.experiment.model_files import Artifacts

#: The message of an answer -> the text with the thoughts, and without them.
SHAPES: dict[str, tuple[dict[str, Any], str, str]] = {
    "vLLM before 0.12, DeepSeek": (
        {"content": "\n\n4", "reasoning_content": "\n2 and 2\n"},
        "<think>\n2 and 2\n</think>\n\n4",
        "\n\n4",
    ),
    "vLLM, OpenRouter": ({"content": "4", "reasoning": "hm"}, "<think>hm</think>4", "4"),
    "both": ({"content": "4", "reasoning": "hm", "reasoning_content": "hm"}, "<think>hm</think>4", "4"),
    "no answer": ({"content": None, "reasoning": "It is 4."}, "<think>It is 4.</think>", ""),
    "parts": (
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "h"}, {"type": "text", "text": "m"}]},
                {"type": "text", "text": "4"},
            ]
        },
        "<think>hm</think>4",
        "4",
    ),
    "parts without thoughts": ({"content": [{"text": "a"}, {"type": "output_text", "text": "b"}]}, "ab", "ab"),
    "in the text already": ({"content": "<think>a</think>", "reasoning": "a"}, "<think>a</think>", "<think>a</think>"),
    "with its own marks": ({"content": "4", "reasoning": "<think>hm</think>"}, "<think>hm</think>4", "4"),
    "blank thoughts": ({"content": "4", "reasoning_content": "\n"}, "4", "4"),
    "half a character": ({"content": "4\ud83d", "reasoning": "\ude00"}, "<think>\ufffd</think>4\ufffd", "4\ufffd"),
    "a refusal": ({"content": None, "refusal": "I cannot."}, "I cannot.", "I cannot."),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_the_text_is_what_was_counted(shape: str) -> None:
    message, kept, dropped = SHAPES[shape]
    answer = completion(n_tokens=20, **message)
    assert read_completion(answer, {}).text == kept
    assert read_completion(answer, {}, keep_reasoning=False).text == dropped


def test_thoughts_that_are_cut_off_are_not_closed() -> None:
    answer = completion(None, 20, "length", reasoning="It may be")
    assert read_completion(answer, {}).text == "<think>It may be"


def test_words_that_never_come_are_refused_or_said(caplog: pytest.LogCaptureFixture) -> None:
    def answer(body: dict[str, Any]) -> Reply:
        return Reply(completion(None, 20, "length" if body["seed"] else "stop"))

    with serving(answer) as server:
        model = OpenAIGenerator(OpenAIParams(model="served", base_url=server.url, tries=1), "remote")
        with pytest.raises(Incomplete, match=r"problem 'p': .* has no text, and 20 tokens are counted") as error:
            model.generate([Problem("p", "2 + 2?", "4")], Sampling(n=2), {"p": [0, 1]})
    assert [(r.sample, r.text, r.finish_reason) for r in error.value.made] == [(1, "", "length")]
    assert "1 responses have counted tokens and no text, the first to problem 'p' with 20 tokens" in caplog.text


def test_a_response_may_be_empty() -> None:
    assert read_completion(completion("", 1), {}).text == ""  # its end of turn alone
    assert read_completion(completion("", 3), {"stop": ["\n\nQ:"]}).text == ""
    with pytest.raises(Unusable):
        read_completion(completion("", 3), {})


def test_results_that_are_stored_stay() -> None:
    def identity(**entry: object) -> object:
        return Artifacts().identity(build("generators", "g", {"type": "openai", "model": "m", **entry}, "g", {}))

    assert identity() == identity(reasoning="keep") != identity(reasoning="drop")


def test_a_judges_verdict_is_not_sought_in_its_thoughts() -> None:
    replies = {
        "1": completion("no", reasoning_content="yes, yes"),
        "2": completion("<think>yes or", finish_reason="length"),
        "3": completion("<think>no, no</think>yes"),
        "4": completion(None, 20, "length", reasoning="yes, I think"),
    }

    def answer(body: dict[str, Any]) -> Reply:
        asked = body["messages"][-1]["content"]
        return Reply(next(reply for number, reply in replies.items() if f"judge: {number}" in asked))

    with serving(answer) as server:
        judge = JudgeVerifier(JudgeParams(model="judge", base_url=server.url, tries=1), "judge")
        verdicts = judge.verify([(number, "9") for number in replies])
    unreadable = (False, "unreadable verdict")
    assert verdicts == [(False, "judge"), unreadable, (True, "judge"), unreadable]
