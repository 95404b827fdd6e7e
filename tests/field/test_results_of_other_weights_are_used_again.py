"""Other weights lie under the path, or the name, of a model, and the results of the earlier ones are served.

EleutherAI/lm-evaluation-harness#4063 and #2715 (a cache that does not look at the weights), huggingface/lighteval#1364
(a cache by the name of a model of the hub, whose branch moves on).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hub_server import hub_of
from huggingface_hub import constants
from tiny_models import make_model

from harness.core import digests, hub_models
from harness.core.digests import file_digest
from harness.core.hub_models import at_commit
from harness.engine.build import build_graph
from harness.engine.moved_models import moved_models
from harness.engine.provenance import describe_results
from harness.experiment import model_files
from harness.experiment.config import Experiment
from harness.experiment.model_files import Artifacts
from harness.storage.manifest import write_manifest

FIRST, SECOND = "1" * 40, "2" * 40


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(model_files, "LARGE_FILE", 1000)
    monkeypatch.chdir(tmp_path)


def weights(folder: Path, size: int = 50_000) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.bin").write_bytes(bytes(size))
    return folder / "model.bin"


def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the files had been written long ago."""
    monkeypatch.setattr(digests, "_TICK", -(10**12))


@pytest.mark.parametrize("place", [0, 999, 1001, 25_000, 49_999])
def test_one_byte_anywhere_makes_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    file = weights(tmp_path / "m")
    settled(monkeypatch)
    before = Artifacts().id("m")
    assert Artifacts().id("m") == before
    with file.open("r+b") as stream:
        stream.seek(place)
        stream.write(b"x")
    os.utime(file, ns=(10**18, 10**18))  # the clock of a file that was copied with its times is no witness
    assert Artifacts().id("m") != before


def test_a_large_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = weights(tmp_path / "m")
    read: list[Any] = []
    hashing = digests.hashlib.file_digest
    monkeypatch.setattr(digests.hashlib, "file_digest", lambda *a: (read.append(a), hashing(*a))[1])
    first = file_digest(file)
    assert file_digest(file) == first and len(read) == 2, "it was written a moment ago: it may change unnoticed"
    settled(monkeypatch)
    assert {file_digest(file) for _ in range(3)} == {first} and len(read) == 3
    (memory,) = (tmp_path / "cache" / "digests").iterdir()
    for damage in ("", "[]", "{}", json.dumps({**json.loads(memory.read_text()), "sha256": 7})):
        memory.write_text(damage)
        assert file_digest(file) == first
    moved = file.rename(tmp_path / "m" / "other.bin")
    assert file_digest(moved) == first and len(read) == 8


@pytest.mark.parametrize("cache", ["/proc/nope", "file/below", ""])
def test_no_cache_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BONBENCH_CACHE", cache)
    if not cache:
        monkeypatch.setenv("HOME", "/proc/nope")
        monkeypatch.setenv("XDG_CACHE_HOME", "relative, so it is ignored")
    settled(monkeypatch)
    file = weights(tmp_path / "m")
    assert file_digest(file) == file_digest(file)


def cached(hub: Path, revision: str, commit: str) -> Path:
    """A model in the hub's cache, a branch or tag of which is at a commit."""
    folder = hub / "models--owner--m"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / revision).write_text(commit)
    (folder / "snapshots" / commit).mkdir(parents=True, exist_ok=True)
    (folder / "snapshots" / commit / "config.json").write_text("{}")
    return folder / "snapshots" / commit


def graph(tmp_path: Path, model: str = "owner/m") -> Any:
    raw = {
        "name": "x",
        "output": str(tmp_path / "results"),
        "problems": {"test": {"dataset": "pocket", "split": "test", "limit": 4}},
        "generators": {"g": {"type": "transformers", "model": model}},
        "sampling": {"n": 2, "max_tokens": 8},
    }
    return build_graph(Experiment.model_validate(raw))


def test_a_branch_that_moves_is_noticed_and_said(tmp_path: Path) -> None:
    never = graph(tmp_path)
    assert never.nodes[0].spec.loads.model == "owner/m", "nothing is known of it"
    cached(tmp_path / "hub", "main", FIRST)
    first = graph(tmp_path)
    assert first.nodes[0].spec.loads.model == f"owner/m@{FIRST}", "workers load what is in the key"
    assert not list(moved_models(first))
    first.results.mkdir(parents=True)
    write_manifest(first.results, describe_results(first, []))
    assert not list(moved_models(graph(tmp_path)))
    cached(tmp_path / "hub", "main", SECOND)
    second = graph(tmp_path)
    (line,) = moved_models(second)
    assert line.startswith(f"owner/m was {FIRST} and is {SECOND} now") and f"revision: {FIRST}" in line
    keys = {g.nodes[0].shards[0].key for g in (never, first, second)}
    assert len(keys) == 3


def test_every_spelling_of_a_commit_is_one_model(tmp_path: Path) -> None:
    snapshot = cached(tmp_path / "hub", "main", FIRST)
    cached(tmp_path / "hub", "v1", FIRST)
    spelled = ["owner/m", "owner/m@main", "owner/m@v1", f"owner/m@{FIRST}", str(snapshot), f"{snapshot}/"]
    assert {Artifacts().id(model) for model in spelled} == {f"hub:owner/m@{FIRST}"}
    assert {hub_models.hub_id(model) for model in spelled} == {"owner/m"}
    assert hub_models.pretrained(str(snapshot))["pretrained_model_name_or_path"] == str(snapshot)


def test_the_hub_says_what_is_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(tmp_path / "hub", "main", FIRST)
    assert at_commit("owner/m") == f"owner/m@{FIRST}", "off the network"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    (tmp_path / "served" / "owner" / "m").mkdir(parents=True)
    (tmp_path / "served" / "owner" / "m" / "config.json").write_text("{}")
    with hub_of(tmp_path / "served") as (address, _):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        newest = at_commit("owner/m")
        assert newest == "owner/m@0123456789abcdef0123456789abcdef01234567"
        assert at_commit("owner/gone") is None
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert at_commit("owner/m") == newest, "the cache knows it now"


def test_a_model_has_one_identity_however_it_is_spelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    make_model(tmp_path / "models" / "m")
    (tmp_path / "link").symlink_to("models/m")
    spelled = ["models/m", "models/m/", "./models/../models/m", "link", "~/models/m", str(tmp_path / "models" / "m")]
    graphs = [graph(tmp_path, model) for model in spelled]
    assert len({g.nodes[0].shards[0].key for g in graphs}) == 1
    assert len({g.nodes[0].spec.component for g in graphs}) == 1
