"""GGUF files as models: a file written here, tensor by tensor, is the model it was written from."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from tiny_models import make_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from bonbench.generators.transformers import TransformersGenerator, TransformersParams
from harness.core.errors import UserError
from harness.core.records import Problem, Sampling
from harness.experiment.entries import build
from harness.experiment.model_files import Artifacts, loadable

_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def write_gguf(folder: str, path: Path) -> None:
    """Write a Llama folder as GGUF, in the layout of llama.cpp: rotary halves interleaved."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    config = model.config
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    bpe = json.loads((Path(folder) / "tokenizer.json").read_text())
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    special = {token["content"] for token in bpe["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    kinds = (gguf.TokenType.CONTROL, gguf.TokenType.NORMAL)
    writer.add_token_types([kinds[token not in special] for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in bpe["model"]["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(tokenizer.chat_template)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for name, tensor in model.state_dict().items():
        weights = tensor.float().numpy()
        if name.startswith("model.layers."):
            _, _, layer, rest = name.split(".", 3)
            part = _NAMES[rest.removesuffix(".weight")]
            if part in heads:
                halves = weights.reshape(heads[part], 2, -1, weights.shape[1])
                weights = np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(weights.shape)
            name = f"blk.{layer}.{part}"
        else:
            name = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}[name[:-7]]
        writer.add_tensor(f"{name}.weight", weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model folder whose weights are bfloat16 numbers, and beside it the same model as ``tiny.gguf``."""
    monkeypatch.setenv("BONBENCH_CACHE", str(tmp_path / "cache"))
    folder = make_model(tmp_path / "original", seed=5)
    AutoModelForCausalLM.from_pretrained(folder).bfloat16().save_pretrained(folder)
    write_gguf(folder, tmp_path / "tiny.gguf")
    return folder


def test_a_file_samples_what_its_model_samples(original: str, tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    spec = build("generators", "g", {"type": "transformers", "model": str(file)}, "generators.g", {})
    params = loadable(spec.params)
    folder = Path(getattr(params, "model"))  # noqa: B009 -- the type of the parameters is the generator's
    assert folder.parent == tmp_path / "cache" / "gguf"
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    ours, theirs = (AutoModelForCausalLM.from_pretrained(f, dtype=torch.float32) for f in (folder, original))
    ids = torch.randint(0, 300, (2, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours(ids).logits, theirs(ids).logits)

    problems = [Problem("a", "What is 12 * 3 - 1?", "35"), Problem("b", "2 + 2?\n\nTom's é", "4")]
    responses = [
        TransformersGenerator(TransformersParams(model=str(f), dtype="float32"), "g").generate(
            problems, Sampling(n=4, max_tokens=30), {"a": [1, 2, 3, 4], "b": [5, 6, 7, 8]}
        )
        for f in (folder, original)
    ]
    assert responses[0] == responses[1]


def test_converted_once_and_named_by_content(original: str, tmp_path: Path) -> None:
    file, copy = tmp_path / "tiny.gguf", tmp_path / "other" / "tiny.gguf"
    copy.parent.mkdir()
    copy.write_bytes(file.read_bytes())
    first = loadable(TransformersParams(model=str(file)))
    weights = Path(first.model) / "model.safetensors"
    written = weights.stat().st_mtime_ns
    assert loadable(TransformersParams(model=str(copy))) == first
    assert weights.stat().st_mtime_ns == written
    assert [f.name for f in (tmp_path / "cache" / "gguf").iterdir()] == [Path(first.model).name]
    assert Artifacts().id(str(file)) == Artifacts().id(str(copy))
    assert loadable(TransformersParams(model=original)).model == original


def test_files_that_are_no_model(original: str, tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("nothing of the kind")
    (tmp_path / "cut.gguf").write_bytes((tmp_path / "tiny.gguf").read_bytes()[:2000])
    with pytest.raises(UserError, match=r"text\.gguf is not a GGUF file"):
        loadable(TransformersParams(model=str(tmp_path / "text.gguf")))
    with pytest.raises(UserError, match=r"cut\.gguf cannot be converted"):
        loadable(TransformersParams(model=str(tmp_path / "cut.gguf")))
    assert not list((tmp_path / "cache").glob("gguf/*"))
    (tmp_path / "weights.bin").write_text("")
    with pytest.raises(UserError, match=r"generators\.g\.model: .*weights\.bin: no such model"):
        build("generators", "g", {"type": "transformers", "model": str(tmp_path / "weights.bin")}, "generators.g", {})
