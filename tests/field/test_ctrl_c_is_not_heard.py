"""Ctrl-C does nothing, or leaves a traceback: the exception is lost in an import, or nobody waits for it.

ray-project/ray#54188. What a stopped verb does later is in tests/core/test_ending.py.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Ctrl-C comes as the command is imported: within an import, where Python ignores what is raised; or between two.
STOPPED_AT_THE_START = """
import importlib.abc, os, signal, sys, weakref

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "harness.cli":
            {when}

def press(*_):
    os.kill(os.getpid(), signal.SIGINT)

class Key:
    pass

sys.meta_path.insert(0, Finder())
sys.argv = ["bonbench", "list"]
from bonbench.__main__ import main
print("running", flush=True)
sys.exit(main())
"""


@pytest.mark.parametrize("when", ["press()", "key = Key(); of = weakref.ref(key, press); del key"])
def test_while_the_command_is_imported(when: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", STOPPED_AT_THE_START.format(when=when)], capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 130, process
    assert process.stdout == "running\n"
    assert process.stderr == "bonbench: stopped; run the same command again to continue\n"
