"""The token that Ray's clusters ask for. Ray reads its settings when it is imported: this comes before."""

from __future__ import annotations

import os
from pathlib import Path


def bring_token() -> None:
    """Let this process show the token of this machine to the cluster whose address it is given.

    A cluster that was started where there is a token asks for it, and Ray does not show it to an address by itself: the
    cluster would seem not to answer. One that asks for none does not mind.
    """
    has_token = (
        any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
        or (Path.home() / ".ray" / "auth_token").is_file()
    )
    if has_token:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
