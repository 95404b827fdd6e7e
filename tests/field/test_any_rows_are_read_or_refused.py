"""Files of problems, of responses and of answers as nobody would write them: whatever the rows are, they are read, or
one line says what is wrong. (A short form of a fuzzer.)"""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonbench.generators.replay import ReplayGenerator, ReplayParams
from bonbench.reward_models.recorded import RecordedParams, RecordedScores
from harness.core.errors import UserError
from harness.core.records import Problem, Sampling
from harness.data.datasets import FileDataset, FileParams
from harness.data.response_files import read_recorded
from harness.engine import tasks
from harness.storage.arrow import to_table
from harness.streams.grade import Grader, grade_file

TEXT = st.one_of(
    st.text(st.characters(), max_size=9),
    st.sampled_from(
        ["", "2", "a\n\nb", "Step 1: a\nStep 2: b", "\ud83d", "x\udc00", "\0", "\ufeff", "\r\n\r\na", "-0.0"]
    ),
)
NUMBER = st.one_of(
    st.integers(-3, 3), st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([-0.0, 1e308, 10**400])
)
ID = st.one_of(TEXT, NUMBER)
SCALAR = st.one_of(st.none(), st.booleans(), ID)
ANYTHING = st.recursive(
    SCALAR, lambda part: st.one_of(st.lists(part, max_size=2), st.dictionaries(TEXT, part, max_size=2)), max_leaves=5
)


def rows(needed: dict[str, Any], more: dict[str, Any]) -> Any:
    """Rows whose values are mostly of the kind that is wanted."""

    def mostly(fields: dict[str, Any]) -> dict[str, Any]:
        return {name: st.one_of(*[kind] * 5, ANYTHING) for name, kind in fields.items()}

    return st.lists(st.fixed_dictionaries(mostly(needed), optional=mostly(more)), min_size=1, max_size=4)


SCORES = st.dictionaries(TEXT, st.lists(NUMBER, min_size=1, max_size=2), max_size=2)
SAMPLE = st.fixed_dictionaries(
    {"text": TEXT},
    optional={"steps": st.lists(TEXT, max_size=2), "num_tokens": NUMBER, "finish_reason": TEXT, "step_scores": SCORES},
)
KINDS = {
    "problems": rows(
        {"problem": TEXT, "answer": ID}, {"unique_id": ID, "problem_id": ID, "level": ID, "subject": TEXT}
    ),
    "nested": rows(
        {"problem": TEXT, "gold": TEXT, "samples": st.lists(SAMPLE, min_size=1, max_size=2)},
        {"problem_id": ID, "subject": TEXT, "level": NUMBER},
    ),
    "flat": rows(
        {"problem_id": ID, "text": TEXT},
        {"generator": TEXT, "sample": NUMBER, "n_tokens": NUMBER, "problem": TEXT, "answer": TEXT},
    ),
    "answers": rows({"gold": SCALAR}, {"pred": SCALAR, "response": TEXT, "answer": SCALAR, "target": SCALAR}),
}
GRADER = Grader()


def read(kind: str, path: Path, given: list[dict[str, Any]]) -> None:
    if kind == "answers":
        assert grade_file(path, path.with_name("out"), GRADER).file.lines == len(given)
        return
    if kind == "problems":
        problems = FileDataset(FileParams(path=str(path)), "test").load()
        assert len(to_table(Problem, problems)) == len(given)
        return
    recorded = read_recorded(path)
    problems = [one.problem for one in recorded]
    for name, counts in recorded.counts.items():
        generator = ReplayGenerator(ReplayParams(path=str(path), generator=name), "r")
        if n := min(counts.values()):
            responses = tasks.sample(generator, to_table(Problem, problems), Sampling(n=n), 0).table
            for model in recorded.scores:
                scorer = RecordedScores(RecordedParams(path=str(path), model=model), model)
                scorer.check(scorer.params)
                rewards = tasks.score(scorer, to_table(Problem, problems), responses).table["step_rewards"].to_pylist()
                assert all(math.isfinite(reward) for of in rewards for reward in of)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", KINDS)
def test_any_rows(kind: str) -> None:
    @settings(max_examples=150, derandomize=True, database=None)
    @given(KINDS[kind])
    def check(given: list[dict[str, Any]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in given))
            try:
                read(kind, path, given)
            except UserError as error:
                assert "\n" not in str(error)

    check()
