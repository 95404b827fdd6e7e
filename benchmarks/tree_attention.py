"""Attention over prefix trees: one call per segment, as it is, against FlexAttention, one call for the whole tree.

``python benchmarks/tree_attention.py`` reads random trees (prompts, several responses to each, some with more of their
beginning in common) with a random Mistral in both ways, in turn, and prints seconds of a pass, peak memory, and how far
the hidden states are apart. On a GPU the model has layers of the size of an 8B model, in bfloat16, and FlexAttention is
compiled: that is what to measure. On a CPU it is not compiled, so only the difference says anything.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch.nn.attention.flex_attention import create_block_mask, flex_attention  # noqa: E402
from transformers import AttentionInterface, MistralConfig, MistralForCausalLM  # noqa: E402

from bonbench.generators.loading import avoid_cudnn_attention  # noqa: E402
from bonbench.reward_models.lm import tree_attention  # noqa: E402
from bonbench.reward_models.lm.prefix_tree import PrefixTree  # noqa: E402

VOCABULARY = 1000
SIZES = {
    "cuda": {"hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8},
    "cpu": {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2},
}


class Flex:
    """The attention function of a tree in one call: a token sees the slots in whose subtree it is.

    The nodes of a subtree have successive numbers. So for every slot two numbers say who sees it: the slot's own, and
    the end of its subtree in the batch.
    """

    def __init__(self, compiled: bool) -> None:
        self._attend: Callable[..., Any] = torch.compile(flex_attention, dynamic=True) if compiled else flex_attention  # type: ignore[assignment]
        self._mask_of: Callable[..., Any] = torch.compile(create_block_mask) if compiled else create_block_mask
        self._masks: WeakKeyDictionary[Any, dict[int | None, Any]] = WeakKeyDictionary()

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        sliding_window: int | None = None,
        tree: Any = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None]:
        masks = self._masks.setdefault(tree, {})
        if sliding_window not in masks:
            masks[sliding_window] = self._mask(tree, query.shape[2], key.shape[2], sliding_window, key.device)
        mask = masks[sliding_window]
        attended = self._attend(query, key, value, block_mask=mask, scale=scaling, enable_gqa=True)
        return attended.transpose(1, 2).contiguous(), None

    def _mask(self, tree: Any, n_queries: int, n_slots: int, window: int | None, device: torch.device) -> Any:
        end_of_subtree, depth_of_slot = np.zeros(n_slots, dtype=np.int64), np.zeros(n_slots, dtype=np.int64)
        for segment in tree.segments:  # in the order of their numbers
            end_of_subtree[segment.path] = segment.stop
            depth_of_slot[segment.path] = np.arange(len(segment.path))
        ends, depths = (torch.from_numpy(numbers).to(device) for numbers in (end_of_subtree, depth_of_slot))
        n_kept = n_slots - n_queries

        def seen(batch: Any, head: Any, q: Any, slot: Any) -> Any:
            below = (slot <= q + n_kept) & (q < ends[slot])
            return below if window is None else below & (depths[q + n_kept] - depths[slot] < window)

        return self._mask_of(seen, None, None, n_queries, n_slots, device=device)


def model_of(device: str, layers: int, window: int | None = None) -> MistralForCausalLM:
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "num_hidden_layers": layers, "head_dim": None, **SIZES[device]}
    config = MistralConfig(sliding_window=window, initializer_range=0.1, **sizes)
    with torch.device(device):
        model = MistralForCausalLM(config).eval()
    return model.bfloat16() if device == "cuda" else model


def trees(problems: int, samples: int, tokens: int) -> PrefixTree:
    """Prompts of about a third of ``tokens``, responses of about ``tokens``; every other one goes on where its
    predecessor does for a while."""
    rng = np.random.default_rng(0)

    def text(mean: float) -> list[int]:
        length = max(2, int(mean * rng.lognormal(-0.08, 0.4)))
        return rng.integers(VOCABULARY, size=length).tolist()  # type: ignore[no-any-return]

    sequences = []
    for _ in range(problems):
        prompt, before = text(tokens / 3), text(tokens)
        for _ in range(samples):
            common = int(rng.integers(len(before))) if rng.random() < 0.5 else 0
            before = before[:common] + text(tokens)[common:]
            sequences.append(prompt + before)
    return PrefixTree(sequences)


def states(model: MistralForCausalLM, tree: PrefixTree, attention: Any, max_tokens: int) -> torch.Tensor:
    """The hidden states of all nodes by an attention function."""
    usual = tree_attention._tree_attention
    AttentionInterface.register(tree_attention._NAME, attention)
    try:
        return torch.cat([*tree_attention.tree_states(model, tree, max_tokens)])
    finally:
        AttentionInterface.register(tree_attention._NAME, usual)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 2048, 8192], help="of a response, about")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--max-batch-tokens", type=int, default=16384)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    avoid_cudnn_attention()
    model = model_of("cuda" if on_gpu else "cpu", options.layers)
    ways = {"segments": tree_attention._tree_attention, "flex": Flex(compiled=on_gpu)}
    print(f"{torch.cuda.get_device_name() if on_gpu else 'CPU, not compiled'}, torch {torch.__version__}")
    print("| tokens of a response | nodes | segments, s | flex, s | ratio | segments, MiB | flex, MiB | difference |")
    print(f"|{' --: |' * 8}", flush=True)
    for tokens in options.tokens:
        tree = trees(options.problems, options.samples, tokens)
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        memory, found = dict.fromkeys(ways, 0.0), {}
        for turn in range(options.rounds + 1):
            for way, attention in ways.items():
                if on_gpu:
                    torch.cuda.reset_peak_memory_stats()
                started = time.perf_counter()
                found[way] = states(model, tree, attention, options.max_batch_tokens).cpu()
                if turn:  # the first one compiles
                    seconds[way].append(time.perf_counter() - started)
                if on_gpu:
                    memory[way] = torch.cuda.max_memory_allocated() / 2**20
        a, b = (float(np.median(seconds[way])) for way in ways)
        away = (found["flex"].float() - found["segments"].float()).abs().max()
        print(
            f"| {tokens} | {tree.n_nodes:,} | {a:.2f} | {b:.2f} | {a / b:.2f} | {memory['segments']:.0f} | "
            f"{memory['flex']:.0f} | {away:.1e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
