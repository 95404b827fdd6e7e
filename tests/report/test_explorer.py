"""What the explorer holds, against choices made by hand from the stored records, and how it is cut to size."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from results_folder import GENERATORS, HOSTILE, N_PROBLEMS, N_SAMPLES, write_results

from harness.analysis.choosers import Chooser
from harness.analysis.evaluation import Evaluation
from harness.core.records import Response
from harness.report.page.blocks import encode_block, rounded
from harness.report.page.explorer import Explorer, collect
from harness.report.page.packing import pack
from harness.report.page.problem import explored_problems
from harness.storage.results import Results, load_results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return load_results(write_results(tmp_path_factory.mktemp("results") / "tiny"))


@pytest.fixture(scope="module")
def explorer(results: Results) -> Explorer:
    return collect(Evaluation.of(results), Chooser("best_of_n", "ce-4", "min"))


def block(explorer: Explorer, place: int, row: int) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(explorer.blocks[f"block-{place}-{row}"])))


def mark(correct: list[bool]) -> str:
    """A uniform choice among these responses: right, wrong or a tie of both."""
    share = Fraction(sum(correct), len(correct))
    return {Fraction(0): "0", Fraction(1): "1"}.get(share, "~")


def test_choices_and_outcomes_are_those_of_the_records(results: Results, explorer: Explorer) -> None:
    assert explorer.left_out == ""
    assert explorer.index["choosers"][explorer.index["start"]]["label"] == "ce-4"
    scores = {(m, g): results.scores(m, g).to_pandas() for m in explorer.index["models"] for g in GENERATORS}
    for place, generator in enumerate(GENERATORS):
        for row, problem_id in enumerate(results.problems["problem_id"]):
            grades = results.grades[results.grades[["generator", "problem_id"]].eq([generator, problem_id]).all(axis=1)]
            correct = dict(zip(grades["sample"], grades["correct"], strict=True))
            found = block(explorer, place, row)
            assert found["samples"] == list(range(N_SAMPLES))
            assert found["correct"] == "".join("01"[int(correct[s])] for s in range(N_SAMPLES))
            assert explorer.index["right"][place][row] == found["nRight"] == sum(correct.values())

            votes = Counter(c for c in grades["answer_class"] if c >= 0)
            assert {a["class"]: a["votes"] for a in found["answers"]} == votes
            elected = [c for c, n in votes.items() if n == max(votes.values())]
            assert sorted(found["elected"]) == sorted(elected)
            # Classes of these records are right or wrong as a whole; a class wins with probability 1 / #winners.
            winners = [bool(grades.loc[grades["answer_class"] == c, "correct"].iloc[0]) for c in elected]
            assert explorer.index["majority"][place][row] == (mark(winners) if winners else "0")

            for i, chooser in enumerate(explorer.index["choosers"]):
                own = scores[explorer.index["models"][chooser["model"]], generator]
                own = own[own["problem_id"] == problem_id]
                lowest = {s: min(r) for s, r in zip(own["sample"], own["step_rewards"], strict=True)}
                best = [s for s, value in lowest.items() if value == max(lowest.values())]
                assert found["choosers"][i]["chosen"] == best
                assert chooser["outcomes"][place][row] == mark([correct[s] for s in best])
                shown = found["models"][chooser["model"]]["rewards"]
                for rewards, exact in zip(shown, own.sort_values("sample")["step_rewards"], strict=True):
                    assert rewards == [float(f"{value:.3g}") for value in exact]


def test_texts_and_step_ends_are_stored_once(explorer: Explorer) -> None:
    found = block(explorer, 1, 3)
    assert found["texts"] == [HOSTILE] * N_SAMPLES
    assert len(found["ends"]) == 1  # all four reward models score the same steps
    assert found["ends"][0][0] == [HOSTILE.index("\n") + 1, len(HOSTILE)]


def test_tied_scores_and_votes_are_all_named(tmp_path: Path) -> None:
    """A reward model that scores everything alike chooses everything; its outcome is then the mean."""
    from harness.core.records import StepScores
    from harness.storage.arrow import to_table
    from harness.storage.shards import read_shard, write_shard

    folder = write_results(tmp_path)
    for path in (folder / "scores" / "ce-2").glob("*/part-*.parquet"):
        rows = [
            StepScores(r["problem_id"], r["generator"], r["sample"], "ce-2", (0.25,), None, 3)
            for r in read_shard(path).to_pylist()
        ]
        write_shard(path, to_table(StepScores, rows), "key")
    results = load_results(folder)
    explorer = collect(Evaluation.of(results), None)
    place = explorer.index["models"].index("ce-2")
    for row in range(N_PROBLEMS):
        found = block(explorer, 0, row)
        assert found["choosers"][place]["chosen"] == list(range(N_SAMPLES))
        assert found["ends"][found["models"][place]["ends"]] == [None] * N_SAMPLES
        right = found["nRight"]
        expected = "0" if right == 0 else "1" if right == N_SAMPLES else "~"
        assert explorer.index["choosers"][place]["outcomes"][0][row] == expected


def test_problems_without_scores_or_grades_have_no_choice(tmp_path: Path) -> None:
    folder = write_results(tmp_path)
    (folder / "scores" / "ce-2" / "weak" / "part-00001.parquet").unlink()
    (folder / "grades" / "strong" / "part-00000.parquet").unlink()
    results = load_results(folder)
    explorer = collect(Evaluation.of(results), None)
    half = N_PROBLEMS // 2
    assert explorer.index["choosers"][explorer.index["models"].index("ce-2")]["outcomes"][0][half:] == "-" * half
    assert explorer.index["majority"][1][:half] == "-" * half
    assert block(explorer, 0, half)["choosers"][1] == {"scores": None, "chosen": None}
    assert "block-1-0" not in explorer.blocks


def test_a_page_that_would_be_too_large_keeps_what_was_chosen(results: Results, explorer: Explorer) -> None:
    evaluation = Evaluation.of(results)
    whole = sum(len(b) for b in explorer.blocks.values())
    limit = int(0.87 * whole)
    cut = collect(evaluation, None, limit)
    size = sum(len(b) for b in cut.blocks.values())
    assert size <= limit
    assert cut.index["majority"] == explorer.index["majority"]  # they rest on all responses
    said = re.search(rf"the first (\d+) of {N_SAMPLES} responses", cut.left_out)
    assert said
    first = int(said[1])
    sizes = [_size_with_first(evaluation, samples) for samples in (first, first + 1)]
    assert sizes[0] == size
    assert sizes[1] > 0.97 * limit, "one more hardly fits"
    for place in range(len(GENERATORS)):
        for row in range(N_PROBLEMS):
            all_of_it, found = block(explorer, place, row), block(cut, place, row)
            assert found["n"] == N_SAMPLES
            assert found["answers"] == all_of_it["answers"]
            assert [c["chosen"] for c in found["choosers"]] == [c["chosen"] for c in all_of_it["choosers"]]
            chosen = {c["chosen"][0] for c in found["choosers"]}
            assert chosen <= set(found["samples"])
            assert set(found["elected"]) & set(found["classes"]) or not found["elected"]
            for sample, text in zip(found["samples"], found["texts"], strict=True):
                assert text == all_of_it["texts"][sample]
            assert set(range(first)) <= set(found["samples"])

    few = collect(evaluation, None, limit=whole // 8)
    n = len(few.index["problems"]["id"])
    assert 0 < n < N_PROBLEMS
    assert f"first {n} of {N_PROBLEMS} problems" in few.left_out
    assert sum(len(b) for b in few.blocks.values()) <= whole // 8
    assert {len(outcome) for c in few.index["choosers"] for outcome in c["outcomes"]} == {n}


def _size_with_first(evaluation: Evaluation, samples: int) -> int:
    """Bytes of all blocks with the first responses and the chosen ones."""
    problems = [p for generator in GENERATORS for p in explored_problems(evaluation, generator, N_PROBLEMS)]
    return sum(len(pack(problem, problem.rows_shown(samples))) for problem in problems if problem)


def test_rows_are_found_wherever_their_shard_is(results: Results) -> None:
    """Problem by problem in any order, the same rows as reading everything."""
    rows = results.rows(Response, "responses", "weak")
    for problem_id in reversed(results.problems["problem_id"].tolist()):
        found = rows[problem_id].to_pandas()
        assert found["sample"].tolist() == list(range(N_SAMPLES))
        assert set(found["problem_id"]) == {problem_id}
    assert rows["unknown"].num_rows == 0


def test_rounding_prints_short_and_is_nearest() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=500) * 10.0 ** rng.integers(-6, 9, 500), [0.0, -0.0, 1.0, 0.1, 1e9]])
    found = rounded(values, 3)
    for value, short in zip(values.tolist(), found.tolist(), strict=True):
        assert short == pytest.approx(float(f"{value:.3g}"), rel=1e-15)
        assert float(repr(short)) == short
    assert repr(rounded(np.array([0.99853]), 3)[0].item()) == "0.999"
    assert repr(rounded(np.array([-0.0]), 3)[0].item()) == "0.0"


def test_blocks_are_reproducible_and_refuse_what_is_not_json() -> None:
    value = {"text": "</script>\u2028 \U0001d54f", "numbers": [0.1, None]}
    text = encode_block(value)
    assert text == encode_block(value)
    assert json.loads(zlib.decompress(base64.b64decode(text))) == value
    assert "<" not in text
    with pytest.raises(ValueError):
        encode_block({"score": float("nan")})


def test_percentiles_are_those_of_all_step_rewards(results: Results, explorer: Explorer) -> None:
    rewards = results.scores(explorer.index["models"][0], explorer.index["generators"][0]).column("step_rewards")
    median = np.median(rewards.combine_chunks().flatten().to_numpy())
    assert explorer.index["percentiles"][0][0][49] == pytest.approx(median, rel=1e-2)
