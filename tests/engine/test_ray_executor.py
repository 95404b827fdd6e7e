"""An actor that dies: another takes its place, and its shard is tried again."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos import finish, start
from failing_reward_models import SCORED, experiment
from runs import table

pytestmark = [pytest.mark.ray]


@pytest.mark.thorough
def test_a_dead_actor_is_replaced_and_its_shard_retried(tmp_path: Path) -> None:
    finish(start(experiment(tmp_path, "Flaky")))
    assert len(list((tmp_path / "marks").iterdir())) == 3, "every shard killed its actor once"
    scores = table(tmp_path / "results", "scores")
    assert list(zip(scores.problem_id, scores["sample"], strict=True)) == SCORED
