"""``bonbench score``: without an experiment, in order, with the numbers of a plain computation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from places import ROOT
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.cli import main
from harness.core.steps import step_spans

MODELS = ROOT / "experiments" / "pocket" / "models"
ROWS = [
    {"id": 1, "problem": "What is 2 + 3?", "response": "Step 1: 2 + 3 = 5\nStep 2: The answer is 5"},
    {"id": 2, "problem": "What is 4 + 4?", "response": "4 + 4 = 9"},
    {"id": 3, "problem": "What is 2 + 3?", "response": ""},
    {"id": 4, "problem": "What is 2 + 3?", "response": "Step 1: 2 + 3 = 5\nStep 2: The answer is 5"},
]


def score(folder: Path, rows: list[object], spec: str) -> int:
    """Write the rows to in.jsonl, score them into out.jsonl; the exit code."""
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return main(["score", str(folder / "in.jsonl"), "--reward-model", spec, "-o", str(folder / "out.jsonl")])


@torch.inference_mode()
def log_likelihood(model_folder: Path, problem: str, response: str) -> float:
    """log p(response, end of turn | problem), one response at a time."""
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    messages = [{"role": "user", "content": problem}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(prompt + response + tokenizer.eos_token, add_special_tokens=False, return_tensors="pt").input_ids
    n_prompt = len(tokenizer(prompt, add_special_tokens=False).input_ids)
    logprobs = model(ids).logits[0].log_softmax(-1)
    return float(logprobs[:-1].gather(1, ids[0, 1:, None])[n_prompt - 1 :].sum())


def test_scores_are_those_of_a_plain_computation(tmp_path: Path) -> None:
    assert score(tmp_path, [*ROWS], f"implicit:policy={MODELS / 'middle'},reference={MODELS / 'weak'},beta=0.5") == 0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [{k: row[k] for k in ("id", "problem", "response")} for row in rows] == ROWS
    for row in rows:
        spans = step_spans(row["response"])
        assert row["step_ends"] == [end for _, end in spans]
        assert row["score"] == pytest.approx(min(row["step_rewards"]))
        ratio = log_likelihood(MODELS / "middle", row["problem"], row["response"]) - log_likelihood(
            MODELS / "weak", row["problem"], row["response"]
        )
        assert sum(row["step_rewards"]) == pytest.approx(0.5 * ratio, abs=1e-4)
    assert rows[0]["step_rewards"] == rows[3]["step_rewards"]


def test_a_response_that_is_too_long_has_no_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = {"problem": "What is 2 + 3?", "response": "2 + 3 = 5. " * 300}
    spec = f"implicit:policy={MODELS / 'middle'},reference=null"
    assert score(tmp_path, [ROWS[0], long, ROWS[1]], spec) == 2
    reason = "longer than what a model of its token passes reads, or refused by its chat template"
    assert f"2 scored, 1 without a score: {reason}" in "".join(capsys.readouterr())
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows[1] == {**long, "step_rewards": [], "step_ends": [], "score": None, "unscored_because": reason}
    assert all(isinstance(row["score"], float) and "unscored_because" not in row for row in (rows[0], rows[2]))
    assert score(tmp_path, [ROWS[0], long], spec + ",too_long=error") == 2
    assert "is longer than the policy reads" in capsys.readouterr().err


@pytest.mark.parametrize("choice", ["skip", "truncate", "error"])
def test_a_response_too_long_for_a_reward_model_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], choice: str
) -> None:
    """A PRM that is one model: the first of two steps ends within its 256 positions."""
    long = {"problem": "What is 2 + 3?", "response": "2 + 3 = 5.\n" + "2 + 3 = 5. " * 300}
    spec = f"step-token:model={MODELS / 'middle'},too_long={choice}"
    assert score(tmp_path, [ROWS[0], long, ROWS[1]], spec) == (0 if choice == "truncate" else 2)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    if choice == "error":
        assert "1 bad lines, passed over: line 2: " in capsys.readouterr().err
        assert rows[1].keys() == {"line", "error"} and "reads 256 tokens, it has" in rows[1]["error"]
        assert [len(row["step_rewards"]) for row in (rows[0], rows[2])] == [2, 1]
        return
    assert [len(row["step_rewards"]) for row in rows] == [2, {"skip": 0, "truncate": 1}[choice], 1]
    assert rows[1].get("unscored_because") == {"skip": "longer than the 256 tokens that the model reads"}.get(choice)


def test_bad_lines_and_bad_models_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(tmp_path, [ROWS[0], {"problem": "p"}], f"implicit:policy={MODELS / 'middle'},reference=null") == 2
    assert '1 scored\n1 bad lines, passed over: line 2: no "response"' in "".join(capsys.readouterr())
    assert score(tmp_path, [ROWS[0]], "implicit:policy=/nowhere,reference=null") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("bonbench: --reward-model implicit:policy=/nowhere,reference=null")


def test_a_judge_is_asked_about_each_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its replies depend on their questions alone, so rows score as they do in another file."""
    (tmp_path / "own.jinja").write_text("{{ problem }} {{ response }}")
    judge = f"generator: {MODELS / 'weak'}, question: {tmp_path / 'own.jinja'}, max_tokens: 40"
    # Whatever this model writes after it, "correct? yes" is read.
    spec = f"generative:{{{judge}, verifications: 2, begins: 'Is it correct? yes. '}}"
    assert score(tmp_path, [*ROWS], spec) == 0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows[0]["score"] == rows[3]["score"]
    assert {row["score"] for row in rows} <= {1.0, None} and any(row["score"] for row in rows)
    unread = [row["replies_without_verdict"] for row in rows]
    assert all((n == 2) == (row["score"] is None) for n, row in zip(unread, rows, strict=True))
    said = "".join(capsys.readouterr())
    assert (f"no verdict can be read in {sum(unread)} replies" in said) == (sum(unread) > 0)
    alone = tmp_path / "alone"
    alone.mkdir()
    assert score(alone, [ROWS[1]], spec) == 0
    assert json.loads((alone / "out.jsonl").read_text()) == rows[1]
    capsys.readouterr()
    for more, complaint in (("preset: pairwise", "compares all responses"), ("readout: grad", "readout")):
        assert score(tmp_path, [*ROWS], f"generative:{{generator: {MODELS / 'weak'}, {more}}}") == 2
        assert complaint in capsys.readouterr().err
