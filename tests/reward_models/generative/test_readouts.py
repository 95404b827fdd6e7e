r"""Verdicts in replies as judges write them."""

from __future__ import annotations

import pytest

from bonbench.reward_models.generative.model import GenerativeRewardModel
from bonbench.reward_models.generative.params import GenerativeParams
from bonbench.reward_models.generative.readouts import choice, grade, labels, ranking, said, yes_or_no
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Solution


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"It is right. \boxed{yes}", 1.0),
        (r"\boxed{No}", 0.0),
        (r"$\boxed{\text{Yes}}$.", 1.0),
        (r"\boxed{\textbf{incorrect}}", 0.0),
        (r"First \boxed{no}, but on second thoughts \boxed{yes}", 1.0),
        (r"The solution says \boxed{14}, I get \boxed{14}. \boxed{correct}", 1.0),
        ("[[no]]", 0.0),
        ("Is the solution correct? Yes", 1.0),
        ("Verification: Is the answer correct (Yes/No)? **No**", 0.0),
        ("Verdict: correct", 1.0),
        (" yes.\n", 1.0),
        ("**No**", 0.0),
        (r"Is the solution correct? Yes, so \boxed{no}", 0.0),
        (r"The answer is \boxed{14}.", None),
        ("No step is wrong, yes it holds.", None),  # words of a sentence are no verdict
        (r"\boxed{yes or no}", None),
        (r"\boxed{yes", None),
        ("", None),
    ],
)
def test_yes_or_no(text: str, value: float | None) -> None:
    assert yes_or_no(text) == (None if value is None else (value,))


def test_an_answer_may_be_another_word() -> None:
    assert yes_or_no("+", yes="+", no="-") == yes_or_no(r"so \boxed{+}", yes="+", no="-") == (1.0,)
    assert yes_or_no(" -\n", yes="+", no="-") == (0.0,) and yes_or_no("+") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\boxed{7}", 0.7),
        (r"\boxed{0}", 0.0),
        ("Rating: [[10]]", 1.0),
        (r"\boxed{7/10}", 0.7),
        ("Score: 2.5", 0.25),
        ("The grade is **4**", 0.4),
        (" 9\n", 0.9),
        (r"\boxed{11}", None),
        (r"\boxed{-1}", None),
        ("I saw 3 mistakes", None),
        (r"\boxed{good}", None),
    ],
)
def test_grades(text: str, value: float | None) -> None:
    read = grade(text, worst=0, best=10)
    assert read is None if value is None else read == (pytest.approx(value),)


def test_a_scale_may_fall() -> None:
    assert grade(r"\boxed{1}", worst=5, best=1) == (1.0,)
    assert grade(r"\boxed{4}", worst=5, best=1) == (0.25,)
    assert grade(r"\boxed{6}", worst=5, best=1) is None


@pytest.mark.parametrize(
    ("boxes", "n", "values"),
    [
        (["correct", "incorrect"], 2, (1.0, 0.0)),
        (["correct", "14", "correct"], 2, (1.0, 1.0)),
        (["incorrect"], 3, (0.0, 0.0, 0.0)),  # it stopped at the first wrong step
        (["correct", "incorrect"], 4, (1.0, 0.0, 0.0, 0.0)),
        (["correct"], 2, None),  # nothing says what the second one is
        (["correct", "correct", "correct"], 2, None),
        ([], 1, None),
    ],
)
def test_labels_of_steps(boxes: list[str], n: int, values: tuple[float, ...] | None) -> None:
    assert labels("\n".join(f"Step {k}: the step is \\boxed{{{box}}}" for k, box in enumerate(boxes, 1)), n) == values


def test_a_reply_as_thinkprm_writes_it() -> None:
    text = (
        "\nLet's verify step by step:\nStep 1 seems fine.\n**Final Output:**\nStep 1 is \\boxed{correct}\n"
        "Step 2 is \\boxed{incorrect}\n</think>\nIs the solution correct? No"
    )
    reply = Response("p#0", "judge", 0, text, finish_reason="stop")
    assert yes_or_no(said(reply) or "") == (0.0,)
    whole = said(reply, with_thoughts=True)
    assert whole is not None and labels(whole, 2) == (1.0, 0.0) and labels(whole, 3) == (1.0, 0.0, 0.0)
    assert labels("\\boxed{no}</think>\\boxed{yes}", 1) == (1.0,)  # what is said counts first


def test_choices_and_rankings() -> None:
    assert choice(r"\boxed{A}") == choice("[[A]]") == choice(r"\boxed{\text{Solution 1}}") == (1.0, 0.0)
    assert choice(r"\boxed{A} … no, \boxed{b}") == (0.0, 1.0)
    assert choice(r"\boxed{tie}") == choice("[[C]]") == (0.5, 0.5)
    assert choice("A is better") is None
    assert ranking(r"\boxed{2, 3, 1}", 3) == (0.0, 1.0, 0.5)
    assert ranking(r"\boxed{2 > 1}", 2) == (0.0, 1.0)
    for text in (r"\boxed{2, 3}", r"\boxed{1, 1, 2}", r"\boxed{1, 2, 4}", "2, 3, 1"):
        assert ranking(text, 3) is None


def test_thoughts_and_what_is_cut_off_are_no_verdict() -> None:
    def reply(text: str, finish_reason: str = "stop") -> Response:
        return Response("p#0", "judge", 0, text, finish_reason=finish_reason)

    assert said(reply(r"<think>\boxed{yes}</think>\boxed{no}")) == r"\boxed{no}"
    assert said(reply(r"\boxed{yes}</think>\boxed{no}")) == r"\boxed{no}"  # the opening mark was in the prompt
    assert said(reply(r"<think>maybe \boxed{yes}")) is None
    assert said(reply(r"\boxed{yes}", "length")) is None
    assert said(reply("Yes", "length")) is None and said(reply("Yes", "length"), in_a_word=True) == "Yes"
    assert said(reply("Yes, I", "length"), in_a_word=True) is None
    assert said(reply(r"\boxed{yes}", "")) == r"\boxed{yes}"


def test_the_steps_of_the_part_that_is_read_have_the_labels() -> None:
    entry = {"generator": "judge", "preset": "thinkprm", "readout": "labels", "reads": "answer", "steps": "sentences"}
    params = GenerativeParams.model_validate(entry)
    model, asked = GenerativeRewardModel(params, "judge"), GenerativeRewardModel.verifications(params)
    assert asked is not None
    texts = ["<think>a\n\nb\n\nc</think>It is 7. So 8.", "<think>a"]
    whole = [Solution(Problem("p", "3 + 4 + 1", "8"), Response("p", "g", i, text)) for i, text in enumerate(texts)]
    (question,) = asked.questions(whole)
    reply = Response(question.id, "judge", 0, r"\boxed{correct} \boxed{incorrect}", finish_reason="stop")
    answered, cut = (told := model.score_read(asked.told(whole, [reply])))
    assert (answered.step_rewards, answered.step_ends) == ((1.0, 0.0), (len(texts[0]) - 5, len(texts[0])))
    assert cut.step_rewards == () and model.why_unscored(whole[1]) == "it was cut before its answer"
    assert len(told) == 2 and model.verdicts(asked.told(whole, [reply])) == {"read": 1}
    with pytest.raises(UserError, match="steps: it compares responses"):
        GenerativeParams.model_validate({"generator": "judge", "preset": "pairwise", "steps": "lines"}).check()
