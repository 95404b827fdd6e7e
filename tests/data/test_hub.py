"""Problems and rollouts of a hub data set: a folder with the columns of the rollouts that the paper released."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonbench.generators.hub import HubGenerator, HubGeneratorParams
from harness.core.errors import Unavailable, UserError
from harness.core.records import Problem, Response, Sampling
from harness.engine import tasks
from harness.experiment.entries import build
from harness.storage.arrow import to_records, to_table


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Ten problems with eight completions each, but for one that has six; two rows are of one problem."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = [
        {
            "dataset": "sums",
            "prompt": f"What is {i % 9} + 1?",
            "reference": float(i % 9 + 1) if i % 9 else 1.5,
            "completions": [
                f"Step 1: row {i}\nStep 2: \\boxed{{{i % 9 + 1 + k % 2}}}" for k in range(6 if i == 3 else 8)
            ],
            "correctness": [k % 2 == 0 for k in range(8)],
        }
        for i in range(10)
    ]
    (tmp_path / "set").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set" / "train-00000.parquet")
    return str(tmp_path / "set")


def released(path: str, **more: str) -> HubGeneratorParams:
    return HubGeneratorParams(path=path, **({"problem": "prompt", "responses": "completions"} | more))


def problems(path: str, **more: Any) -> list[Problem]:
    entry = {"dataset": "hub", "path": path, "split": "train", "problem": "prompt", "answer": "reference"}
    spec = build("datasets", "train", entry | more, "problems.train", {})
    return spec.cls(spec.params, "train").load()  # type: ignore[no-any-return]


def test_rollouts_are_found_by_their_problem(folder: str) -> None:
    assert min(HubGenerator.available_samples(released(folder)).values()) == 6
    block = problems(folder, limit=5)
    assert [(p.problem_id, p.answer) for p in block] == [
        ("train-00000", "1.5"), *((f"train-{i:05d}", str(i + 1)) for i in range(1, 5))
    ]  # fmt: skip
    block.reverse()
    table = tasks.sample(
        HubGenerator(released(folder), "paper"), to_table(Problem, block), Sampling(n=8), 0, True
    ).table
    responses = to_records(Response, table)
    assert [(r.problem_id, r.sample) for r in responses] == [
        (p.problem_id, i) for p in block for i in range(6 if p.problem_id == "train-00003" else 8)
    ]
    assert all(f"row {int(r.problem_id[6:])}\n" in r.text for r in responses)
    assert {(r.generator, r.finish_reason, r.seed) for r in responses} == {("paper", "stop", None)}


def test_a_problem_in_two_rows_has_the_responses_of_both(folder: str) -> None:
    first = problems(folder)[0]
    texts = [r.text for r in HubGenerator(released(folder)).generate([first], Sampling(n=16), {})]
    assert [text.split("\n")[0] for text in texts] == ["Step 1: row 0"] * 8 + ["Step 1: row 9"] * 8


def test_columns_that_do_not_fit(folder: str) -> None:
    with pytest.raises(UserError, match="no column 'responses'; it has dataset, prompt, reference, completions"):
        HubGenerator(released(folder, responses="responses"))
    with pytest.raises(UserError, match="row 0: no list of texts in column 'correctness'"):
        HubGenerator(released(folder, responses="correctness")).generate(problems(folder), Sampling(n=1), {})
    with pytest.raises(UserError, match="row 0: no text in column 'problem'; the columns are dataset, prompt"):
        problems(folder, problem="problem")
    with pytest.raises(UserError, match="row 0: no text in column 'correctness'"):
        problems(folder, answer="correctness")
    with pytest.raises(UserError, match="cannot be loaded: ValueError: Unknown split"):
        HubGenerator(released(folder, split="tarin"))


def test_a_set_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(Unavailable, match="nobody/nothing is not on this machine"):
        HubGenerator(HubGeneratorParams(path="nobody/nothing"))
