"""Where things of the repository are, for tests in any folder."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "experiments" / "pocket" / "models"

#: The command as a process of its own, for what only a process shows: kills, imports, environment. Else call
#: ``harness.cli.main([...])``.
BONBENCH = [sys.executable, "-m", "bonbench"]
