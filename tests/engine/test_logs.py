"""Files of what failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import ray
from failing_reward_models import experiment
from on_ray import launcher

from harness.core.workers import Workers
from harness.engine.build import build_graph
from harness.engine.logs import Log
from harness.engine.progress import Board
from harness.engine.ray_executor import RayExecutor
from harness.engine.run import run_stages
from harness.experiment.config import load_experiment


@pytest.mark.parametrize("who", ["../../etc/passwd", "a/b c\n", "ü" * 5000, "round-1/x"])
def test_every_name_is_a_file_in_the_folder(tmp_path: Path, who: str) -> None:
    log = Log(tmp_path, "score", who)
    assert log.hint() == ""
    log.add(3, "first")
    log.add(3, "second \ud800")
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert file.parent == tmp_path / "logs" and file.name.endswith("-3.log")
    text = file.read_text()
    assert text.index("first") < text.index("second")
    assert log.hint() == f" (whole in logs/{file.name})"


def test_a_log_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file is in the way")
    log = Log(tmp_path, "score", "x")
    log.add(0, "text")
    assert log.hint() == ""


@pytest.mark.ray
def test_what_fails_in_an_actor_is_written_with_its_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shard, in each of its tries, and a training."""
    graph = build_graph(load_experiment(experiment(tmp_path, "Mended")))

    class Kept(RayExecutor):
        def close(self) -> None:
            """Ray is used again below."""
            self._watch.stop()

    def divide(job: int, progress: Any) -> float:
        return 1 / job

    try:
        with Board(live=False) as board:
            outcome = run_stages(graph, graph.nodes, Kept(), board)
        with pytest.raises(ZeroDivisionError) as raised:
            launcher()(divide, 0, Workers(), tmp_path / "scratch", lambda *_: None)
    finally:
        ray.shutdown()
    assert len(outcome.quarantined) == 3
    assert "OSError: disk full (whole in logs/score-mine-" in " ".join(capsys.readouterr().err.split())
    logs = [path.read_text() for path in sorted((tmp_path / "results" / "logs").iterdir())]
    assert sum(text.count("\nOSError: disk full") for text in logs) >= 9
    assert all('rm.py", line' in text and "in score" in text and "\x1b" not in text for text in logs)
    assert "in divide" in "".join(raised.value.__notes__)
