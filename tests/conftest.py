"""Fixtures shared by the tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, find_chromium
from hypothesis import settings
from places import ROOT

# Nothing here is on the hub: what asks it, names a server of its own. The hub's library reads this as it is imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# In the background of a script Ctrl-C is ignored, also in the processes that tests start and send it to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos", type=int, default=2, metavar="N", help="how many runs test_chaos.py disturbs")
    parser.addoption("--chaos-table", type=Path, metavar="FILE", help="where test_chaos.py adds a line for such a run")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that go through Ray first: they take longest."""
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real recorded responses (third-party, not part of the repository)."""
    folder = Path(os.environ.get("BONBENCH_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}: set BONBENCH_DATA")
    return folder


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    command = find_chromium()
    if command is None:
        pytest.skip("NO BROWSER: report.html goes untested. Install chromium, or name one in CHROMIUM")
    with Browser(command) as browser:
        yield browser
