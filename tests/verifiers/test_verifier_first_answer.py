"""``answer: first``: the answers of base models that run on."""

from __future__ import annotations

import pytest

from bonbench.verifiers.math import MathParams, MathVerifier
from harness.core.records import Problem, Response

FIRST = MathVerifier(MathParams(answer="first"))
LAST = MathVerifier(MathParams())

RUNNING_ON = [
    "She sells 16 - 3 - 4 = 9 eggs, so 9 * 2 = 18.\n#### 18\n\nQuestion: A robe takes 2 bolts.\nAnswer: 3\n#### 3",
    "The answer is 18.\n\nQ: How much is 2 + 2?\nA: The answer is 4.",
    "Final Answer: The final answer is $18$. I hope it is correct.\n\nProblem:\nSolve.\n\nSolution:\nFinal Answer: "
    "The final answer is $7$. I hope it is correct.",
    r"Hence \boxed{18}." + "\n\n" + r"Problem 2. Hence \boxed{5}.",
    r"So the answer is $\boxed{18}$. Now we solve another problem. The answer is $\boxed{20}$.",
    "Therefore, she makes 18 dollars. The answer is 18. The answer is 19. The answer is 20.",
    "The answer is:\n\n18\n\nThe next problem has the answer: 5",
    "Answer: 18\nAnswer: 7\nAnswer: 9\n",
    "Answer: 18\n\nHuman: thanks, and 2+2?\n\nAssistant: 4",
    "<answer>18</answer>\n<answer>20</answer>",
    "Thus she makes 18 dollars.\n\nQuestion: What is 2+2?\n\nWe get 4.",
]


@pytest.mark.parametrize("text", RUNNING_ON)
def test_the_first_answer_of_a_text_that_runs_on(text: str) -> None:
    assert FIRST.verify([(FIRST.extract(text), "18")])[0][0]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        (r"First \boxed{3}. No: it is \boxed{4}.", "3", "4"),
        (r"So \boxed{1} and \boxed{2}.", "1, 2", "1, 2"),
        ("The value is 3.14. The answer is 3.14.", "3.14", "3.14"),
        ("The total is 12 apples.", "12", "12"),
        ("The answer is (B). The answer is (C).", "(B)", "(C)"),
        ("Nothing is said here", None, None),
        ("", None, None),
    ],
)
def test_both_ways(text: str, first: str | None, last: str | None) -> None:
    for verifier, expected in ((FIRST, first), (LAST, last)):
        answer = verifier.extract(text)
        assert answer == expected or verifier.verify([(answer, str(expected))])[0][0], answer


def test_a_response_that_was_cut_off_while_it_ran_on_has_its_first_answer() -> None:
    texts = ["The answer is 18.\n\nQuestion: What is 2 +", "She sells 9 eggs for 18 dol", r"\boxed{18}. Then"]
    responses = [Response("p", "g", i, text, finish_reason="length") for i, text in enumerate(texts)]
    problem = Problem("p", "?", "18")
    assert [g.correct for g in FIRST.grade([problem], responses)] == [True, False, True]
    assert [g.correct for g in LAST.grade([problem], responses)] == [False, False, True]


def test_long_texts_are_searched_from_their_start() -> None:
    assert FIRST.extract("The answer is 18.\n\n" + "Problem: and the answer is 5. " * 20_000) == "18"
