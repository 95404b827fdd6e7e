"""What a checkpoint of a sharded model takes on disk: bytes per parameter, of two processes, tiny and on the CPU.

``python benchmarks/checkpoints.py`` trains for a few steps with the checkpoints that `transformers` makes of such
models by itself, gathered by the first process, and with those made here, of which every process writes its part.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from tiny_models import make_model  # noqa: E402
from training_data import graded_sums, stopping  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402
from two_workers import in_two_processes  # noqa: E402

from bonbench.reward_models.training.job import CHECKPOINTS, Job  # noqa: E402
from bonbench.reward_models.training.params import ImplicitTrainerParams  # noqa: E402
from bonbench.reward_models.training.responses import build_rollouts  # noqa: E402


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = make_model(Path(folder) / "base", width=256, layers=4)
        parameters = AutoModelForCausalLM.from_pretrained(base).num_parameters()
        params = ImplicitTrainerParams(
            base=base, reference=base, workers=2, fsdp=True, batch_size=8, checkpoint_minutes=0
        )
        rollouts, _ = build_rollouts(graded_sums(base), params)
        print(f"{parameters:,} parameters")
        for name, gathered in (("gathered by the first process", True), ("of each process its part", False)):
            output = Path(folder) / name
            job = stopping(Job("implicit", params, rollouts, base, output), 3)
            in_two_processes([job], Path(folder), gathered=gathered)
            left = json.loads((output / "left.json").read_text())
            files = {path: size for path, size in left.items() if path.startswith(f"{CHECKPOINTS}/")}
            largest = ", ".join(f"{Path(path).name} {size / parameters:.1f}" for path, size in _largest(files))
            print(f"{name}: {sum(files.values()) / parameters:.1f} bytes per parameter ({largest})")


def _largest(files: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(files.items(), key=lambda item: -item[1])[:4]


if __name__ == "__main__":
    main()
