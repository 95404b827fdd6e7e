"""Tiny random checkpoints in the shape of public reward models: their special tokens, templates and weight names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, MistralConfig, PretrainedConfig, PreTrainedTokenizerFast, Qwen2Config

from bonbench.reward_models.text.pieces import Marked

PROBLEM = "What is 3 + 4, times 2?"
TEXT = "Step 1: 3 + 4 = 7.\nStep 2: 7 * 2 = 14.\nThe answer is 14."
_CORPUS = [
    PROBLEM,
    TEXT,
    "system user assistant Cutting Knowledge Date: December 2023 Today Date: 26 Jul 2024",
    "Please reason step by step, and put your final answer within \\boxed{}.",
    "assistant\n\nuser\n\nsystem\n\n7.\n\n",
    "[INST] [\\INST]",
]
# The pre-tokenizers' patterns: Llama 3 keeps line breaks with the punctuation before them, and so does Qwen 2.5.
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

LLAMA_TEMPLATE = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\n"
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
QWEN_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def llama_tokenizer() -> PreTrainedTokenizerFast:
    specials = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    backend = _byte_level(specials)
    backend.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", backend.token_to_id("<|begin_of_text|>"))]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=specials[0], eos_token=specials[4], additional_special_tokens=specials[1:4]
    )
    tokenizer.chat_template = LLAMA_TEMPLATE
    return tokenizer


def qwen_tokenizer() -> PreTrainedTokenizerFast:
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    backend = _byte_level(specials)
    backend.add_tokens([AddedToken("<extra_0>", special=False, normalized=False)])  # not called special by all copies
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=specials[0],
        pad_token=specials[0],
        eos_token=specials[2],
        additional_special_tokens=specials[1:2],
    )
    tokenizer.chat_template = QWEN_TEMPLATE
    return tokenizer


def mistral_tokenizer() -> PreTrainedTokenizerFast:
    """SentencePiece-like: a space is ``▁`` and begins its word, one is put before the text, bytes are a last resort."""
    vocabulary = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    vocabulary += sorted(set("".join(_CORPUS) + "ки<>/|_-") - {" ", "\n"})
    merges = [("к", "и"), ("▁", "ки"), ("▁", "+"), ("▁", "-"), ("S", "t"), ("e", "p"), ("St", "ep"), ("▁", "Step")]
    merges += [("1", "4"), ("▁", "="), ("▁", "14"), ("▁", "7")]
    vocabulary += ["".join(pair) for pair in merges]
    backend = Tokenizer(
        models.BPE(
            {token: i for i, token in enumerate(vocabulary)},
            merges,
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def _byte_level(specials: list[str]) -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    backend.train_from_iterator(_CORPUS, trainer)
    return backend


def spelt(tokenizer: PreTrainedTokenizerFast, reading: Marked) -> str:
    """Tokens as they are in the vocabulary, a space between them, those that are read in brackets."""
    tokens = tokenizer.convert_ids_to_tokens(reading.ids)
    return " ".join(f"«{token}»" if i in reading.reads else token for i, token in enumerate(tokens))


CONFIGS: dict[str, type[PretrainedConfig]] = {"llama": LlamaConfig, "mistral": MistralConfig, "qwen": Qwen2Config}
TOKENIZERS = {"llama": llama_tokenizer, "mistral": mistral_tokenizer, "qwen": qwen_tokenizer}


def make_checkpoint(folder: Path, family: str, heads: dict[str, tuple[int, ...]], seed: int = 0, **config: Any) -> str:
    """Save a random body with ``heads`` (weight name -> shape) beside it, as `model.safetensors`.

    The body's weights are called ``model.*``, which is what the hub's checkpoints have in common.
    """
    from transformers import AutoModel

    tokenizer = TOKENIZERS[family]()
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 8192,
        "initializer_range": 0.2,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if family == "mistral":
        settings["head_dim"] = 8
    torch.manual_seed(seed)
    body = AutoModel.from_config(CONFIGS[family](**{**settings, **config}))
    weights = {f"model.{name}": tensor.clone() for name, tensor in body.state_dict().items()}
    weights |= {name: torch.randn(shape) / shape[-1] ** 0.5 for name, shape in heads.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    body.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
