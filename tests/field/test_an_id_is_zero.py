"""Ids counted from 0 are the commonest there are, and what looks whether one "is there" takes 0 for none.

EleutherAI/lm-evaluation-harness#2715 and many more: a first problem without its responses, an end token that ends
nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_models import make_tokenizer

from bonbench.generators.prompts import Codec, PromptParams
from harness.core.terms import Kind
from harness.experiment.entries import build


@pytest.mark.parametrize("ids", [(0, 1), ("0", "1"), (0.0, 1.0)])
def test_the_problem_of_id_0_finds_its_responses(tmp_path: Path, ids: tuple[object, object]) -> None:
    rows = [{"problem_id": id_, "problem": f"1+{i}?", "answer": i + 1, "level": i} for i, id_ in enumerate(ids)]
    samples = [{"problem_id": id_, "sample": k, "text": "2"} for id_ in ids for k in (0, 1)]
    for name, lines in (("problems", rows), ("samples", samples)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def made(kind: Kind, **entry: object) -> object:
        spec = build(kind, "x", entry, "x", {})
        return spec.cls(spec.params)

    problems = made("datasets", dataset="jsonl", path=str(tmp_path / "problems.jsonl")).load()  # type: ignore[attr-defined]
    assert [p.problem_id for p in problems] == ["0", "1"]
    assert [p.level for p in problems] == [0, 1]


def test_a_row_that_says_nothing_of_its_id_is_named_by_its_place(tmp_path: Path) -> None:
    rows = [{"id": id_, "problem": f"1+{i}?", "answer": i + 1} for i, id_ in enumerate((None, "", 0))]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = build("datasets", "x", {"dataset": "jsonl", "path": str(tmp_path / "p.jsonl"), "id": "id"}, "x", {})
    assert [p.problem_id for p in spec.cls(spec.params).load()] == ["test-00000", "test-00001", "0"]


def test_token_0_ends_a_response() -> None:
    tokenizer = make_tokenizer()
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(0)
    for generation_eos in (0, [0], None):
        codec = Codec(PromptParams(), tokenizer, "m", generation_eos)
        assert codec.stop_ids == [0]
        assert codec.decode([5], [40, 0]) == codec.decode([5], [40])
