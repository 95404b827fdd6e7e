"""Batched sampling from a causal language model with a key-value cache.

Each problem's prompt goes through the model once, and its cache is copied to the rows of its samples. Rows that have
ended leave the batch, so that a few long responses do not cost as much as a whole batch of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from bonbench.generators.uniforms import uniforms

#: Positions by which a cache grows when it is full.
_GROWTH = 64
#: Finished rows leave the batch when less than this share of its rows is unfinished. Then little work is copying, and
#: little work goes into finished rows.
_COMPACT_BELOW = 0.8


class _GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """A cache layer that appends in place. ``torch.cat`` at every token would copy the whole cache each time."""

    def __init__(self) -> None:
        super().__init__()
        self.length = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
            self.length = key_states.shape[-2]
            return key_states, value_states
        end = self.length + key_states.shape[-2]
        if end > self.keys.shape[-2]:
            self.keys, self.values = self._grown(self.keys, end), self._grown(self.values, end)
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        return self.length

    def select(self, rows: torch.Tensor) -> None:
        """Keep ``rows`` (indices, repeats allowed) of the batch."""
        rows = rows.to(self.keys.device)  # layers of a spread model are on several devices
        self.keys = self._grown(self.keys[:, :, : self.length], self.length, rows)
        self.values = self._grown(self.values[:, :, : self.length], self.length, rows)

    def _grown(self, old: torch.Tensor, end: int, rows: torch.Tensor | None = None) -> torch.Tensor:
        n_rows = len(old) if rows is None else len(rows)
        new = old.new_empty(n_rows, old.shape[1], end + _GROWTH, old.shape[3])
        new[:, :, : self.length] = old[:, :, : self.length] if rows is None else old[rows]
        return new


class _GrowingCache(Cache):  # type: ignore[misc]
    def __init__(self, n_layers: int) -> None:
        super().__init__(layers=[_GrowingLayer() for _ in range(n_layers)])

    def select(self, rows: torch.Tensor) -> None:
        for layer in self.layers:
            layer.select(rows)


@dataclass(frozen=True, slots=True)
class Sampled:
    """Sampled tokens: ``tokens`` [rows, steps], of which the first ``lengths`` of a row are its response.

    A row that ``stopped`` ends with an end-of-turn token, which its length includes.
    """

    tokens: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    stopped: npt.NDArray[np.bool_]


@torch.inference_mode()
def sample(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    rows: Sequence[int],
    seeds: npt.NDArray[np.uint64],
    stop_ids: Sequence[int],
    max_tokens: npt.NDArray[np.int64],
    temperature: float,
    top_p: float,
) -> Sampled:
    """Sample one response per row; ``seeds`` and ``max_tokens`` are [rows].

    Args:
        prompts: token ids of each prompt.
        rows: index of the prompt that each row continues.
        seeds: one per row. The seed, the prompt and the parameters decide the row's response, and nothing else does.
        stop_ids: tokens that end a response.
        max_tokens: each row's response is cut off at this length.
        temperature: 0 takes the most probable token.
        top_p: sample from the smallest set of tokens with at least this probability.
    """
    device = model.device
    cache = _GrowingCache(model.config.get_text_config().num_hidden_layers)
    ids, mask, positions = _left_padded(prompts, device)
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    row_prompt = torch.tensor(rows, device=device)
    cache.select(row_prompt)
    logits = output.logits[:, -1][row_prompt]
    position = positions[:, -1:][row_prompt]
    if mask is not None:
        mask = mask[row_prompt]
    stops = torch.tensor(stop_ids, device=device)

    n_rows, n_steps = len(rows), int(max_tokens.max())
    tokens = np.zeros((n_rows, n_steps), dtype=np.int64)
    lengths = max_tokens.copy()
    stopped = np.zeros(n_rows, dtype=bool)
    done = np.zeros(n_rows, dtype=bool)
    row_of = np.arange(n_rows)  # row of the result behind each row of the batch
    for step in range(n_steps):
        draws = torch.from_numpy(uniforms(seeds[row_of], step)).to(device)
        chosen = choose(logits, draws, temperature, top_p)
        live = ~done[row_of]
        ended = torch.isin(chosen, stops).cpu().numpy() & live
        tokens[row_of[live], step] = chosen.cpu().numpy()[live]
        stopped[row_of[ended]] = True
        lengths[row_of[ended]] = step + 1
        done[row_of] |= ended | (max_tokens[row_of] == step + 1)
        live = ~done[row_of]
        n_live = int(live.sum())
        if n_live == 0:
            break
        if n_live < _COMPACT_BELOW * len(row_of):
            keep = torch.from_numpy(np.flatnonzero(live)).to(device)
            cache.select(keep)
            row_of, chosen, position = row_of[live], chosen[keep], position[keep]
            mask = mask if mask is None else mask[keep]
        position = position + 1
        if mask is not None:
            mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        logits = model(
            input_ids=chosen[:, None],
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]
    return Sampled(tokens, lengths, stopped)


def choose(logits: torch.Tensor, draws: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """Next tokens [rows] from ``logits`` [rows, vocabulary] by inversion of the distribution function.

    ``draws`` [rows] are uniform numbers in [0, 1). All is in double precision: rounding decides the token only where a
    draw is almost equal to a boundary of the distribution function.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = torch.softmax(logits.double() / temperature, dim=-1)
    if top_p < 1:
        falling = probabilities.sort(dim=-1, descending=True).values
        before = falling.cumsum(dim=-1) - falling
        n_tokens = (before < top_p).sum(dim=-1, keepdim=True)
        least = falling.gather(-1, n_tokens - 1)
        probabilities = torch.where(probabilities >= least, probabilities, 0.0)
    cumulative = probabilities.cumsum(dim=-1)
    chosen = torch.searchsorted(cumulative, draws[:, None] * cumulative[:, -1:], right=True)
    return chosen[:, 0].clamp(max=logits.shape[-1] - 1)


def _left_padded(
    prompts: Sequence[Sequence[int]], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """Prompt ids, attention mask (None where nothing is padded) and position ids, each [prompts, longest]."""
    longest = max(map(len, prompts))
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)
    return ids.to(device), None if mask.all() else mask.to(device), positions.to(device)
