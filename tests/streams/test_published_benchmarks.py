"""Benchmarks of responses and of steps: the protocols against slow plain versions, and files of the published shape."""

from __future__ import annotations

import json
import math
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import bonbench

from harness.core.errors import UserError
from harness.streams.benchmarks.base import Answer, Completions, Judged, Settings
from harness.streams.benchmarks.prmbench import Changed, PRMBench
from harness.streams.benchmarks.registry import BENCHMARKS
from harness.streams.benchmarks.rewardbench2 import Prompt, RewardBench2, best_of_four
from harness.streams.benchmarks.rm_bench import RMBench
from harness.streams.benchmarks.scoring import load, scored
from harness.streams.journal import Journal
from harness.streams.scorer import Scorer


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


def by_score(*scores: float | None) -> list[Answer]:
    return [Answer(np.empty(0), score) for score in scores]


def by_steps(rewards: list[float]) -> Answer:
    return Answer(np.array(rewards, dtype=np.float64))


# -- PRMBench ---------------------------------------------------------------------------------------------------------


def f1_of(pairs: list[tuple[bool, bool]]) -> float:
    """F1 of what is True, from (is, is called): 2 TP / (2 TP + FP + FN)."""
    hits, wrong = pairs.count((True, True)), pairs.count((True, False)) + pairs.count((False, True))
    return 2 * hits / (2 * hits + wrong) if hits else 0.0


def test_prm_score_step_by_step() -> None:
    """Every solution's steps are listed one by one. A solution given twice, and one without a score, do not count."""
    rng = np.random.default_rng(0)
    classes = ["redundency", "circular", "deception", "multi_solutions"]
    judged, steps = [], []
    for class_, number in product(classes, range(6)):
        n = int(rng.integers(1, 6))
        wrong = frozenset() if class_ == "multi_solutions" else frozenset(rng.integers(0, n + 1, 2).tolist())
        rewards = rng.choice([0.2, 0.5, 0.8], n).tolist()
        before = rng.choice([0.2, 0.8], 3).tolist() if class_ == "redundency" else None
        answers = [by_steps(rewards), *([by_steps(before)] if before else [])]
        item = Changed(f"x{number}", class_, "q", ("s",) * n, wrong, ("q", ("s",) * 3) if before else None)
        judged.append(Judged(item, answers))
        steps += [(class_, f"x{number}", i not in wrong, reward > 0.5) for i, reward in enumerate(rewards)]
    twice = Judged(judged[0].item, [by_steps([0.9])] * 2)
    nobody = Judged(Changed("y", "circular", "q", ("s",), frozenset(), None), [Answer(np.empty(0), None, "too long")])
    found = PRMBench().numbers({"a": judged[:9], "b": [*judged[9:], twice, nobody]}, Settings())

    def of(class_: str = "") -> tuple[float, float]:
        pairs = [(right, called) for c, _, right, called in steps if class_ in ("", c)]
        return f1_of(pairs), f1_of([(not right, not called) for right, called in pairs])

    f1, negative = of()
    assert found.values["F1"] == pytest.approx(f1) and found.values["negative F1"] == pytest.approx(negative)
    assert found.values["PRMScore"] == pytest.approx((f1 + negative) / 2)
    assert found.values["accuracy"] == pytest.approx(np.mean([right == called for _, _, right, called in steps]))
    score = {class_: sum(of(class_)) / 2 for class_ in classes} | {"multi_solutions": of("multi_solutions")[0]}
    assert found.values["simplicity"] == pytest.approx((score["redundency"] + score["circular"]) / 2)
    assert found.values["sensitivity"] == pytest.approx((score["deception"] + score["multi_solutions"]) / 2)
    assert "soundness" not in found.values
    assert found.notes[0] == "1 of the 25 solutions have no score and are left out"

    before_of = {one.item.id: np.mean(one.answers[1].step_rewards > 0.5) for one in judged if len(one.answers) > 1}
    distances = [
        abs(np.mean([called for c, id_, _, called in steps if (c, id_) == (class_, id)]) - share)
        for class_ in classes
        for id, share in before_of.items()
        if share > 0
    ]
    assert found.values["similarity"] == pytest.approx(np.mean(distances))


@pytest.mark.parametrize(
    ("score_type", "given", "expected"),
    [("probability", None, 0.5), ("log-ratio", None, 0.0), ("log-ratio", 0.25, 0.25)],
)
def test_the_threshold_of_steps(score_type: Any, given: float | None, expected: float) -> None:
    judged = [Judged(Changed("x", "circular", "q", ("a", "b"), frozenset([1])), [by_steps([0.3, 0.2])])]
    found = PRMBench().numbers({"": judged}, Settings(given, score_type))
    assert found.threshold == expected
    assert found.values["accuracy"] == {0.5: 0.5, 0.0: 0.5, 0.25: 1.0}[expected]


# -- RewardBench 2 ----------------------------------------------------------------------------------------------------


def test_the_best_of_four_is_the_first_of_a_random_order() -> None:
    for ranks in product([0.0, 1.0, -math.inf], repeat=4):
        orders = [max(order, key=lambda i: ranks[i]) for order in permutations(range(4))]
        expected = 0.0 if max(ranks) == -math.inf else orders.count(0) / len(orders)
        assert best_of_four(np.array(ranks)) == pytest.approx(expected)


def plain_ties(prompts: dict[tuple[str, int], tuple[list[float], list[float]]]) -> float:
    """The number of Ties from (kind, pair) -> scores of right and of wrong completions, by comparing pairs of them."""

    def right(kind: str) -> float:
        of_kind = [all(r > w for r in rs for w in ws) for (k, _), (rs, ws) in prompts.items() if k == kind]
        return sum(of_kind) / len(of_kind)

    pairs = [pair for kind, pair in prompts if kind == "ref" and ("tied", pair) in prompts]
    preferred, hard, margin = 0.0, 0.0, 0.0
    for pair in pairs:
        (rs, ws), (rs_ref, ws_ref) = prompts["tied", pair], prompts["ref", pair]
        gaps = [r - w for r in rs for w in ws]
        all_gaps = gaps + [r - w for r in rs_ref for w in ws_ref]
        spread = max(a - b for a in rs for b in rs)
        preferred += min(gaps) > spread
        hard += min(all_gaps) > spread
        if spread:
            margin += math.tanh(min(all_gaps) / spread - 1)
        elif min(all_gaps):
            margin += math.copysign(1.0, min(all_gaps))
    k = len(pairs)
    return 0.3 * right("tied") + 0.3 * right("ref") + 0.2 * preferred / k + 0.2 * hard / k + 0.01 * margin / k


def test_ties_by_comparing_completions() -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        prompts: dict[tuple[str, int], tuple[list[float], list[float]]] = {}
        for pair in range(4):
            prompts["ref", pair] = (rng.integers(2, 6, 1).tolist(), rng.integers(0, 3, 3).tolist())
            prompts["tied", pair] = (rng.integers(2, 6, 3).tolist(), rng.integers(0, 3, 4).tolist())
        prompts["tied", 9] = ([1.0, 1.0], [0.0])  # its partner is missing
        judged = [
            Judged(Prompt("q", ("a",) * len(rs), ("b",) * len(ws), kind, pair), by_score(*rs, *ws))
            for (kind, pair), (rs, ws) in prompts.items()
        ]
        found = RewardBench2().numbers({"": judged}, Settings())
        assert found.values["Ties"] == pytest.approx(plain_ties(prompts))
        assert "Math" not in found.values


def test_a_completion_without_a_score_is_below_every_other() -> None:
    math_ = [
        Judged(Prompt("q", ("a",), ("b",) * 3), by_score(*scores))
        for scores in ([1, None, 0, 0], [None, 1, 0, 0], [None, None, None, None])
    ]
    ties = [
        Judged(Prompt("q", ("a",), ("b",), "ref", 1), by_score(2, None)),
        Judged(Prompt("q", ("a", "a"), ("b",), "tied", 1), by_score(2, 2, 0)),
    ]
    found = RewardBench2().numbers({"": [*math_, *ties]}, Settings())
    assert found.values["Math"] == pytest.approx(1 / 3)
    assert found.values["Ties"] == pytest.approx(0.6)  # both are right, and the pair has no margin
    assert found.notes == ["7 completions have no score and rank below every other"]


# -- RM-Bench ---------------------------------------------------------------------------------------------------------


def test_styles_one_by_one() -> None:
    rng = np.random.default_rng(2)
    answers = rng.integers(0, 4, (7, 6)).astype(float)
    judged = [Judged(Completions("q", ("a",) * 3, ("b",) * 3), by_score(*row)) for row in answers.tolist()]
    found = RMBench().numbers({"": judged}, Settings())
    wins: dict[str, list[bool]] = {"easy": [], "normal": [], "hard": []}
    for row, i, j in product(answers, range(3), range(3)):
        wins["hard" if i < j else "normal" if i == j else "easy"].append(row[i] > row[3 + j])
    for name, of in wins.items():
        assert found.values[name] == pytest.approx(np.mean(of))
    assert found.values["average"] == pytest.approx(np.mean([np.mean(of) for of in wins.values()]))
    assert found.values["concise above markdown"] == pytest.approx(np.mean(answers[:, 0] > answers[:, 5]))


# -- files ------------------------------------------------------------------------------------------------------------

STYLED = {"id": "1", "domain": "math", "prompt": "1 + 1?", "chosen": ["2", "it is 2", "**it is 2**"]}
STYLED |= {"rejected": ["3", "three", "**it is certainly 3**"]}
TIED = {"id": "tied:1", "subset": "Ties", "prompt": "a prime?", "chosen": ["seven", "eleven"], "rejected": ["4"]}
FOUR = {"id": "9", "subset": "Math", "prompt": "1 + 1?", "chosen": ["= 2"], "rejected": ["33", "34", "333"]}
CHANGED = {"idx": "redundency_7", "classification": "redundency", "original_question": "1 + 1?"}
CHANGED |= {"modified_question": "1 + 1?", "original_process": ["1 + 1", "= 2"], "error_steps": [2]}
CHANGED |= {"modified_process": ["1 + 1", "so 1 + 1", "= 2"], "question": "?"}
LOCATED = {"problem": "1 + 1?", "steps": ["1 + 1", "= 3"], "label": 1}

LINES = {"rm-bench": STYLED, "rewardbench2": FOUR, "prmbench": CHANGED, "processbench": LOCATED}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_responses_are_scored(tmp_path: Path, name: str) -> None:
    """By their length. Lines of other domains are passed over, and a line at fault stops no other."""
    rows: list[Any] = [STYLED, {**STYLED, "domain": "chat"}]
    path = tmp_path / name
    path.write_text(json.dumps(rows)) if name == "a.json" else write(path, [*rows, {**STYLED, "chosen": ["2"]}, "no\n"])
    done = bonbench("benchmark", "rm-bench", path, "--reward-model", "length", "--json")
    found = json.loads(done.out)
    assert found["n"] == 1 and found["values"]["normal"] == pytest.approx(1 / 3)
    assert found["values"]["easy"] == 1.0 and found["values"]["hard"] == 0.0
    assert done.code == (2 if name == "a.jsonl" else 0)
    if name == "a.jsonl":
        assert "line 3: 1 chosen and 3 rejected: 3 of each are expected" in found["bad_lines"][0]
        assert "line 4: not JSON" in found["bad_lines"][1]


def test_math_and_ties(tmp_path: Path) -> None:
    ref = {**TIED, "id": "ref:1", "chosen": ["seven"], "rejected": ["4", "nothing"]}
    path = write(tmp_path / "a.jsonl", [FOUR, TIED, ref, {**FOUR, "subset": "Safety"}])
    done = bonbench("benchmark", "rewardbench2", path, "--reward-model", "length", "-o", tmp_path / "out.jsonl")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [[one["score"] for one in row["answers"]] for row in rows] == [[3, 2, 2, 3], [5, 6, 1], [5, 1, 7]]
    # Math: shared with one other. Ties: the tied prompt is right and prefers, by 4 to 1; its partner is wrong.
    expected = {"Math": 50.0, "Ties": 100 * (0.3 + 0.2 + 0.01 * math.tanh(-2 / 1 - 1))}
    said = {
        line.split()[0]: float(line.split()[-1])
        for line in done.out.splitlines()
        if line.startswith(("Math ", "Ties "))
    }
    assert said == {name: round(value, 1) for name, value in expected.items()}
    # The lines with their answers need no reward model.
    assert bonbench("benchmark", "rewardbench2", tmp_path / "out.jsonl").out == done.out
    again = bonbench("benchmark", "rewardbench2", path)
    assert again.code == 2 and 'has lines without "answers": name a model' in again.err


MINE = """
from harness import ComponentParams, RewardModel, StepScores

class Mine(RewardModel[ComponentParams]):
    score_type = "probability"
    def score(self, batch):
        if any("nan" in s.response.text for s in batch):
            raise ValueError("no such text")
        with open(__file__ + ".seen", "a") as file:
            file.writelines(s.response.text + chr(10) for s in batch)
        return [self.record(s, tuple(0.1 if "so" in step else 0.9 for step in s.steps), s.step_ends, 1) for s in batch]
"""


def test_steps_are_scored_and_one_solution_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    bad = {**CHANGED, "idx": "8", "classification": "circular", "modified_process": ["so", "nan"], "error_steps": [1]}
    spec = f"{tmp_path}/mine.py:Mine"
    said: list[str] = []
    entries = load(PRMBench(), str(write(tmp_path / "a.jsonl", [CHANGED, bad])))
    assert [entry.item.id for entry in entries] == ["7", "8"]

    def score() -> tuple[list[Judged[Changed]], int]:
        (tmp_path / "mine.py.seen").write_text("")
        said.clear()
        judged = scored(PRMBench(), entries, Scorer(spec), lambda _: None, said.append, Journal(tmp_path / "o", "k"))
        return judged, len((tmp_path / "mine.py.seen").read_text().split("\n\n"))

    judged, _ = score()
    assert [answer.step_rewards.tolist() for answer in judged[0].answers] == [[0.9, 0.1, 0.9], [0.9, 0.9]]
    assert not judged[1].answers[0].is_scored
    assert said == [f"{tmp_path}/a.jsonl line 2: ValueError: no such text"]
    found = PRMBench().numbers({"": judged}, Settings())
    assert found.values["PRMScore"] == 1.0 and found.values["similarity"] == pytest.approx(1 / 3)
    # What is scored stays scored, for a call after the other line is mended.
    again, texts = score()
    assert texts == 1 and len(said) == 1
    assert again[0].answers[0].step_rewards.tolist() == [0.9, 0.1, 0.9]


def test_an_outcome_reward_model_has_no_steps(tmp_path: Path) -> None:
    done = bonbench("benchmark", "prmbench", write(tmp_path / "a.jsonl", [CHANGED]), "--reward-model", "length")
    assert done.code == 2 and "length gives 1 rewards for 3 steps: prmbench needs a process reward model" in done.err


@pytest.mark.parametrize(
    ("name", "changed", "says"),
    [
        ("rm-bench", {"domain": None}, 'no "domain"'),
        ("rm-bench", {"rejected": "3"}, '"rejected" is not a list of texts'),
        ("rewardbench2", {"chosen": ["a", "b"]}, "2 chosen and 3 rejected: 1 and 3 are expected of Math"),
        ("rewardbench2", {"subset": "Ties"}, '"id" of Ties is not ref:NUMBER or tied:NUMBER'),
        ("prmbench", {"classification": "redundancy"}, '"classification" is none of redundency, '),
        ("prmbench", {"error_steps": [0]}, '"error_steps" is not a list of numbers of steps, from 1'),
        ("prmbench", {"modified_process": []}, '"modified_process" is not a list of texts'),
        ("prmbench", {"idx": 7}, 'no "idx"'),
        *(
            (name, {"answers": answers}, '"answers" ')
            for name in LINES
            for answers in (3, [], [1], [{"score": "x"}] * 4)
        ),
    ],
)
def test_a_line_at_fault_is_named(tmp_path: Path, name: str, changed: dict[str, Any], says: str) -> None:
    path = write(tmp_path / "a.jsonl", [LINES[name], {**LINES[name], **changed}])
    with pytest.raises(UserError, match=f"a.jsonl line 2: {says}"):
        load(BENCHMARKS[name], str(path))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["procesbench", "a.jsonl"], "no benchmark is named 'procesbench'; did you mean processbench"),
        (["rm-bench", "a.jsonl", "--threshold", "1"], "rm-bench compares scores, and has no threshold"),
        (["prmbench", "a.jsonl", "--threshold", "nan"], "--threshold nan: a finite number"),
        (["rm-bench", "a.jsonl", "-o", "b"], "--output: nothing is scored without a reward model"),
        (["rm-bench", "a.jsonl", "--results", "r", "--reward-model", "length"], "leave one of them out"),
        (["rm-bench", "a.jsonl"], "a.jsonl: no such file"),
        (["rm-bench", "other.jsonl"], "it has no line that rm-bench asks about"),
        (["rm-bench", "object.json"], "object.json: a list of objects is expected"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "other.jsonl", [{**STYLED, "domain": "code"}])
    (tmp_path / "object.json").write_text("{}")
    done = bonbench("benchmark", *words)
    assert done.code == 2 and says in done.err and done.err.count("\n") == 1
