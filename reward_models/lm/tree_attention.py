"""Causal language models over a tree of token sequences: each token attends to its ancestors and itself.

The tokens of a batch are one row without padding. Only the attention function knows the tree. It reads the tree segment
by segment. For each segment it gathers the keys and values of the path from the root to that segment.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from bonbench.reward_models.lm.body import body
from bonbench.reward_models.lm.prefix_tree import Batch, PrefixTree
from harness.core.errors import UserError
from harness.core.memory import is_short

_NAME = "prefix-tree"
#: The most tokens of a segment, per device. In a long segment more products are computed and then masked out. With
#: short segments more keys and values are gathered.
_MAX_SEGMENT = {"cpu": 128, "cuda": 1024}
#: Elements that the distance between rows of a mask is a multiple of. Of another mask, a GPU's kernel would have a
#: padded copy made in every layer.
_ALIGNED = 8
#: Attention that needs more than positions and a causal mask, by the argument that brings it.
_MORE = ("softcap", "s_aux", "position_bias")
_supported: WeakKeyDictionary[PreTrainedModel, bool] = WeakKeyDictionary()
_alone: WeakKeyDictionary[PreTrainedModel, bool] = WeakKeyDictionary()


class _Unsupported(Exception):
    """The attention of a model cannot read a tree."""


@torch.inference_mode()
def tree_states(model: PreTrainedModel, tree: PrefixTree, max_tokens: int) -> Iterator[torch.Tensor]:
    """The last hidden states of the model's body at the nodes of the tree.

    A batch has at most ``max_tokens`` nodes. Each batch yields an array [nodes of the batch, width]; the batches come
    in the order of the nodes.
    """
    cache = Cache(layers=[_PathLayer() for _ in range(model.config.get_text_config().num_hidden_layers)])
    device = model.device
    max_segment = _MAX_SEGMENT.get(device.type, 1024)
    bands = _Bands(model, max_segment, max(map(len, tree.paths)))
    with _attending_to_trees(model):
        for batch in tree.batches(max_tokens, max_segment):
            keep = torch.from_numpy(batch.keep).to(device)
            for layer in cache.layers:
                layer.keep = keep
            yield body(model)(
                input_ids=torch.from_numpy(batch.ids).to(device)[None],
                position_ids=torch.from_numpy(batch.depths).to(device)[None],
                past_key_values=cache,
                use_cache=True,
                tree=_Ancestors(batch, bands),
            ).last_hidden_state[0]


def supports_trees(model: PreTrainedModel) -> bool:
    """Whether a model gives the same hidden states for a tree as for each sequence of the tree alone.

    Three things are needed. The attention function can be replaced, and its arguments say everything about the mask.
    No other layer looks at neighbouring tokens of the row, as recurrent layers do. Nothing depends on the length of the
    text, as some rotary embeddings do. The function reads a small tree in both ways and compares the states.
    """
    if model not in _supported:
        _supported[model] = _declares_support(body(model)) and _agrees(model)
    return _supported[model]


def _declares_support(body: PreTrainedModel) -> bool:
    # Flash attention gets no mask. So a model that supports it passes what is special in its mask as an argument.
    flags = (body._supports_attention_backend, body._supports_sdpa, body._supports_flash_attn)
    return all(flags) and not rotates_by_length(body)


def rotates_by_length(model: PreTrainedModel) -> bool:
    """Whether rotary embeddings depend on the longest sequence of a batch."""
    kinds = " ".join(str(getattr(module, "rope_type", "")) for module in model.modules())
    return "dynamic" in kinds or "longrope" in kinds


def _agrees(model: PreTrainedModel) -> bool:
    ids = _ids(model)
    sequences = [ids, ids[:7] + ids[2:7], ids[:7] + ids[2:5] + ids[:2]]
    tree = PrefixTree(sequences)
    try:
        states = torch.cat(list(tree_states(model, tree, tree.n_nodes // 2 + 1)))
    except Exception as error:  # a cache, a mask or an output of the model's own: it is read in another way
        if is_short(error):
            raise
        return False
    with torch.inference_mode():
        alone = torch.tensor(sequences, device=model.device)
        plain = body(model)(input_ids=alone, use_cache=False).last_hidden_state
    return _equal(states[np.stack(tree.paths)], plain)


def _equal(states: torch.Tensor, plain: torch.Tensor) -> bool:
    """Whether hidden states [..., width] are the same but for rounding, which another mask or position far exceeds."""
    tolerance = 1e-3 if plain.dtype == torch.float32 else 0.1
    return bool(((states - plain).norm(dim=-1) <= tolerance * plain.norm(dim=-1)).all())


@torch.inference_mode()
def reads_alone(model: PreTrainedModel) -> bool:
    """Whether each sequence must go through a model for itself, as padding behind it would change its states.

    Raises:
        UserError: for a model whose states depend on the tokens after them: those of a beginning are not its own.
    """
    if model not in _alone:
        long, short = ids = [_ids(model), _ids(model)[4:9]]
        states = [body(model)(input_ids=_row(model, one), use_cache=False).last_hidden_state for one in ids]
        beginning = body(model)(input_ids=_row(model, long[:5]), use_cache=False).last_hidden_state
        if not _equal(states[0][:, :5], beginning):
            raise UserError(
                f"{model.name_or_path}: {type(model).__name__} reads texts in both directions: it has no probability "
                "of a token given those before it"
            )
        both = torch.cat([_row(model, long), _row(model, short + [0] * (len(long) - len(short)))])
        padded = body(model)(input_ids=both, use_cache=False).last_hidden_state
        agrees = _equal(padded[:1], states[0]) and _equal(padded[1:, : len(short)], states[1])
        _alone[model] = rotates_by_length(model) or not agrees
    return _alone[model]


def _ids(model: PreTrainedModel) -> list[int]:
    ids: list[int] = (np.arange(1, 13) * 7 % model.config.get_text_config().vocab_size).tolist()
    return ids


def _row(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    return torch.tensor([ids], device=model.device)


class _PathLayer(DynamicLayer):  # type: ignore[misc]
    """Lends a batch the keys and values on the path that leads to it, and keeps those that lead to the next one."""

    keys: torch.Tensor
    values: torch.Tensor
    keep: torch.Tensor

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self.is_initialized:
            key_states = torch.cat([self.keys, key_states], dim=-2)
            value_states = torch.cat([self.values, value_states], dim=-2)
        else:
            self.lazy_initialization(key_states, value_states)
        keep = self.keep.to(key_states.device)
        self.keys, self.values = key_states.index_select(2, keep), value_states.index_select(2, keep)
        return key_states, value_states


class _Bands:
    """What is added to the scores of queries that are the last tokens of a path."""

    def __init__(self, model: PreTrainedModel, max_queries: int, max_keys: int) -> None:
        self._dtype = model.dtype
        self._shape = max_queries, max_keys
        self._bands: dict[tuple[int, torch.device], torch.Tensor] = {}

    def mask(self, n_queries: int, n_keys: int, window: int, device: torch.device) -> torch.Tensor:
        """0 or -inf [queries, keys]: each query attends to the ``window`` last keys up to its own."""
        max_queries, max_keys = self._shape
        if (window, device) not in self._bands:
            # How far each key lies after the query, were the first query's own key number max_keys.
            after = torch.arange(-max_keys, max_queries) - torch.arange(max_queries)[:, None]
            band = torch.zeros(after.shape).masked_fill((after > 0) | (after <= -window), -torch.inf)
            self._bands[window, device] = band.to(device, self._dtype)
        band = self._bands[window, device][:n_queries, max_keys - (n_keys - n_queries) : max_keys + n_queries]
        mask = band.new_empty(n_queries, -(-n_keys // _ALIGNED) * _ALIGNED)[:, :n_keys]
        return mask.copy_(band)


class _Ancestors:
    """What the tokens of a batch attend to. The layers of a spread model are on several devices."""

    def __init__(self, batch: Batch, bands: _Bands) -> None:
        self.segments = batch.segments
        self._lengths = [len(segment.path) for segment in batch.segments]
        self._on_cpu = torch.from_numpy(np.concatenate([segment.path for segment in batch.segments]))
        self._slots: dict[torch.device, torch.Tensor] = {}
        self._bands = bands
        self._masks: dict[tuple[int, torch.device], list[torch.Tensor]] = {}

    def paths(self, states: torch.Tensor, n_heads: int) -> tuple[torch.Tensor, ...]:
        """From keys or values [1, groups, slots, width] to those on the path of each segment, lent to each head.

        Each is [groups, heads of a group, keys, width].
        """
        device = states.device
        if device not in self._slots:
            self._slots[device] = self._on_cpu.to(device)
        gathered = states[0].index_select(1, self._slots[device])[:, None].expand(-1, n_heads, -1, -1)
        return torch.split(gathered, self._lengths, dim=2)

    def masks(self, window: int | None, device: torch.device) -> list[torch.Tensor]:
        """The mask of each segment, for all layers with this sliding window (None: without one)."""
        window = window or sys.maxsize
        if (window, device) not in self._masks:
            masks = [self._bands.mask(s.stop - s.start, len(s.path), window, device) for s in self.segments]
            self._masks[window, device] = masks
        return self._masks[window, device]


def _tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    tree: _Ancestors | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """From query [1, heads, tokens, width] and key and value [1, groups, slots, width] to [1, tokens, heads, width]."""
    if tree is None or any(kwargs.get(name) is not None for name in _MORE):
        raise _Unsupported
    groups = key.shape[1]
    query = query[0].view(
        groups, -1, *query.shape[2:]
    )  # heads of a group share its keys, as if they were rows of a batch
    attended = value.new_empty(query.shape[2], groups, query.shape[1], value.shape[-1])
    keys, values = tree.paths(key, query.shape[1]), tree.paths(value, query.shape[1])
    for segment, k, v, mask in zip(tree.segments, keys, values, tree.masks(sliding_window, key.device), strict=True):
        q = query[:, :, segment.start : segment.stop]
        each = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling)
        attended[segment.start : segment.stop] = each.permute(2, 0, 1, 3)
    return attended.flatten(1, 2)[None], None


AttentionInterface.register(_NAME, _tree_attention)


@contextmanager
def _attending_to_trees(model: PreTrainedModel) -> Iterator[None]:
    usual = model.config._attn_implementation
    model.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(usual)
