"""An interpreter that has Math-Verify: a layer over the environment of the tests, made once, in ``build/``."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig

from places import ROOT

_PACKAGES = ("math-verify==0.9.0", "latex2sympy2_extended==1.11.0", "antlr4-python3-runtime==4.13.2")
_FOLDER = ROOT / "build" / "math-verify"


def math_verify_python() -> str | None:
    """The path of the interpreter; None where the packages cannot be installed, as without a network."""
    python = _FOLDER / "bin" / "python"
    if not (_FOLDER / "installed").exists():
        shutil.rmtree(_FOLDER, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(_FOLDER)], check=True)
        site = _FOLDER / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        if subprocess.run([*pip, "--target", str(site), *_PACKAGES], capture_output=True).returncode:
            return None
        (site / "below.pth").write_text(sysconfig.get_path("purelib") + "\n")
        (_FOLDER / "installed").touch()
    return str(python)
