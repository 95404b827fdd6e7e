"""``bonbench check-adapter``: a card's own example scored, beside what the card prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reward_checkpoints import make_checkpoint
from runs import bonbench

from bonbench.reward_models.head_prm import HeadPRM, HeadPRMParams
from bonbench.reward_models.model_cards import cards_of
from harness.core.cards import Card
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Solution
from harness.core.steps import joined_steps
from harness.data.model_cards import example
from harness.streams.check_adapter import Compared, known_card

CARD = """---
license: mit
---
```python
import torch
model = load("x")   # not plain data
data = {"system": "S", "query": "What is $\\frac{6}{3}$?", "response": ["So $2$.", "Step 1: it is 2."]}
```
```bash
prompt = "no Python"
```
```python
this is no Python
```
"""
STEPS = ["So $2$.", "Step 1: it is 2."]
QWEN = {"score.0.weight": (32, 32), "score.0.bias": (32,), "score.2.weight": (2, 32), "score.2.bias": (2,)}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    folder = make_checkpoint(tmp_path / "copy", "qwen", QWEN)
    (tmp_path / "copy" / "README.md").write_text(CARD)
    return folder


def known(monkeypatch: pytest.MonkeyPatch, *rewards: float) -> None:
    card = Card({"convention": "qwen2.5-math-prm"}, "model", "data.query", ("data.response",), (rewards,))
    monkeypatch.setattr(HeadPRM, "cards", classmethod(lambda cls: {"owner/prm": card}))


def test_the_cards_example_is_scored(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, ends = joined_steps(STEPS)
    solution = Solution(
        Problem("p", "What is $\frac{6}{3}$?", ""), Response("p", "", 0, text, finish_reason="stop"), given_ends=ends
    )
    (record,) = HeadPRM(HeadPRMParams(model=folder, convention="qwen2.5-math-prm")).score([solution])
    first, second = record.step_rewards
    known(monkeypatch, first, second)
    done = bonbench("check-adapter", "owner/prm", "--model", folder)
    assert done.code == 0, done.err
    assert f"{first:.4f}" in done.out and "+0.0000" in done.out and "differs" not in done.out
    known(monkeypatch, first, second - 0.3)
    done = bonbench("check-adapter", "owner/prm", "--model", folder)
    assert (done.code, done.out.count("differs")) == (1, 1)


def test_what_cannot_be_compared_is_one_line(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = bonbench("check-adapter", "Qwen/Qwen2.5-Math-PRM-7")
    assert done.code == 2
    assert (
        "no public reward model is known as 'Qwen/Qwen2.5-Math-PRM-7'; did you mean Qwen/Qwen2.5-Math-PRM-7B"
        in done.err
    )
    done = bonbench("check-adapter", "openbmb/Eurus-RM-7b")
    assert done.code == 2
    assert 'run `bonbench score example.jsonl --reward-model \'sequence-classifier:{"model": "openbmb/Eurus' in done.err
    known(monkeypatch, 0.5, 0.5, 0.5)
    done = bonbench("check-adapter", "owner/prm", "--model", folder)
    assert done.code == 2 and "2 rewards for response 1 here, 3 in its card" in done.err
    (Path(folder) / "README.md").write_text("no example")
    done = bonbench("check-adapter", "owner/prm", "--model", folder)
    assert done.code == 2 and "has no longer the example that is known here (data.query, data.response)" in done.err
    (Path(folder) / "README.md").unlink()
    done = bonbench("check-adapter", "owner/prm", "--model", folder)
    assert done.code == 2 and "has no README.md" in done.err


@pytest.mark.parametrize("code", ["x = [1", "data = {'query': 1, 'response': []}", "data = 3", "a, b = 1, 2", "x = y"])
def test_a_card_of_another_shape(code: str) -> None:
    card = Card({}, "model", "data.query", ("data.response",), ((1.0,),))
    with pytest.raises(UserError, match="compare by hand"):
        example(card, f"```python\n{code}\n```", "m")


def test_what_is_known_is_complete() -> None:
    for family in ("head-prm", "sequence-classifier", "step-token"):
        for name, card in cards_of(family).items():
            assert known_card(name) == (family, card)
            assert len(card.responses) == len(card.rewards)
            assert bool(card.problem) == bool(card.rewards)
    assert known_card("PRIME-RL/EurusPRM-Stage2")[1].model == "policy"


@pytest.mark.parametrize(
    ("card", "here", "agrees"), [(23.0, 22.0, True), (23.0, 21.0, False), (0.5, 0.54, True), (0.0, 0.1, False)]
)
def test_what_rounding_may_do(card: float, here: float, agrees: Any) -> None:
    assert Compared(1, 1, card, here).agrees == agrees
