"""A model's folder brings Python code: ``auto_map`` asks whether it may run it, and whoever says yes to everything has
run it (unslothai/unsloth#6478 names the loaders through which it comes). Pickled weights are code too, and so is a
chat template. None of them is ever run, and nobody is asked.
"""

from __future__ import annotations

import ast
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from places import ROOT
from runs import bonbench
from tiny_models import make_model

from bonbench.generators.tokenizers import tokenizer_of
from bonbench.generators.vllm import VLLMParams
from bonbench.reward_models.vllm.params import EngineParams
from harness.core.errors import UserError
from harness.core.hub_models import pretrained


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_model(tmp_path_factory.mktemp("models") / "plain"))


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("RAN",)


def _auto_map(folder: Path) -> None:
    classes = {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M", "AutoTokenizer": ["code.T", None]}
    (folder / "config.json").write_text(json.dumps({"model_type": "unknown", "auto_map": classes}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T", "auto_map": classes}))
    (folder / "code.py").write_text("import os\nos.mkdir('RAN')\n")


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weights": _Runs()}, folder / "pytorch_model.bin")


def _template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ ''.__class__.__mro__[1].__subclasses__() }}")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(_auto_map, "never run"), (_pickle, "never run"), (_template, "unsafe")],
)
def test_no_code_of_a_folder_runs(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 100))
    spoil(shutil.copytree(model, tmp_path / "model"))
    (tmp_path / "in.jsonl").write_text('{"problem": "1 + 1?", "response": "2"}\n')
    done = bonbench("score", "in.jsonl", "--reward-model", "implicit:policy=./model,reference=null", "-o", "out.jsonl")
    assert done.code == 2 and says in done.err and "Traceback" not in done.err
    assert not (tmp_path / "RAN").exists() and not (tmp_path / "out.jsonl").exists()


def test_whatever_is_loaded_says_so() -> None:
    assert pretrained("o/m")["trust_remote_code"] is False and pretrained("o/m@v1")["trust_remote_code"] is False
    for params in (VLLMParams, EngineParams):
        with pytest.raises(ValueError, match="trust_remote_code: the code of a model's folder is never run"):
            params.model_validate({"model": "o/m", "engine": {"trust_remote_code": True}})


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"tokenizer_config.json": '{"tokenizer_class": "LlamaTokenizer"}'},
            "knows no text: is tokenizer.json",
        ),
        ({}, "cannot be loaded"),
        ({"tokenizer.json": "{}"}, "cannot be loaded"),
        ({"tokenizer.json": '{"version": "1.0"'}, "cannot be loaded"),
        ({"tokenizer.json": None, "tokenizer_config.json": "[]"}, "cannot be loaded"),
    ],
)
def test_a_tokenizer_that_is_missing_or_damaged(
    model: Path, tmp_path: Path, files: dict[str, str | None], says: str
) -> None:
    """huggingface/open-r1#85: without the file of its vocabulary a tokenizer gave no tokens, in silence."""
    folder = shutil.copytree(model, tmp_path / "model")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        if files.get(file, "") is not None:
            (folder / file).unlink()
    for file, content in files.items():
        if content is not None:
            (folder / file).write_text(content)
    with pytest.raises(UserError, match=says):
        tokenizer_of(str(folder))


def test_every_loader_is_told() -> None:
    """`transformers` asks where nobody says: so every call names a model with ``pretrained()``, or says no itself."""
    untold = []
    for file in sorted(
        file for folder in ("harness", "generators", "reward_models") for file in (ROOT / folder).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".from_pretrained"):
                call = ast.unparse(node)
                is_adapter = call.startswith("PeftModel")  # of this package's own training
                is_given = call.split("(", 1)[1].startswith("None,")  # a config and weights, without a folder
                is_told = "**pretrained(" in call or "trust_remote_code=False" in call
                if not (is_adapter or is_given or is_told):
                    untold.append(f"{file}:{node.lineno}")
    assert not untold
