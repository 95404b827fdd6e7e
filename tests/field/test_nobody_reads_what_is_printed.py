"""The stream that a command prints to: a pipe that ``head`` has closed (Backblaze/B2_Command_Line_Tool#1071), a full
device, a terminal without UTF-8 (labgrid-project/labgrid#486), no stream at all. A traceback, or nothing is said.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from harness.cli import main
from harness.cli.app import _complain
from harness.cli.exit_codes import ExitCode


def printing_to(monkeypatch: pytest.MonkeyPatch, descriptor: int, encoding: str = "utf-8") -> io.TextIOWrapper:
    """Make a descriptor the standard output."""
    stream = io.TextIOWrapper(open(descriptor, "wb", buffering=0), encoding=encoding, write_through=False)  # noqa: SIM115
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


def test_a_closed_pipe_is_silence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with printing_to(monkeypatch, writer):
        try:
            code = main(["--help"])
        except SystemExit as ended:  # rich and click end the process themselves
            code = int(ended.code or 0)
        assert code == ExitCode.FAILED and capsys.readouterr().err == ""


def test_a_full_device_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with printing_to(monkeypatch, os.open("/dev/full", os.O_WRONLY)):
        assert main(["--help"]) == ExitCode.FAILED
    assert capsys.readouterr().err.startswith("bonbench: No space left on device")


def test_no_stream_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["list"]) == ExitCode.DONE and main(["run", "absent.yaml"]) == ExitCode.MISTAKE
    for stream in (sys.stdout, sys.stderr):
        assert stream is not None
        stream.close()


def test_a_terminal_of_few_characters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "é.yaml").write_text("name: é", encoding="utf-8")
    reader, writer = os.pipe()
    with printing_to(monkeypatch, writer, "ascii"):
        assert main(["copy", "pocket", str(tmp_path / "é→\udcff.yaml")]) == ExitCode.DONE
    assert rb"\xe9\u2192\udcff.yaml: edit it" in os.read(reader, 10_000)
    os.close(reader)


def test_an_error_is_one_line_and_obeyed_by_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _complain("a\n  b\x1b[31m\r\nc\udcff é" + "x" * 10_000)
    error = capsys.readouterr().err
    assert error.startswith(r"bonbench: a b\x1b[31m c\udcff é") and error.count("\n") == 1 and len(error) < 4000
