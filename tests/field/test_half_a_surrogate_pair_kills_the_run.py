"""Half of a surrogate pair in one response, from a file or from a model cut off in the middle of a character, and the
whole run ends with a UnicodeEncodeError that does not say where (UKGovernmentBEIS/inspect_ai#3802, #2316,
strands-rl/strands-env#211)."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonbench.generators.replay import ReplayGenerator, ReplayParams
from harness.core.components import Generator, Verifier
from harness.core.errors import UserError
from harness.core.params import ComponentParams
from harness.core.records import Grade, Problem, Response, Sampling
from harness.core.text import mended
from harness.data.datasets import FileDataset, FileParams, ResponsesDataset, ResponsesParams
from harness.data.documents import parse_yaml, read_json
from harness.data.lines import read_rows
from harness.engine import tasks
from harness.experiment.config import Experiment
from harness.experiment.problem_sets import load_problem_sets
from harness.storage.arrow import to_records, to_table
from harness.streams.benchmarks.processbench import ProcessBench
from harness.streams.benchmarks.scoring import load
from harness.streams.grade import Grader, grade_file

HALF, MENDED = "cut \ud83d", "cut \ufffd"
EMOJI = "\U0001f600"


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (HALF, MENDED),
        ("\ud83d.", "\ufffd."),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ude00", EMOJI),
        ("\ud83d\ud83d\ude00é", f"\ufffd{EMOJI}é"),
        ("\udcff", "\ufffd"),
        (f"é\0{EMOJI}\ufeff\uffff", f"é\0{EMOJI}\ufeff\uffff"),
    ],
)
def test_only_what_is_no_text_is_replaced(text: str, whole: str) -> None:
    assert mended(text) == whole


def test_a_file_of_responses_is_read_and_says_which_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sample = {"text": HALF, "steps": [HALF], "finish_reason": "\ud83d", "step_scores": {"\ud83d": [0.5]}}
    path = write(
        tmp_path / "r.jsonl",
        {"problem_id": "whole", "problem": "1 + 1?", "gold": "2", "samples": [{"text": EMOJI}]},
        {"problem_id": "\ud83d", "problem": HALF, "gold": HALF, "subject": HALF, "samples": [sample]},
        {"problem": HALF + "!", "gold": "2", "samples": [{"text": "2"}]},
    )
    problems = ResponsesDataset(ResponsesParams(path=path), "test").load()
    assert [p.problem for p in problems] == ["1 + 1?", MENDED, MENDED + "!"]
    assert (problems[1].problem_id, problems[1].answer, problems[1].subject) == ("\ufffd", MENDED, MENDED)
    to_table(Problem, problems)
    responses = ReplayGenerator(ReplayParams(path=path), "r").generate(problems, Sampling(n=1), {})
    assert [r.text for r in responses] == [EMOJI, MENDED, "2"]
    assert [m for m in caplog.messages if "2 lines are no whole text, the first is line 2" in m and path in m]


@pytest.mark.parametrize("reader", ["problems", "answers", "processbench"])
def test_every_other_reader_goes_on_too(tmp_path: Path, reader: str) -> None:
    row = {"problem_id": HALF, "problem": HALF, "answer": HALF, "pred": HALF, "steps": [HALF], "label": -1}
    path = write(tmp_path / "a.jsonl", row, {**row, "problem_id": 0, "pred": "2"})
    if reader == "problems":
        problems = FileDataset(FileParams(path=path), "test").load()
        assert [(p.problem_id, p.problem, p.answer) for p in problems] == [(MENDED,) * 3, ("0", MENDED, MENDED)]
    elif reader == "answers":
        done = grade_file(Path(path), tmp_path / "out.jsonl", Grader())
        assert done.file.good == 2 and done.correct == 1
        assert json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])["pred"] == MENDED
    else:
        assert [entry.item.steps for entry in load(ProcessBench(), path)] == [(MENDED,)] * 2


def test_bytes_that_are_no_text_in_a_parquet_file(tmp_path: Path) -> None:
    """Arrow does not look at the bytes of its strings when it reads them."""
    damaged = pa.array([b"good", b"cut \xf0\x9f"]).cast(pa.binary()).view(pa.string())
    table = pa.table({"problem": damaged, "steps": pa.ListArray.from_arrays([0, 1, 2], damaged), "label": [0, 0]})
    pq.write_table(table, tmp_path / "a.parquet")
    rows = [row for _, row in read_rows(tmp_path / "a.parquet")]
    assert rows[0] == {"problem": "good", "steps": ["good"], "label": 0}
    assert rows[1]["problem"].startswith("cut \ufffd") and rows[1]["steps"] == [rows[1]["problem"]]


class Cut(
    Generator[ComponentParams],
    Verifier[ComponentParams],
):  # type: ignore[misc]
    """Writes half a character, and reads half of one."""

    def generate(
        self, problems: Sequence[Problem], sampling: Sampling, seeds: Mapping[str, Sequence[int]]
    ) -> list[Response]:
        return [Response(p.problem_id, self.name, i, HALF if i else EMOJI) for p in problems for i in range(sampling.n)]

    def grade(self, problems: Sequence[Problem], responses: Sequence[Response]) -> list[Grade]:
        return [Grade(r.problem_id, r.generator, r.sample, HALF, False, HALF, 0) for r in responses]

    def extract(self, text: str) -> str | None:
        return None

    def verify(self, pairs: Sequence[tuple[str | None, str]]) -> list[tuple[bool, str]]:
        return []


def test_what_any_generator_and_verifier_made_is_stored(caplog: pytest.LogCaptureFixture) -> None:
    component, problems = Cut(ComponentParams(), "mine"), to_table(Problem, [Problem("p", "1 + 1?", "2")])
    sampled = tasks.sample(component, problems, Sampling(n=2), 0).table
    assert [r.text for r in to_records(Response, sampled)] == [EMOJI, MENDED]
    graded = tasks.grade(component, problems, sampled).table
    assert {(g.extracted, g.reason) for g in to_records(Grade, graded)} == {(MENDED, MENDED)}
    assert caplog.messages[0].startswith("mine: 1 of 2 have half a character")
    assert caplog.messages[0].endswith("the first is sample 1 of problem 'p'")


MINE = """
from harness import ComponentParams, Dataset, Problem

class Mine(Dataset[ComponentParams]):
    def load(self):
        return [Problem("p\\ud83d", "1 + 1 = \\ud83d", "\\ud83d", "\\ud83d"), Problem("q", "2 + 2?", "4")]
"""


def test_problems_of_any_data_set_are_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    config = Experiment(name="x", problems={"test": {"dataset": f"{tmp_path}/mine.py:Mine"}})
    with caplog.at_level(logging.WARNING):
        sets, _, _ = load_problem_sets(config, evaluated=True, may_stand_in=False)
    assert sets["test"][0] == Problem("p\ufffd", "1 + 1 = \ufffd", "\ufffd", "\ufffd")
    assert [m for m in caplog.messages if m.startswith("problems.test: 1 of 2 have half a character")]


def test_the_key_of_a_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^e.yaml: not YAML: generators.g.system_prompt\[1\] has half a character"):
        parse_yaml(r'generators: {g: {system_prompt: ["a", "\ud83d"]}}', "e.yaml")
    assert parse_yaml(r'"\ud83d\ude00"', "e.yaml") == EMOJI  # as JSON spells it, which YAML includes
    (tmp_path / "a.json").write_text(r'{"a": {"b": "\udcff"}}')
    with pytest.raises(UserError, match=r"a.json: not JSON: a.b has half a character"):
        read_json(tmp_path / "a.json")
