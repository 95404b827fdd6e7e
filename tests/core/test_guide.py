"""The reward model of docs/adding-a-reward-model.md, and the one that the guide showed before 0.2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from places import ROOT

from harness import Problem, Response, Solution, StepScores, TokenLogprobs
from harness.core.registry import find
from harness.core.selection_rules import checked_choice
from harness.experiment.entries import build


def guide() -> str:
    return (ROOT / "docs" / "adding-a-reward-model.md").read_text().split("```python\n")[1].split("```")[0]


BEFORE = (ROOT / "tests" / "support" / "adapter_before_0_2.py").read_text()


@pytest.mark.parametrize("source", [guide(), BEFORE], ids=["as written", "as written before 0.2"])
def test_the_guides_reward_model_scores(source: str, tmp_path: Path) -> None:
    file = tmp_path / "my_rm.py"
    file.write_text(source)
    entry = {"type": f"{file}:MeanLogLikelihood", "model": "middle"}
    spec = build("reward_models", "mine", entry, "reward_models.mine", {"middle": "experiments/pocket/models/middle"})
    cls = find("reward_models", spec.type_)
    assert cls.token_passes(spec.params) == {"model": "experiments/pocket/models/middle"}
    text = "Step 1: 2\nStep 2: 4"
    logprobs = TokenLogprobs("p", "weak", 0, (-1.0, -2.0, -6.0), (8, 17, 17), 5)
    response = Response("p", "weak", 0, text, 5, 3, "stop", 0)
    solution = Solution(Problem("p", "2 + 2?", "4"), response, {"model": logprobs})
    model = cls(spec.params, "mine")
    assert model.score([solution]) == [StepScores("p", "weak", 0, "mine", (-3.0,), (len(text),), 3)]
    assert (model.reward, model.score_type) == ("ORM", "unbounded")


def test_the_guides_selection_rule_chooses(tmp_path: Path) -> None:
    source = (ROOT / "docs" / "selection-rules.md").read_text().split("```python\n")[1].split("```")[0]
    (tmp_path / "my_rules.py").write_text(source)
    cls = find("selection_rules", f"{tmp_path / 'my_rules.py'}:clear_winner")
    rule = cls(cls.Params.model_validate({"margin": 0.1}), "mine")
    scores, classes = np.array([[0.9, 0.5, 0.1], [0.9, 0.85, 0.1]]), np.array([[0, 1, -1], [0, 1, -1]])
    assert checked_choice(rule, scores, scores, classes).tolist() == [[1, 0, 0], [0.5, 0.5, 0]]
    assert checked_choice(rule, scores[:, :1], scores[:, :1], classes[:, :1]).tolist() == [[1], [1]]
