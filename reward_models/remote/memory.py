"""What a server answered of a batch of which a part failed: whoever takes such a batch apart pays for nothing twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

from harness.core.server.client import Client
from harness.core.server.failures import RequestFailed, ServerFailed

_MOST = 10_000  # requests

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Memory(Generic[K, T]):
    """Asks through a client, and remembers what it gave and refused where some of what was asked failed."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._given: dict[K, T] = {}
        self._failed: dict[K, RequestFailed] = {}

    def ask_all(
        self, asks: Mapping[K, Callable[[], Awaitable[T]]], about: Callable[[K], Hashable] = lambda key: key
    ) -> tuple[dict[K, T], dict[K, RequestFailed | ServerFailed]]:
        """As :meth:`Client.ask_all`; equal keys stand for equal requests.

        Raises:
            ServerFailed: where nothing was given and the server is at fault.
        """
        given = {key: self._given[key] for key in asks if key in self._given}
        failed: dict[K, RequestFailed | ServerFailed] = {key: self._failed[key] for key in asks if key in self._failed}
        new = {key: ask for key, ask in asks.items() if key not in given and key not in failed}
        if new:
            more, refused = self._client.wait_for(self._client.ask_all(new, about))
            given |= more
            failed |= refused
        if failed:
            self._remember(given, failed)
        return given, failed

    def _remember(self, given: Mapping[K, T], failed: Mapping[K, RequestFailed | ServerFailed]) -> None:
        if len(self._given) + len(given) > _MOST:
            self._given.clear()
            self._failed.clear()
        self._given |= given
        self._failed |= {key: error for key, error in failed.items() if isinstance(error, RequestFailed)}
