"""A user's file that is one YAML or JSON document. Whatever is wrong with it is one line of text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from harness.core.errors import UserError
from harness.core.files import read_bytes
from harness.core.text import joined
from harness.data.strict_yaml import load_yaml

#: PyYAML takes about ten seconds for so much, and an experiment is a page or two.
_LONGEST_YAML = 1 << 20

#: How files begin that are no text.
_MAGIC = {
    b"\xff\xfe": "it is UTF-16: save it as UTF-8",
    b"\xfe\xff": "it is UTF-16: save it as UTF-8",
    b"\x1f\x8b": "a compressed file must be named .gz",
    b"\x28\xb5\x2f\xfd": "it is compressed with zstd: unpack it, or use gzip",
    b"BZh": "it is compressed with bzip2: unpack it, or use gzip",
    b"\xfd7zXZ": "it is compressed with xz: unpack it, or use gzip",
    b"PK\x03\x04": "it is a zip archive: unpack it",
    b"PAR1": "a Parquet file must be named .parquet",
    b"ARROW1": "it is an Arrow file: write it as Parquet",
}


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        UserError: naming the file, and the line where there is one to blame.
    """
    text = read_text(path)
    if len(text) > _LONGEST_YAML:
        raise UserError(f"{path}: {len(text):,} characters are no experiment file; is it a file of data?")
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> Any:
    """What a YAML text holds, as :mod:`harness.data.strict_yaml` reads it.

    Raises:
        UserError: beginning with ``where``, for a text that is not YAML.
    """
    line, reason = "", "nested too deeply"
    try:
        return joined(load_yaml(text))
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
        return joined(json.loads(read_text(path)))
    except json.JSONDecodeError as error:
        line, reason = f" line {error.lineno}", f"{error.msg} at column {error.colno}"
    except ValueError as error:  # a number with thousands of digits, half a character
        reason = str(error)
    except RecursionError:
        pass
    raise UserError(f"{path}{line}: not JSON: {reason}")


def read_text(path: Path) -> str:
    """The text of a user's file, without a byte order mark.

    Raises:
        UserError: naming the file, where it cannot be read or is not UTF-8.
    """
    content = read_bytes(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: {not_utf8(content, error.start)}") from None


def not_utf8(content: bytes, start: int) -> str:
    """What is wrong with a content that is no UTF-8 text from the byte ``start`` (from 0) on."""
    hint = next((hint for magic, hint in _MAGIC.items() if content.startswith(magic)), "save it as UTF-8")
    return f"not UTF-8 text, from byte {start + 1} on ({hint})"
