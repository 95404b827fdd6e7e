"""Which errors a process does not survive, and which pass by themselves."""

from __future__ import annotations

import pytest

from harness.core.errors import UserError
from harness.engine.failures import breaks_process, is_transient, own_failure


@pytest.mark.parametrize(
    ("error", "breaks"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`"), True),
        (RuntimeError("NCCL error in: ProcessGroupNCCL.cpp:2356, unhandled system error"), True),
        (type("EngineDeadError", (Exception,), {})("see the log"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), False),
        (ValueError("an odd shape"), False),
    ],
)
def test_what_a_device_broke(error: Exception, breaks: bool) -> None:
    assert breaks_process(error) is breaks


def raised_from(cause: Exception) -> UserError:
    """As models say that they cannot be loaded."""
    try:
        raise UserError("m cannot be loaded: OSError: We couldn't connect to the hub") from cause
    except UserError as error:
        return error


class HubError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__("the hub")
        self.response = type("Response", (), {"status_code": status})()


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (raised_from(HubError(429)), True),
        (raised_from(HubError(503)), True),
        (raised_from(HubError(404)), False),
        (raised_from(ConnectionResetError(104, "Connection reset by peer")), True),
        (UserError("vLLM refuses m: Free memory on device (3.1/79.2 GiB) is less than desired"), True),
        (OSError("429 Client Error: Too Many Requests for url"), True),
        (OSError("[Errno -3] Temporary failure in name resolution"), False),
        (UserError("m cannot be loaded: OSError: m is not a valid model identifier"), False),
    ],
)
def test_what_passes_by_itself(error: Exception, transient: bool) -> None:
    assert is_transient(error) is transient


def test_what_a_worker_of_a_group_raised_itself() -> None:
    """A group of workers is started again where one was lost, and not for what would be raised again."""
    own, lost = (
        ValueError("no such column"),
        RuntimeError("[gloo/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]"),
    )
    died = type("RayActorError", (Exception,), {"__module__": "ray.exceptions"})("the actor died")
    broken = RuntimeError("CUDA error: an illegal memory access was encountered")
    assert own_failure([lost, own]) is own
    assert own_failure([UserError("too little memory")]) is not None
    for errors in ([lost], [lost, ConnectionResetError()], [own, died], [own, broken]):
        assert own_failure(errors) is None
