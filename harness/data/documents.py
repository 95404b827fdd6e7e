"""A user's file that is one YAML or JSON document. Whatever is wrong with it is one line of text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from harness.core.errors import UserError


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
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark and "\n" in text.strip() else ""
        reason = error.problem or error.context or "a mistake"
    except yaml.reader.ReaderError as error:
        reason = f"character {error.position + 1} is none that YAML allows"
    except ValueError as error:  # a date such as 2026-13-01, or a number with thousands of digits
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
        return json.loads(_read(path))
    except json.JSONDecodeError as error:
        line, reason = f" line {error.lineno}", f"{error.msg} at column {error.colno}"
    except ValueError as error:  # a number with thousands of digits
        reason = str(error)
    except RecursionError:
        pass
    raise UserError(f"{path}{line}: not JSON: {reason}")


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text, from byte {error.start + 1} on") from None
