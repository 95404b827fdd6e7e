"""Killed and run again: the results are, byte for byte, those of a run in one process that nobody disturbs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from chaos import actors_below, finish, kill, start, stored, training_experiment, undisturbed, wait_for
from runs import contents, costs
from tiny_models import make_model

from bonbench.reward_models.training.checkpoints import last_checkpoint, steps_done

pytestmark = [pytest.mark.ray]


def test_killed_and_resumed_is_the_same(tmp_path: Path) -> None:
    """The actors are killed while they sample; then the worker, and the driver, as it trains."""
    model = make_model(tmp_path / "tiny", width=64)
    config = training_experiment(tmp_path / "disturbed", model)
    partial = tmp_path / "disturbed" / "results" / "trained" / "kto.partial" / "checkpoints"

    process = start(config)
    wait_for(lambda: len(stored(config, "responses/tiny")) >= 2, process)
    victims = actors_below(process.pid)
    assert victims
    for victim in victims:
        victim.kill()
    assert len(stored(config, "responses/tiny")) < 16, "sampling was over before anything was killed"
    wait_for(lambda: last_checkpoint(partial) is not None, process)
    (worker,) = actors_below(process.pid, "_Actor.train")
    worker.kill()
    reached = steps_done(last_checkpoint(partial))
    wait_for(lambda: steps_done(last_checkpoint(partial)) > reached, process)
    kill(process)
    assert 0 < steps_done(last_checkpoint(partial)) < 120, "training was over before it could be disturbed"

    finish(start(config))
    expected = undisturbed(
        training_experiment(tmp_path / "undisturbed", model), "--set", "reward_models.kto.train.checkpoint_minutes=10"
    )
    results = config.parent / "results"
    assert contents(results).keys() == contents(expected).keys()
    different = [name for name, data in contents(expected).items() if contents(results)[name] != data]
    assert different == []
    pd.testing.assert_frame_equal(costs(results), costs(expected))
