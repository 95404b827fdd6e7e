"""Where models are loaded, with GPUs that a test makes up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.core.devices import check_fits, count_gpus, give_gpus, placed
from harness.core.errors import UserError


@dataclass
class Gpus:
    """GPUs of which GPU i has 100 (i + 1) bytes free."""

    count: int

    def is_available(self) -> bool:
        return self.count > 0

    def device_count(self) -> int:
        return self.count

    def current_device(self) -> int:
        return self.count - 1

    def mem_get_info(self, device: int) -> tuple[int, int]:
        return 100 * (device + 1), 1000


@pytest.mark.parametrize(
    ("device", "visible", "given", "arguments"),
    [
        ("auto", 0, 0, {}),
        ("auto", 0, 4, {}),
        ("cpu", 2, 2, {}),
        ("auto", 4, 0, {"device_map": {"": "cuda:3"}}),
        ("auto", 4, 1, {"device_map": {"": "cuda:3"}}),
        ("auto", 4, 0.5, {"device_map": {"": "cuda:3"}}),
        ("auto", 4, 2, {"device_map": "auto", "max_memory": {0: 90, 1: 180}}),
        ("auto", 2, 4, {"device_map": "auto", "max_memory": {0: 90, 1: 180}}),
        ("cuda", 4, 4, {"device_map": {"": "cuda:3"}}),
        ("cuda:1", 4, 4, {"device_map": {"": "cuda:1"}}),
    ],
)
def test_placed(
    monkeypatch: pytest.MonkeyPatch, device: str, visible: int, given: float, arguments: dict[str, Any]
) -> None:
    monkeypatch.setenv("BONBENCH_GPUS", "")  # put back at the end
    give_gpus(given)
    assert placed(device, Gpus(visible)) == arguments


def test_a_component_that_no_executor_builds_takes_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BONBENCH_GPUS", raising=False)
    assert placed("auto", Gpus(4)) == {"device_map": {"": "cuda:3"}}


def test_a_model_larger_than_its_gpus_is_refused() -> None:
    check_fits(SimpleNamespace(), "m")
    check_fits(SimpleNamespace(hf_device_map={"": "cpu"}), "m")
    check_fits(SimpleNamespace(hf_device_map={"a": 0, "b": 1}), "m")
    with pytest.raises(UserError, match="m does not fit on 2 GPUs: raise num_gpus"):
        check_fits(SimpleNamespace(hf_device_map={"a": 0, "b": 1, "c": "disk"}), "m")


@pytest.mark.parametrize(
    ("visible", "count"), [("", 0), ("0", 1), ("0, 2,5", 3), ("-1", 0), ("1,-1,2", 1), ("GPU-ab", 1)]
)
def test_the_gpus_that_a_process_may_see_are_counted(visible: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert count_gpus() == count


def test_the_driver_lists_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: H100 (UUID: GPU-1)'\necho '  MIG 1g: 0'\necho 'GPU 1: H100'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert count_gpus() == 2
