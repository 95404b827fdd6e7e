"""A user's file that is one YAML or JSON document. Whatever is wrong with it is one line of text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from harness.core.errors import UserError
from harness.core.text import joined

_HALF = re.compile(r"\\(?:u|U0000)[dD][89a-fA-F]")


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        UserError: naming the file, and the line where there is one to blame.
    """
    return parse_yaml(_read(path), str(path))


def parse_yaml(text: str, where: str) -> Any:
    """What a YAML text holds.

    Raises:
        UserError: beginning with ``where``, for a text that is not YAML.
    """
    line, reason = "", "nested too deeply"
    try:
        return _whole(text, yaml.safe_load(text))
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark and "\n" in text.strip() else ""
        reason = error.problem or error.context or "a mistake"
    except yaml.reader.ReaderError as error:
        reason = f"character {error.position + 1} is none that YAML allows"
    except ValueError as error:  # a date such as 2026-13-01, a number with thousands of digits, half a character
        reason = str(error)
    except RecursionError:
        pass
    raise UserError(f"{where}{line}: not YAML: {reason}")


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        UserError: naming the file, and the line where there is one to blame.
    """
    line, reason = "", "nested too deeply"
    try:
        text = _read(path)
        return _whole(text, json.loads(text))
    except json.JSONDecodeError as error:
        line, reason = f" line {error.lineno}", f"{error.msg} at column {error.colno}"
    except ValueError as error:  # a number with thousands of digits, half a character
        reason = str(error)
    except RecursionError:
        pass
    raise UserError(f"{path}{line}: not JSON: {reason}")


def _whole(text: str, content: Any) -> Any:
    """The content of a document, checked to be text. Half a character can come from an escape alone."""
    return joined(content) if _HALF.search(text) else content


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text, from byte {error.start + 1} on") from None
