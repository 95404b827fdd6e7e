"""Extraction: what a response states as its final answer."""

from __future__ import annotations

import pytest

from bonbench.verifiers.reading.extraction import extract

STATED = {
    "boxed": [
        (r"So \boxed{42}.", "42"),
        (r"\boxed{1} was wrong. It is \boxed{2}.", "2"),
        (r"\boxed{\frac{1}{\sqrt{2}}}", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed{\left\{ x \mid x > 0 \right\}}", r"\left\{ x \mid x > 0 \right\}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\fbox{7}", "7"),
        (r"\boxed 5", "5"),
        (r"$\boxed{ 12 }$ is the answer", "12"),
        (r"\boxed{1} and \boxed{2}", "1, 2"),
        (r"\boxed{1}, \boxed{2}, \boxed{3}", "1, 2, 3"),
        (r"\boxed{3} \quad \text{or} \quad \boxed{4}", "3, 4"),
        (r"\boxed{5}. Check: \boxed{5}", "5"),
        (r"First \boxed{1}. Then, after that, \boxed{2}", "2"),
        (r"\boxed{4}" + "\n\nThe answer is 5 apples", "5"),
        (r"The answer is 5 apples. \boxed{4}", "4"),
        (r"x = \boxed{\text{the set}", None),
        (r"\boxed{3} but then \boxed{\frac{1}{2", "3"),
        (r"\boxed{} so the answer is 7.", "7"),
    ],
    "hashes": [
        ("She has 6*7 = 42 eggs.\n#### 42", "42"),
        ("#### 1,234\n", "1,234"),
        ("#### Conclusion\nThe total is 5.", "5"),
    ],
    "declared": [
        ("The final answer is $12$.", "12"),
        ("The final answer is $12$. I hope it is correct.", "12"),
        ("Therefore, the answer is 3.5.", "3.5"),
        ("The answer is: \\(x^2\\)", "x^2"),
        ("**Answer:** 15", "15"),
        ("The correct answer is (B).", "(B)"),
        ("### Final Answer:\nJohn made a total of $114,200 that year.", "$114,200"),
        ("Thus, the answer is that they brought in **14 old records**.", "14"),
        ("The final answer is 2/3<|im_end|>\nuser: the answer is 5.", "2/3"),
    ],
    "statements": [
        ("So, Maddison now has 270 marbles.", "270"),
        ("Therefore, the total is $1,250.50.", "$1,250.50"),
        ("So the total is **390**.", "390"),
        ("Morgan can invite **2 friends** to her party.", "2"),
        ("If Marcy quits after 30 years, her pension will be **$52,500**.", "$52,500"),
        (r"So \(x = 3 + 4 = 7\).", "7"),
        ("We get\n\\[ t = 3 - 2 = 1 \\]", "1"),
        ("Thus, there are 3 ways to put 5 balls into 2 boxes.", "3"),
        ("It takes 4 days.\n= 8 / 2 = 4\n\nIt will take 4 days to save the remaining $8 if he saves $2 daily.", "4"),
        ("Peter has $42 and $42 / $14 = 3.\n\nSo, Peter can go 3 times with his $42.", "3"),
        ("Christina will spend $18 on gift bags.", "$18"),
        ("The fastest student is Evelyn.", "Evelyn"),
        ("Therefore, the graph is an ellipse.", "ellipse"),
        ("The profit increases by 100%.", "100%"),
        ("**Conclusion:** It takes Carla 160 minutes to download the 200 GB file under these conditions.", None),
    ],
    "nothing": [
        ("", None),
        ("   \n", None),
        ("I cannot solve this.", None),
        ("We have x + y = 3, so then \\(", None),
        ("We get \\(x = 3", None),
        ("The greatest length of rope that can be saved is:\n", None),
        ("From 3 and 4 and 5 one gets nothing.", None),
    ],
}


@pytest.mark.parametrize(("text", "answer"), [case for cases in STATED.values() for case in cases])
def test_extracted(text: str, answer: str | None) -> None:
    assert extract(text) == answer


def test_the_end_of_a_long_response_is_enough() -> None:
    assert extract("no " * 200_000 + r"\boxed{9}") == "9"


def test_time_grows_with_length_only() -> None:
    """Texts that make careless patterns backtrack are read to the end."""
    for text in (
        "the answer is " * 5000,
        "**" * 20_000,
        "$" * 20_001,
        r"\(" * 10_000,
        "is 1 " * 10_000,
        "\\boxed{" * 9000,
        "(" * 100_000,
        "1" * 100_000,
        "when x " * 9000,
        "not be " * 9000,
        "answer to " * 9000,
        "<think>" * 9000,
        "<answer>" * 9000,
        "<|channel|>" * 5000,
        "1 and " * 9000,
        "**1** and " * 9000,
        "(a)\n" * 9000,
        "\\begin{a}" * 9000,
        "答案：" * 9000,
    ):
        extract(text)
