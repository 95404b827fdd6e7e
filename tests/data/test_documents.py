"""Damaged documents: whoever reads a user's YAML or JSON says in one line what is wrong, and where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.analysis.published_numbers import load_published
from harness.core.errors import UserError
from harness.cost_model.known_models import model_sizes
from harness.data.documents import parse_yaml, read_json, read_yaml
from harness.experiment.config import load_experiment
from harness.experiment.model_files import check_model
from harness.storage.results import load_results


def model(folder: Path) -> None:
    (folder / "model.safetensors").touch()
    check_model(str(folder), "generators.g.model", {})


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "experiment": ("experiment.yaml", lambda folder: load_experiment(folder / "experiment.yaml")),
    "published": ("published.yaml", load_published),
    "manifest": ("manifest.json", load_results),
    "model": ("config.json", model),
}
# content of a file, and what is said of it as YAML and as JSON
BROKEN: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", ".", "not JSON: Expecting value"),
    "not UTF-8": (b"name: \xe9", "not UTF-8 text, from byte 7 on", "not UTF-8 text, from byte 7 on"),
    "UTF-16": ("name: a".encode("utf-16"), "not UTF-8 text, from byte 1 on", "not UTF-8 text, from byte 1 on"),
    "null characters": (b"na\0me: a", "not YAML: character 3 is none that YAML allows", "not JSON"),
    "nested too deeply": (b"[" * 100_000, "not YAML: nested too deeply", "not JSON: nested too deeply"),
    "cut off": (b'{"name": "a",\n"seed": ', "line 2: not YAML: ", "line 2: not JSON: "),
    "no date": (b"name: 2026-13-01", "not YAML: month must be in 1..12", "not JSON"),
    "5000 digits": (b'{"seed": ' + b"1" * 5000 + b"}", "not YAML: Exceeds the limit", "not JSON: Exceeds the limit"),
    "a list": (b"[1, 2]", ".", "."),
    "a text": (b'"x"', ".", "."),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_document_is_one_line(tmp_path: Path, reader: str, damage: str) -> None:
    name, read = READERS[reader]
    content, as_yaml, as_json = BROKEN[damage]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=as_yaml if name.endswith("yaml") else as_json) as raised:
        read(tmp_path)
    assert name in str(raised.value) and "\n" not in str(raised.value)
    assert model_sizes(str(tmp_path)) is None


@pytest.mark.parametrize("reader", READERS)
def test_a_folder_in_the_place_of_a_document(tmp_path: Path, reader: str) -> None:
    name, read = READERS[reader]
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=name):
        read(tmp_path)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_yaml(tmp_path / "a") == read_json(tmp_path / "a") == {"a": 1}


@pytest.mark.parametrize("text", ["[", "2026-13-01", "a: b: c", "'", "!!int x", "*a", "\0", "{[1]: 2}", "%"])
def test_no_yaml_on_the_command_line(text: str) -> None:
    with pytest.raises(UserError, match=r"--set a=\S*: not YAML: .") as raised:
        parse_yaml(text, "--set a=…")
    assert "\n" not in str(raised.value)
