"""The questions of the presets."""

from __future__ import annotations

from typing import get_args

import pytest

from bonbench.reward_models.generative.params import GenerativeParams, Preset
from bonbench.reward_models.generative.presets import PRESETS, TEMPLATES
from harness.core.records import Problem, Response, Solution
from harness.core.steps import step_spans
from harness.core.verifications import QuestionTemplate


@pytest.mark.parametrize("preset", get_args(Preset))
def test_every_preset_works_by_its_name_alone(preset: Preset) -> None:
    by = {"model": "m"} if preset == "genrm" else {"generator": "g"}
    params = GenerativeParams.model_validate({"preset": preset, **by})
    params.check()
    assert set(PRESETS) == set(TEMPLATES) == set(get_args(Preset))
    if preset != "genrm":
        assert params.reader()("nothing that is a verdict", 2) is None


def test_an_entry_has_the_last_word() -> None:
    params = GenerativeParams(generator="g", preset="thinkprm", max_tokens=99, begins="So: ", readout="labels")
    assert (params.max_tokens, params.begins, params.readout) == (99, "So: ", "labels")
    assert GenerativeParams(generator="g", preset="genprm").temperature == 0.6
    assert GenerativeParams(generator="g").at_temperature == 0
    assert GenerativeParams(generator="g", verifications=2).at_temperature == 1


def test_thinkprm_is_asked_in_the_words_of_its_code() -> None:
    template = QuestionTemplate(TEMPLATES["thinkprm"], "thinkprm")
    text = "Step 1: 2x = 4\n\nStep 2: x = 1,\nor so"
    question = template.render("Solve for x: 2x + 3 = 7", [text], step_texts(text))
    assert question.split("\n") == [
        "You are given a math problem and a proposed step-by-step solution:",
        "",
        "[Math Problem]",
        "",
        "Solve for x: 2x + 3 = 7",
        "",
        "[Solution]",
        "",
        "Step 1: 2x = 4",
        "Step 2: x = 1, or so",
        "",
        "Review and critique each step in the proposed solution to determine whether each step is correct. If the "
        "solution is incomplete, only verify the provided steps.",
    ]
    assert PRESETS["thinkprm"]["begins"] == "\nLet's verify step by step:"


def test_a_step_is_asked_about_with_those_before_it() -> None:
    steps = ["Let x = 3.", "Then 2x = 6.", "The answer is 6."]
    solution = Solution(Problem("p", "What is 2x?", ""), Response("p", "g", 0, "\n\n".join(steps)))
    for preset in ("genprm", "judge"):
        asked = GenerativeParams(generator="g", preset=preset, per="step")
        questions = list(_asked(asked).questions([solution]))
        for k, question in enumerate(questions):
            text = question.asked().problem
            assert [step in text for step in steps] == [j <= k for j in range(3)] and "What is 2x?" in text


def step_texts(text: str) -> list[str]:
    return [text[a:b] for a, b in step_spans(text)]


def _asked(params: GenerativeParams):  # type: ignore[no-untyped-def]
    from bonbench.reward_models.generative.model import GenerativeRewardModel

    return GenerativeRewardModel.verifications(params)
