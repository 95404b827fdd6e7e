"""The ways in which a request to a server fails."""

from __future__ import annotations

from harness.core.errors import UserError


class RequestFailed(UserError):
    """One request failed for good: others to the same server may succeed.

    ``answer`` is what the server answered, if anything.
    """

    def __init__(self, message: str, answer: str = "") -> None:
        super().__init__(message)
        self.answer = answer


class ServerFailed(UserError):
    """Every request to the server would fail: there is no server, or it knows neither key nor model, say."""


class Unusable(ValueError):
    """An answer that came whole and has not what was asked for; ``passes`` where the same request may do better."""

    def __init__(self, message: str, passes: bool = False) -> None:
        super().__init__(message)
        self.passes = passes


class Passing(Exception):
    """A try that failed in a way that may pass. The server asks to wait for ``wait_s`` seconds.

    ``is_unusable`` says that an answer came, and was not what was asked for; ``no_server`` that there was no
    connection.
    """

    def __init__(self, message: str, wait_s: float = 0.0, is_unusable: bool = False, no_server: bool = False) -> None:
        super().__init__(message)
        self.wait_s, self.is_unusable, self.no_server = wait_s, is_unusable, no_server
