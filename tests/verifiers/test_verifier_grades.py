"""Grades: de-duplication, answer classes, recorded real responses."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from bonbench.verifiers.math import MathParams, MathVerifier
from harness.core.records import Grade, Problem, Response
from harness.core.registry import find


@pytest.fixture(scope="module")
def verifier() -> MathVerifier:
    return MathVerifier(MathParams())


def responses(texts: list[str], problem_id: str = "p", generator: str = "g") -> list[Response]:
    return [Response(problem_id, generator, i, text) for i, text in enumerate(texts)]


def test_the_entry_point_names_it() -> None:
    assert find("verifiers", "math") is MathVerifier


def test_classes_group_equivalent_answers(verifier: MathVerifier) -> None:
    texts = [r"\boxed{3}", r"\boxed{\frac{1}{2}}", "hm", r"\boxed{0.5}", r"\boxed{6/2}", r"\boxed{7}", r"\boxed{3.0}"]
    grades = verifier.grade([Problem("p", "?", r"\frac{2}{4}")], responses(texts))
    assert [g.answer_class for g in grades] == [1, 0, -1, 0, 1, 2, 1]
    assert [g.correct for g in grades] == [False, True, False, True, False, False, False]
    assert [g.extracted for g in grades] == ["3", r"\frac{1}{2}", None, "0.5", "6/2", "7", "3.0"]
    assert [g.reason for g in grades] == ["different", "arithmetic", "no answer", "arithmetic", *["different"] * 3]


def test_classes_belong_to_a_problem_and_a_generator(verifier: MathVerifier) -> None:
    problems = [Problem("p", "?", "1"), Problem("q", "?", "2")]
    mixed = [
        *responses([r"\boxed{2}", r"\boxed{1}"], "p", "a"),
        *responses([r"\boxed{2}", r"\boxed{1}"], "q", "a"),
        *responses([r"\boxed{5}", r"\boxed{2}"], "p", "b"),
    ]
    grades = verifier.grade(problems, mixed)
    assert [(g.problem_id, g.generator, g.sample) for g in grades] == [
        (r.problem_id, r.generator, r.sample) for r in mixed
    ]
    assert [g.answer_class for g in grades] == [1, 0, 0, 1, 1, 2]


def test_a_response_that_was_cut_off_has_no_answer(verifier: MathVerifier) -> None:
    problem = Problem("p", "?", "12")
    cut = Response("p", "g", 0, "So the total is 12", finish_reason="length")
    boxed = Response("p", "g", 1, r"It is \boxed{12}. Let me check: 3", finish_reason="length")
    whole = Response("p", "g", 2, "So the total is 12", finish_reason="stop")
    assert [g.correct for g in verifier.grade([problem], [cut, boxed, whole])] == [False, True, True]


def test_a_failure_is_wrong_and_named() -> None:
    verifier = MathVerifier(MathParams(timeout_s=0.2))
    tower = r"\boxed{\prod_{n=1}^{10^9} n}"
    grades = verifier.grade([Problem("p", "?", "5")], responses([tower, r"\boxed{5}", tower, r"\boxed{4}"]))
    assert [g.correct for g in grades] == [False, True, False, False]
    assert grades[0].reason == "timeout"
    assert [g.answer_class for g in grades] == [1, 0, 1, 2]


def test_an_answer_whose_comparison_failed_is_compared_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = MathVerifier(MathParams())
    compared = []

    def compare(a: str, b: str, *_: object) -> tuple[bool, str]:
        compared.append((a, b))
        return False, "timeout" if a == "slow" else "different"

    monkeypatch.setattr(verifier, "_compare", compare)
    texts = [r"\boxed{4}", r"\boxed{slow}", r"\boxed{6}"]
    assert [g.answer_class for g in verifier.grade([Problem("p", "?", "5")], responses(texts))] == [1, 2, 3]
    assert compared == [("4", "5"), ("slow", "5"), ("6", "5"), ("6", "4"), ("6", "slow")]


def test_worked_solutions_of_gsm8k_are_their_answers(verifier: MathVerifier) -> None:
    gold = "She sold 60/4 = <<60/4=15>>15 cups.\n#### 15"
    pairs = [
        ("15", gold),
        ("15.0", gold),
        ("60", gold),
        ("#### 15", "15"),
        ("Hence 15.\n#### 15", gold),
        ("1,500", "#### 1500"),
    ]
    assert [correct for correct, _ in verifier.verify(pairs)] == [True, True, False, True, True, True]
    grades = verifier.grade(
        [Problem("p", "?", gold)], responses([r"\boxed{15}", "So 15 cups.\n#### 15", r"\boxed{60}"])
    )
    assert [grade.correct for grade in grades] == [True, True, False]


def test_verdicts_do_not_depend_on_history() -> None:
    pairs = [
        (r"\frac{1}{2}", "0.5"),
        ("x=3", "3"),
        ("x", "3"),
        (r"\sin 30^\circ", "0.5"),
        ("4210", "4210_5"),
        ("4210_6", "4210_5"),
    ]
    one, two = MathVerifier(MathParams()), MathVerifier(MathParams())
    forwards = one.verify(pairs)
    backwards = two.verify(pairs[::-1])[::-1]
    assert forwards == backwards == one.verify(pairs)


def test_it_can_be_sent_to_another_process(verifier: MathVerifier) -> None:
    copy = pickle.loads(pickle.dumps(verifier))
    assert copy.verify([("0.5", r"\frac12")]) == [(True, "arithmetic")]


# -- real data ---------------------------------------------------------------------------------------------------


def lines(path: Path) -> list[dict[str, Any]]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.splitlines()]


@pytest.mark.parametrize("name", ["math500", "gsm8k"])
def test_labelled_pairs(verifier: MathVerifier, shared_data: Path, name: str) -> None:
    rows = [r for r in lines(shared_data / f"{name}_pairs_dev.jsonl") if isinstance(r["label"], bool)]
    verdicts = verifier.verify([(r["pred"], r["gold"]) for r in rows])
    wrong = [r for r, (correct, _) in zip(rows, verdicts, strict=True) if correct != r["label"]]
    assert not [r for r in wrong if not r["label"]], "false positives"
    assert len(wrong) <= 0.005 * len(rows)
    assert sum(r["count"] for r in wrong) <= 0.0005 * sum(r["count"] for r in rows)


@pytest.mark.parametrize("name", ["math500", "gsm8k"])
def test_recorded_responses(verifier: MathVerifier, shared_data: Path, name: str) -> None:
    recorded = lines(shared_data / f"{name}_recorded.jsonl.gz")
    correct = {(r["problem_id"], r["sample"]): r["correct"] for r in lines(shared_data / f"{name}_labels_dev.jsonl.gz")}
    problems = [Problem(r["problem_id"], r["problem"], r["gold"]) for r in recorded]
    grades = verifier.grade(
        problems, [x for r in recorded for x in responses([s["text"] for s in r["samples"]], r["problem_id"])]
    )
    wrong = [g for g in grades if g.correct != correct[g.problem_id, g.sample]]
    assert len(wrong) <= 0.01 * len(grades)
    assert sum(g.correct for g in wrong) <= 0.0005 * len(grades)
    assert all(g.correct == (g.answer_class == 0) for g in grades)
    assert all((g.extracted is None) == (g.answer_class == -1) for g in grades)


def test_equivalence_pairs_of_other_graders(verifier: MathVerifier, shared_data: Path) -> None:
    rows = lines(shared_data / "equivalence_dev.jsonl")
    verdicts = verifier.verify([(r["pred"], r["gold"]) for r in rows])
    wrong = [r for r, (correct, _) in zip(rows, verdicts, strict=True) if correct != r["equal"]]
    assert len(wrong) <= 30
    assert sum(not r["equal"] for r in wrong) <= 3


def test_classes_agree_with_verdicts(verifier: MathVerifier, shared_data: Path) -> None:
    """On real answers, two responses share a class exactly when their answers are equivalent."""
    for row in lines(shared_data / "math500_recorded.jsonl.gz")[:40]:
        graded = verifier.grade(
            [Problem(row["problem_id"], "?", row["gold"])],
            responses([s["text"] for s in row["samples"]], row["problem_id"]),
        )
        first: dict[str, Grade] = {g.extracted: g for g in graded if g.extracted is not None}
        for a in first:
            for b in first:
                same = verifier.verify([(a, b)])[0][0]
                assert same == (first[a].answer_class == first[b].answer_class), (a, b)
