"""Whatever is wrong with a model's folder, it is said in one line, or the model is loaded: nothing is a traceback."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_models import make_model
from transformers import AutoModelForSequenceClassification

from bonbench.generators.loading import load_model
from bonbench.generators.transformers import TransformersGenerator, TransformersParams
from bonbench.reward_models.lm.causal_lm import load
from harness.core.errors import UserError
from harness.core.records import Problem, Sampling
from harness.cost_model.known_models import model_sizes
from harness.experiment.model_files import Artifacts, check_model

FILES = ("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors")
KEYS = (
    *("model_type", "architectures", "hidden_size", "vocab_size", "num_hidden_layers", "num_attention_heads", "dtype"),
    *("rope_parameters", "quantization_config", "text_config", "eos_token_id", "pad_token_id", "auto_map", "id2label"),
)
VALUES = st.sampled_from([None, 0, -1, 3, 1e9, float("nan"), "", "a", [], [1], {}, {"a": 1}, True, 10**30])


def of_json(key: str, value: Any) -> Callable[[Path], object]:
    def change(file: Path) -> None:
        if file.suffix == ".json":
            file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))

    return change


def flipped(place: int) -> Callable[[Path], object]:
    def change(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[place % len(content)] ^= 0x55
        file.write_bytes(content)

    return change


DAMAGES = st.one_of(
    st.builds(of_json, st.sampled_from(KEYS), VALUES),
    st.builds(flipped, st.integers(0, 400)),
    st.integers(0, 5000).map(lambda n: lambda file: file.write_bytes(file.read_bytes()[:n])),
    st.sampled_from([b"", b"[]", b"version https://git-lfs.github.com/spec/v1\n"]).map(
        lambda content: lambda file: file.write_bytes(content)
    ),
    st.just(lambda file: file.unlink()),
)


def sampled(model: str) -> None:
    generator = TransformersGenerator(TransformersParams(model=model))
    generator.generate([Problem("p", "2 + 2?", "4")], Sampling(n=1, max_tokens=2), {"p": [1]})


LOADERS: tuple[Callable[[str], object], ...] = (
    sampled,
    lambda model: load(model, "float32", "cpu"),
    lambda model: load_model(AutoModelForSequenceClassification, model, "score", num_labels=1),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_model(tmp_path_factory.mktemp("whole"), width=16, layers=1))


@pytest.mark.parametrize("file", FILES)
def test_a_pipe_is_not_waited_for(whole: Path, tmp_path: Path, file: str) -> None:
    folder = shutil.copytree(whole, tmp_path / "m")
    (folder / file).unlink(missing_ok=True)
    os.mkfifo(folder / file)
    with pytest.raises(UserError, match=rf"g: .*{file}: is a pipe"):
        check_model(str(folder), "g", {})
    with pytest.raises(UserError, match="is a pipe"):
        Artifacts().id(str(folder / file))


@pytest.mark.thorough
@settings(max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FILES), DAMAGES, st.sampled_from(LOADERS))
def test_it_is_one_line_or_nothing(
    whole: Path, tmp_path: Path, file: str, damage: Callable[[Path], object], loader: Callable[[str], object]
) -> None:
    folder = tmp_path / "m"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    damage(folder / file)
    try:
        check_model(str(folder), "g", {})
        Artifacts().id(str(folder))
        model_sizes(str(folder))
        loader(str(folder))
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 800
