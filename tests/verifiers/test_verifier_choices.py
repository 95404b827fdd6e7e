"""Multiple choice: every way in which an answer or a response names an option, and what only looks like one."""

from __future__ import annotations

import pytest

from bonbench.verifiers.math import MathParams, MathVerifier
from harness.core.records import Problem, Response

VERIFIER = MathVerifier(MathParams())

# Answers that name option B and nothing else.
NAMES_B = [
    "B", "(B)", "b)", "(b)", "**B**", "*B*", "_B_", "`B`", '"B"', "'B'", "[B]", "<B>", "{B}", r"\{B\}", "B.", "(B).",
    "Option B", "option b", "choice (B)", "Letter B", "Answer B", "Answer: B", "**Answer:** B", "Answer: **B**",
    r"\text{B}", r"$\text{B}$", r"\mathbf{B}", r"\mathrm{(B)}", r"\text{Option B}", r"\left(B\right)", "$(B)$",
    r"\(B\)", r"\boxed{\text{B}}", r"Answer: \boxed{B}", "the correct option is B because", "B, because", "B, not C",
    "B since A is wrong", "B only", "B is correct", "B is the correct answer", "Option B is correct.",
    "option B fits best",
    "So the answer is (B).", "The answer is B which is 42", "I would choose B", "I'd go with B", "My answer is B!",
    "B. This is because 12 > 5 and the rest is wrong.", "### Answer: B", "- B", "→ B", '{"answer": "B"}',
    "答案：B", "故选：B", "故选B", "选B", "B选项", "Antwort: B", "Ｂ", "（B）", "【B】",
]  # fmt: skip

# The same with the option's text, 3/4.
NAMES_B_WITH_TEXT = [
    "B) 3/4", "(B) 3/4", "(b) 0.75", "B. 3/4", r"B.\ 3/4", r"\textbf{(B)}\ \frac34", r"$\textbf{(B)}~\frac{3}{4}$",
    r"\text{B. } 3/4", r"B\text{: }3/4", "B: 3/4", "B — 3/4", "**B)** 3/4", r"**(B)** $\frac{3}{4}$", "B (3/4)",
    "Answer: B. 3/4", "option (B) 3/4", "The final answer is (B) 3/4", "3/4 (option B)", "3/4, which is choice B",
    r"\boxed{B) 3/4}", "(B)3/4",
]  # fmt: skip

# Not a statement of one option.
NAMES_NOTHING = [
    "B = 5", "B triangle", "B or C", "not B", "not (B)", "f(B)", "B+C", "B/C", "AB", "BC", "B^2", "B_1", "2B",
    "-B", "B is not correct", "Option B is incorrect", "B is wrong", "B is 5", "(B)(C)", "(B) + 1", "B(3)", r"B \cup C",
    r"B \to C", "either B or C", "B, C or D", "neither B nor C", "all except B", "B, 5", "B and 5", "B 42", "B.Tech",
    "B!", "(A) 3, (B) 4", "A) 3 B) 4", "B) 3\nC) 4", r"\angle B", r"\vec B", "B x", "B - 12", "B flat", "不选B", "x",
    "(0, B)", "B=(0,1)", "A, B and C", "B, C", "B and C", "We rule out option B",
]  # fmt: skip

# Answers that name options A and C.
NAMES_A_AND_C = [
    "A, C", "A and C", "C, A", "A & C", "A; C", "A、C", "['A', 'C']", '["A","C"]', r"\{A, C\}", "(A), (C)",
    "(A) and (C)", "Options A and C", "both A and C", "A and C are correct", "The answers are A and C.", "AC",
    r"\text{A and C}",
]  # fmt: skip

# Responses whose answer is D.
RESPONSES_D = [
    "I would choose D.", "Therefore the answer is option D.", "**Answer: D**", "**Answer:** D", "ANSWER: D", "(D)", "D",
    "**D. 12 cm**", "D) 12 cm", "Hence, (D).", "The correct answer is D, because A is wrong.", "Let's go with D.",
    r"The final answer is $\boxed{D}$.", r"\boxed{\textbf{(D)}~12}", r"\boxed{D. 12}", r"\boxed{\text{D}}",
    "After eliminating A, B and C, we choose D.", "Among the options, only D is correct.", "It has to be D.",
    "A is false. B is false. C is false. So D is correct.", "The correct option is **D: 12 cm**.", "Solution: D",
    "A) 1\nB) 2\nC) 3\nD) 4\n\nSince 2+2=4, the answer is D) 4.", "Step 1: 3+4=7.\n\nAnswer: $D$", "Answer: d",
    "因此，正确答案是 D。", "所以选D。", "Respuesta: D", "Réponse : D", "Ответ: D", "正解は D です。", "Ans. (D)",
    "উত্তর: ঢ", "الإجابة الصحيحة هي: د", "Ìdáhùn: D", "Jibu: D", "回答：D", "정답: D", "Đáp án đúng: D",
    "Not A, so D.", "This corresponds to (D).", "The answer is not A but D.",
    "A is wrong, B is wrong, C is wrong, hence D.", "A) 1\nB) 2\nC) 3\nD) 4\n\n**D) 4**",
    "D.\n\nExplanation: A is wrong since it ignores spin.", "**D**\n\nThe other options A, B and C are wrong.", "[[D]]",
    "<answer>(D) 12</answer>", "Eliminating A, B, C leaves D.", "选项D正确", "所以 D 是正确的。", "By elimination, D.",
    r"\boxed{12\text{ (option D)}}", "The answer is [[D]].", "```\nD\n```", "D. All of the above", "本题选D",
    "Ans: D", "It is 12 cm, which is option D.", "The value is 12. This matches choice D.", "The answer is:\n\n(D) 12",
    "Answer: D - the mitochondria", "Answer: D (12 cm)", r"The answer is $\textbf{(D)}\ 12$.", "the answer is d)",
    "Correct answer: D\n\nExplanation: 3 + 4 = 7, so A, B and C are wrong.", "### Final Answer\n**D**",
    "The answer is D.\n\nLet me know if you need more help!", "The answer must be D.", "the answer is probably D",
    "So, the answer is D, i.e. 12.", r"The answer is **D) $\frac{3}{4}$**",
    "The answer is D because only D has 4 sides.",
]  # fmt: skip

# Responses whose answer is not D alone.
RESPONSES_NOT_D = [
    "The answer is C.", "I would choose B.", "The answer is A or D.", "The answer is not D.", "Option D is incorrect.",
    r"\boxed{D = 5}", r"\boxed{AD}", "The answer is A, D", "It could be C or D.", "D is wrong, so the answer is B",
    "\\boxed{A}\n\nOption D is wrong.", "We have D = 5.", "Answer: D or maybe C", "Let D be a set.",
    "The answer is D + 1", "Not D.", "A) 1\nB) 2\nC) 3\nD) 4", "D is the midpoint of AB. Thus AB = 4.",
    "The answer is neither C nor D.", "所以 D 是错误的。",
    "The answer is not D but A.", "(c) Let x = 3.\nThen y = 4.\n(d) Hence z = 5.",
 "The answer cannot be D.", "Option D is not the correct answer.",
    "We rule out option D.", "The answer is D^2",
    "I'd pick anything but D.", "الإجابة: ج",
]  # fmt: skip


def equal(pred: str, gold: str, verifier: MathVerifier = VERIFIER) -> bool:
    return verifier.verify([(pred, gold)])[0][0]


@pytest.mark.parametrize("pred", NAMES_B + NAMES_B_WITH_TEXT)
def test_an_answer_names_an_option(pred: str) -> None:
    for gold in ("B", "(B)", r"\text{B}", "B.", "B) 3/4", "(B) 3/4", r"$\textbf{(B)}\ \frac{3}{4}$"):
        assert equal(pred, gold) and equal(gold, pred), gold
    for gold in ("C", "(C) 3/4", "A", "A, B"):
        assert not equal(pred, gold) and not equal(gold, pred), gold


@pytest.mark.parametrize("pred", NAMES_NOTHING)
def test_what_only_looks_like_an_option(pred: str) -> None:
    for gold in ("B", "(B) 3/4"):
        assert not equal(pred, gold), gold


@pytest.mark.parametrize("pred", NAMES_A_AND_C)
def test_several_options(pred: str) -> None:
    for gold in ("A, C", "A and C", "(A), (C)"):
        assert equal(pred, gold) and equal(gold, pred), gold
    for gold in ("A", "A, B", "A, B, C", "C"):
        assert not equal(pred, gold), gold


@pytest.mark.parametrize("pred", NAMES_B_WITH_TEXT)
def test_the_text_of_the_option_counts_against_an_answer_without_letter(pred: str) -> None:
    assert equal(pred, r"\frac{3}{4}") and equal("0.75", pred)
    assert not equal(pred, "3/5") and not equal("4/3", pred)


def test_the_letter_decides_and_the_text_may_not_contradict_it() -> None:
    assert equal("(B) 12 cm", "B) 12") and equal("B: a cell's power plant", "(B) the mitochondria")
    assert not equal("(B) 13", "(B) 12") and not equal("(C) 12", "(B) 12")


@pytest.mark.parametrize("response", RESPONSES_D)
def test_a_response_names_an_option(response: str) -> None:
    answer = VERIFIER.extract(response)
    assert VERIFIER.verify([(answer, "D"), (answer, "(D) 12"), (answer, "A")])[::2] == [
        (True, "exact"),
        (False, "different"),
    ]


@pytest.mark.parametrize("response", RESPONSES_NOT_D)
def test_a_response_that_does_not_name_that_option(response: str) -> None:
    assert not VERIFIER.verify([(VERIFIER.extract(response), "D")])[0][0]


def test_a_response_keeps_the_text_of_its_option() -> None:
    for response in (
        "The best answer is C) 12 cm",
        "So, the correct answer is:\n\n**C) 12 cm**",
        "Answer: C. 12 cm",
    ):
        answer = VERIFIER.extract(response)
        assert VERIFIER.verify([(answer, "12"), (answer, "C"), (answer, "D")]) == [
            (True, "arithmetic"),
            (True, "exact"),
            (False, "different"),
        ]


def test_a_small_letter_is_an_option_only_where_the_gold_answer_is_one() -> None:
    assert equal("b", "B") and equal("$b$", "(B) 12")
    assert not equal("B", "b") and not equal("e", "E") and not equal("x", "X")


def test_equal_options_are_one_class() -> None:
    problem = Problem("p", "Which?", "(A) 12")
    texts = [r"\boxed{B}", "The answer is (B) 13.", "Answer: b", "I would choose A.", r"\boxed{12}", "Answer: C"]
    grades = VERIFIER.grade([problem], [Response("p", "g", i, text, "stop") for i, text in enumerate(texts)])
    assert [(grade.correct, grade.answer_class) for grade in grades] == [
        (False, 1), (False, 1), (False, 1), (True, 0), (True, 0), (False, 2)
    ]  # fmt: skip


def test_choices_can_be_off() -> None:
    symbols = MathVerifier(MathParams(choices="off"))
    assert not equal("(B) 12", "B", symbols) and not equal("b", "B", symbols)
    assert equal("B", "B", symbols) and equal("(B)", "B", symbols)
