"""``bonbench run --prefetch``: models of the hub go to its cache, and nothing runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hub_server import hub_of

EXPERIMENT = """\
name: x
problems: {{test: {{dataset: jsonl, path: {folder}/problems.jsonl}}}}
sampling: {{n: 2}}
generators:
  one: {{type: transformers, model: owner/one}}
reward_models:
  again: {{type: implicit, policy: owner/one, reference: null}}
  two: {{type: sequence-classifier, model: owner/two}}
  gone: {{type: sequence-classifier, model: owner/gone}}
"""


def test_models_are_fetched_once_each_and_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    for name in (
        "one/config.json",
        "one/model.safetensors",
        "one/pytorch_model.bin",
        "one/original/consolidated.00.pth",
        "one/model.gguf",
        "two/config.json",
        "two/pytorch_model.bin",
    ):
        (hub / "owner" / name).parent.mkdir(parents=True, exist_ok=True)
        (hub / "owner" / name).write_text(name)
    (tmp_path / "problems.jsonl").write_text('{"problem_id": "a", "problem": "1 + 1?", "answer": "2"}\n')
    (tmp_path / "x.yaml").write_text(EXPERIMENT.format(folder=tmp_path))

    with hub_of(hub) as (address, fetched):
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-m", "bonbench", "run", "x.yaml", "--prefetch"]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    assert sorted(fetched) == [
        "owner/one/config.json",
        "owner/one/model.safetensors",
        "owner/two/config.json",
        "owner/two/pytorch_model.bin",
    ]
    said = run.stdout.splitlines()
    assert said[0].startswith("owner/one: ") and said[1].startswith("owner/two: ")
    assert said[2].startswith("owner/gone cannot be loaded: ") and len(said) == 3
    assert run.returncode == 1, run.stderr
    assert not (tmp_path / "results").exists()
