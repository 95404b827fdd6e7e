"""Questions about responses: which there are, what their templates say, to which responses the replies belong."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import permutations

import pytest

from harness.core.errors import UserError
from harness.core.records import Problem, Response, Solution
from harness.core.verifications import Per, Question, QuestionTemplate, Verifications, check_template

PROBLEMS = [Problem("p", "1 + 1", "2"), Problem("q", "2 + 2", "4")]
TEXTS = {"p": ["a\n\nb", "c", "a\n\nb", "d\n\ne\n\nf"], "q": ["same", "same"]}
RESPONSES = [Response(id_, "g", i, text) for id_, texts in TEXTS.items() for i, text in enumerate(texts)]
SOLUTIONS = [Solution(p, r) for p in PROBLEMS for r in RESPONSES if r.problem_id == p.problem_id]


def texts(question: Question) -> list[str]:
    return [solution.response.text for solution in question.about]


def asked(per: Per, template: str, n: int = 3) -> Verifications:
    return Verifications(generator="judge", template=template, per=per, n=n, begins="> ")


@pytest.mark.parametrize(
    ("per", "template", "ids"),
    [
        ("response", "{{ problem }}: {{ response }}", ["p#0", "p#1", "p#3", "q#0"]),
        (
            "step",
            "{{ problem }}: {{ steps[step - 1] }}",
            ["p#0.1", "p#0.2", "p#1.1", "p#3.1", "p#3.2", "p#3.3", "q#0.1"],
        ),
        ("pair", "{{ responses | join }}", [f"p#{a},{b}" for a, b in permutations((0, 1, 3), 2)]),
        ("group", "{{ responses | join }}", ["p#all.1", "p#all.2", "p#all.3"]),
    ],
)
def test_equal_responses_are_asked_about_once(per: Per, template: str, ids: list[str]) -> None:
    questions = list(asked(per, template).questions(SOLUTIONS))
    assert [q.id for q in questions] == ids
    counts = [asked(per, template).n_questions(3, 2), asked(per, template).n_questions(1, 1)]
    assert sum(counts) == len(ids)  # the three responses to p have two steps on average


def test_every_reply_reaches_the_responses_that_it_is_about() -> None:
    for per, template in (("response", "{{ response }}"), ("step", "{{ step }}"), ("pair", "x"), ("group", "x")):
        what = asked(per, template)  # type: ignore[arg-type]
        questions = {q.id: q for q in what.questions(SOLUTIONS)}
        replies = [Response(q, "judge", i, f"{q} {i}") for q in questions for i in range(what.sampling.n)]
        for solution in what.told(SOLUTIONS, replies):
            text = solution.response.text
            mine = [q for q in questions.values() if q.problem == solution.problem and text in texts(q)]
            assert [v.question for v in solution.verifications] == [q.id for q in mine]
            for verification, question in zip(solution.verifications, mine, strict=True):
                assert texts(question)[verification.place] == text
                assert (verification.step, verification.shown) == (question.step, len(question.about))
                expected = [f"> {question.id} {i}" for i in range(what.sampling.n)]
                assert [reply.text for reply in verification.replies] == expected


def test_a_question_without_replies_is_told_as_such() -> None:
    what = asked("response", "{{ response }}")
    assert all(v.replies == () for s in what.told(SOLUTIONS, []) for v in s.verifications)


def test_a_group_is_shown_in_a_different_order_for_each_reply() -> None:
    questions = list(asked("group", "x", n=20).questions(SOLUTIONS))
    assert len({tuple(texts(q)) for q in questions}) > 3
    assert all(set(texts(q)) == set(TEXTS["p"]) for q in questions)


def test_what_is_asked_goes_to_other_processes() -> None:
    what = asked("response", "{{ problem }}? {{ response }}")
    before = [q.asked() for q in what.questions(SOLUTIONS)]
    assert [q.asked() for q in pickle.loads(pickle.dumps(what)).questions(SOLUTIONS)] == before


@pytest.mark.parametrize(
    ("template", "per", "complaint"),
    [
        ("{{ problem }}", "response", "leaves out {{ response }}"),
        ("{{ response }}", "response", "leaves out {{ problem }}"),
        ("{{ problem }} {{ responses[0] }}", "pair", "leaves out each of {{ responses }}"),
        ("{{ problem }} {{ response }}", "step", "asks the same about every step"),
        ("{{ problem }} {{ response }} {{ gold }}", "response", "'gold' is undefined"),
        ("{{ problem }} {{ response }} {{ answer }}", "response", "'answer' is undefined"),
        ("{% if %}", "response", "Expected an expression"),
        ("{{ problem.__class__.__mro__ }}{{ response }}", "response", "access to attribute '__class__'"),
        ("{{ problem }}{{ response }}{% for i in range(10 ** 9) %}{% endfor %}", "response", "Range too big"),
        ("{{ problem }}{{ response }}{{ 1 / 0 }}", "response", "division by zero"),
        ("{{ problem }}{{ steps[7] }}", "response", "no element 7"),
        ("{{ problem }}{{ responses.append(1) }}", "response", "append"),
    ],
)
def test_bad_templates_are_refused_in_a_line(template: str, per: Per, complaint: str) -> None:
    with pytest.raises(UserError, match=r"my\.jinja") as refused:
        check_template(template, per, "my.jinja")
    assert complaint in str(refused.value) and "\n" not in str(refused.value)


def test_text_of_a_problem_or_response_is_never_a_template() -> None:
    template = QuestionTemplate("{{ problem }} | {{ response }}", "t")
    assert template.render("{{ 1 + 1 }}", ["{% raw %} <b>&"]) == "{{ 1 + 1 }} | {% raw %} <b>&"


def test_steps_that_a_data_set_gives_are_the_steps() -> None:
    solution = Solution(PROBLEMS[0], Response("p", "g", 0, "one\n\ntwo three"), given_ends=(9, 14))
    questions = list(asked("step", "{{ problem }} {{ steps[step - 1] }}").questions([solution]))
    assert [q.asked().problem for q in questions] == ["1 + 1 one\n\ntwo", "1 + 1 three"]


def test_the_part_that_is_read_is_asked_about() -> None:
    """Equal answers after different thoughts are one question; a response without an answer is in none."""
    written = ["<think>a</think>It is 7. So 8", "<think>b</think>It is 7. So 8", "<think>c", "9"]
    solutions = [Solution(PROBLEMS[0], Response("p", "g", i, text)) for i, text in enumerate(written)]
    for per, template, expected in (
        ("response", "{{ response }}", {"p#0": "It is 7. So 8", "p#3": "9"}),
        ("step", "{{ steps[step - 1] }}", {"p#0.1": "It is 7.", "p#0.2": "So 8", "p#3.1": "9"}),
        ("pair", "{{ responses | join('|') }}", {"p#0,3": "It is 7. So 8|9", "p#3,0": "9|It is 7. So 8"}),
    ):
        plain = asked(per, template)  # type: ignore[arg-type]
        what = replace(plain, reads="answer", steps="sentences")
        assert what.identity == {**plain.identity, "reads": "answer", "steps": "sentences"}
        assert not {"reads", "steps"} & plain.identity.keys()
        questions = {q.id: q.asked().problem for q in what.questions(solutions)}
        assert questions == expected
        told = what.told(solutions, [Response(id_, "judge", 0, "yes") for id_ in questions])
        mine = [[v.question for v in one.verifications] for one in told]
        of_seven = [id_ for id_ in questions if "7" in questions[id_] or "8" in questions[id_]]
        assert mine == [of_seven, of_seven, [], [id_ for id_ in questions if "9" in questions[id_]]]
        assert [one.response.text for one in told] == written
