"""Weights that a checkpoint lacks are "newly initialised", and the noise is used all the same.

OpenRLHF/OpenRLHF#209, OptimalScale/LMFlow#561; files that are not whole: huggingface/transformers#27923,
microsoft/OmniParser#34.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import make_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from bonbench.generators.loading import load_model
from bonbench.generators.transformers import TransformersGenerator, TransformersParams
from bonbench.reward_models.lm.causal_lm import load, load_as
from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer
from bonbench.reward_models.training.model_losses import ImplicitLoss, OutcomeLoss, ValueLoss
from bonbench.reward_models.training.params import ImplicitTrainerParams, OutcomeTrainerParams, TrainingParams
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Sampling, Solution
from harness.experiment.model_files import check_model

Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_model(tmp_path_factory.mktemp("whole")))


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "m"))


def loaders() -> dict[str, Callable[[str], object]]:
    return {
        "a generator": lambda m: TransformersGenerator(TransformersParams(model=m)),
        "a token pass": lambda m: load(m, "float32", "cpu"),
        "the base of an implicit PRM": lambda m: ImplicitLoss(ImplicitTrainerParams(base=m)).load(m),
        "the base of an ORM": lambda m: OutcomeLoss(OutcomeTrainerParams(base=m)).load(m),
        "the base of a value head": lambda m: ValueLoss(TrainingParams(base=m)).load(m),
    }


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def changed(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return changed


def config(**values: object) -> Change:
    def changed(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return changed


NORM = "model.layers.1.input_layernorm.weight"
CHANGES: dict[str, tuple[Change, str]] = {
    "one is missing": (weights(lambda w: w.pop(NORM)), f"lacks weights of Llama.*: {NORM}"),
    "one has another shape": (
        weights(lambda w: w.update({NORM: torch.ones(7)})),
        f"has weights of another shape than Llama.*: {NORM}",
    ),
    "the config has more layers": (config(num_hidden_layers=3), "lacks weights of Llama.* more"),
    "the config has fewer layers": (config(num_hidden_layers=1), "has weights that Llama.* leaves out.* more"),
    "biases that the config knows nothing of": (
        weights(lambda w: w.update({"model.layers.0.self_attn.q_proj.bias": torch.ones(32)})),
        r"leaves out.*: model\.layers\.0\.self_attn\.q_proj\.bias$",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("loader", ["a generator", "a token pass", "the base of an implicit PRM", "the base of an ORM"])
def test_incomplete_weights_are_refused_by_whatever_loads_them(model: Path, change: str, loader: str) -> None:
    apply, message = CHANGES[change]
    apply(model)
    with pytest.raises(UserError, match=message):
        loaders()[loader](str(model))


@pytest.mark.parametrize("tied", [False, True])
def test_a_classifier_is_no_language_model(model: Path, tied: bool) -> None:
    """Where head and embeddings are tied no weight is missing: its own head is left out."""
    loaded = AutoModelForSequenceClassification.from_pretrained(model, num_labels=1, tie_word_embeddings=tied)
    loaded.save_pretrained(model)
    for who in ("a generator", "a token pass", "the base of an implicit PRM"):
        with pytest.raises(UserError, match=r"leaves out.*score\.weight" if tied else r"lacks.*lm_head\.weight"):
            loaders()[who](str(model))
    loaders()["the base of an ORM"](str(model))
    load_as(AutoModelForSequenceClassification, str(model), "float32", "cpu")


def test_what_may_be_missing_or_left_out(model: Path) -> None:
    """Tied heads are no weights of their own; a training's head is new; buffers and value heads are nobody's loss."""
    for loader in loaders().values():
        loader(str(model))
    config(tie_word_embeddings=True)(model)
    weights(lambda w: w.pop("lm_head.weight"))(model)
    weights(lambda w: w.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}))(model)
    weights(lambda w: w.update({"v_head.summary.weight": torch.ones(1, 32)}))(model)
    for loader in loaders().values():
        loader(str(model))


def test_new_heads_are_for_trainings_alone(model: Path) -> None:
    with pytest.raises(UserError, match=r"lacks weights of LlamaForSequenceClassification: score\.weight"):
        load_as(AutoModelForSequenceClassification, str(model), "float32", "cpu")
    assert load_model(AutoModelForSequenceClassification, str(model), "score").config.num_labels == 2


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def pointer(name: str) -> Change:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    return lambda folder: (folder / name).write_text(text)


def sharded(folder: Path) -> None:
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, max_shard_size="40KB")
    (folder / "model.safetensors").unlink()  # it stays otherwise, and would be loaded


def half_sharded(folder: Path) -> None:
    sharded(folder)
    sorted(folder.glob("model-*.safetensors"))[0].unlink()


def an_index_without_a_map(folder: Path) -> None:
    sharded(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": [1]}')


def twice(folder: Path) -> None:
    kept = (folder / "model.safetensors").read_bytes()
    sharded(folder)
    (folder / "model.safetensors").write_bytes(kept)


def adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "o/m", "peft_type": "LORA"}')


DAMAGES: dict[str, tuple[Change, str]] = {
    "cut": (cut, r"model\.safetensors is cut off: it has [\d,]+ bytes of [\d,]+"),
    "pointer": (pointer("model.safetensors"), r"model\.safetensors is a pointer of Git LFS"),
    "empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "no safetensors file"),
    "longer": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes() + b"x" * 9),
        "has 9 bytes more than its header says",
    ),
    "half of the shards": (half_sharded, r"there is no model-00001-of-\d+\.safetensors"),
    "index": (an_index_without_a_map, r"model\.safetensors\.index\.json: not the index of a model's weights"),
    "twice": (twice, "has its weights twice"),
    "adapter": (adapter, "is a PEFT adapter"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_named(model: Path, damage: str) -> None:
    apply, message = DAMAGES[damage]
    apply(model)
    for loader in ("a generator", "a token pass", "the base of an ORM"):
        with pytest.raises(UserError, match=message) as raised:
            loaders()[loader](str(model))
        assert "\n" not in str(raised.value)


def test_an_adapter_is_refused_before_anything_starts(model: Path) -> None:
    adapter(model)
    for there in ("config.json", None):
        with pytest.raises(UserError, match=r"^g: .* is a PEFT adapter"):
            check_model(str(model), "g", {})
        if there:
            (model / there).unlink()


def test_whole_files_are_taken(model: Path) -> None:
    sharded(model)
    load(str(model), "float32", "cpu")


def test_a_tokenizer_with_more_tokens_than_the_model(model: Path) -> None:
    """Tokens were added, and the embeddings have no rows for them."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_tokens(["apples"])
    tokenizer.save_pretrained(model)
    problem = Problem("p", "How many apples?", "2")
    line = "its tokenizer makes token 300, and the model has 300"
    with pytest.raises(UserError, match=line):
        TransformersGenerator(TransformersParams(model=str(model))).generate([problem], Sampling(n=1), {"p": [1]})
    with pytest.raises(UserError, match=line):
        CausalLMScorer(CausalLMParams(model=str(model))).logprobs([Solution(problem, Response("p", "g", 0, "2"))])
