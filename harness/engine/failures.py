"""What an error of a component says of the process it ran in, and whether it passes by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

#: Errors of a device or of what drives it, after which a process computes nothing right: CUDA keeps its first error for
#: ever, and an engine whose processes are dead stays dead. A lack of memory is none of them.
_BROKEN = re.compile(
    r"CUDA error|CUDA driver error|device-side assert|illegal memory access|CUBLAS_STATUS|CUDNN_STATUS|cuDNN error"
    r"|NCCL error|ncclUnhandled|ncclSystemError|ncclInternalError|AcceleratorError"
    r"|EngineDeadError|EngineCore encountered"
)
#: What ends without anybody's doing: GPU memory that the process before has not yet given back (vLLM), a hub that is
#: asked too often or is down, a connection cut off. A machine without a network is none of them.
_TRANSIENT = re.compile(
    r"Free memory on device|Connection reset by peer|Remote end closed connection|Server disconnected"
    r"|\b(?:429 Client Error|5\d\d Server Error)\b|Too Many Requests|Service Unavailable|Bad Gateway|Gateway Time-?out"
)
#: What a worker says whose group lost another worker: its own work may be without fault.
_LOST_PEER = re.compile(
    r"closed by peer|reset by peer|Broken pipe|Connection refused|Socket Timeout|[Gg]loo|NCCL|TCPStore|ProcessGroup"
    r"|DistError|DistNetworkError|DistStoreError|DistBackendError"
)
_TRANSIENT_STATUS = (429, 500, 502, 503, 504)


def breaks_process(error: BaseException) -> bool:
    """Whether a process that met this error is of no use any more: a device broke under it."""
    return any(_BROKEN.search(_text(one)) for one in _chain(error))


def is_transient(error: BaseException) -> bool:
    """Whether an error at the start of a component may be gone some minutes later."""
    return any(
        isinstance(one, ConnectionResetError)
        or getattr(getattr(one, "response", None), "status_code", None) in _TRANSIENT_STATUS
        or _TRANSIENT.search(_text(one)) is not None
        for one in _chain(error)
    )


def own_failure(errors: Sequence[Exception]) -> Exception | None:
    """What a worker of a group, which ended with these errors, raised on its own account, and would raise again.

    None where a process died (which Ray says in errors of its own), or a device broke: the others fail for the loss.
    """
    if any(_is_of_ray(error) or breaks_process(error) for error in errors):
        return None
    return next((error for error in errors if not _lost_peer(error)), None)


def _is_of_ray(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] == "ray"


def _lost_peer(error: BaseException) -> bool:
    return isinstance(error, ConnectionError) or _LOST_PEER.search(_text(error)) is not None


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and the errors that it was raised from."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
