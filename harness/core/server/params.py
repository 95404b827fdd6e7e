"""The parameters of every component that asks a server."""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, field_validator

from harness.core.components import ComponentParams, Runtime

_SECRET = re.compile(r"key|token|secret|password|credential|^sig$", re.IGNORECASE)


class ServerParams(ComponentParams):
    """Which server is asked, and how. No parameter here identifies results."""

    hint_of_not_found: ClassVar[str] = " (most addresses end in /v1)"

    base_url: Runtime[str] = Field("http://localhost:8000/v1", description="the address of the server")
    api_key_env: Runtime[str] = Field(
        "OPENAI_API_KEY", description="environment variable that holds the key, where the server wants one"
    )
    concurrency: Runtime[int] = Field(64, ge=1, description="requests in flight at most, per replica")
    timeout_s: Runtime[float] = Field(
        600, gt=0, allow_inf_nan=False, description="seconds that each try of a request may take"
    )
    tries: Runtime[int] = Field(8, ge=1, description="how often a request is tried")

    @field_validator("base_url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        return checked_url(url)


def checked_url(url: str) -> str:
    """An address without blanks around it and slashes at its end.

    Raises:
        ValueError: for what is no address of a server, or has a secret in it. It does not repeat the secret.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or re.search(r"\s", url):
        raise ValueError("an address is expected, for instance http://localhost:8000/v1")
    if "@" in parts.netloc or any(_SECRET.search(name) for name, _ in parse_qsl(parts.query)):
        # Addresses are stored with the results, and shown.
        raise ValueError("no key or password may stand in an address: put it into the environment variable api_key_env")
    return parts._replace(path=parts.path.rstrip("/"), fragment="").geturl()
