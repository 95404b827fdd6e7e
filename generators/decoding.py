"""Batched sampling from a causal language model with a key-value cache.

A batch is of *branches*: what all responses that are equal so far have in common goes through the model once. Each
problem's prompt is a branch to begin with; a branch forks where its responses differ, and is gone when they have ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from transformers import Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from bonbench.generators.loading import check_numbers
from bonbench.generators.uniforms import uniforms
from harness.core.arrays import Ints
from harness.core.errors import UserError
from harness.core.memory import is_short

#: Tokens with their log-probabilities, the most probable first, for each of some prompts.
Likely = list[list[tuple[int, float]]]
#: Positions by which a cache grows when it is full.
_GROWTH = 64


class _BranchLayer(DynamicLayer):  # type: ignore[misc]
    """A cache layer with room for more branches and positions than it has, so that little of it is ever copied."""

    def __init__(self, max_branches: int) -> None:
        super().__init__()
        self._max_branches = max_branches
        self._n_branches = self._length = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
            self._n_branches, self._length = len(key_states), key_states.shape[-2]
            return key_states, value_states
        start, end = self._length, self._length + key_states.shape[-2]
        self._make_room(self._n_branches, end)
        states = []
        for cached, new in ((self.keys, key_states), (self.values, value_states)):
            cached[: self._n_branches, :, start:end] = new
            states.append(cached[: self._n_branches, :, :end])
        self._length = end
        return states[0], states[1]

    def get_seq_length(self) -> int:
        return self._length

    def fork(self, parents: torch.Tensor, places: torch.Tensor, n_branches: int) -> None:
        """Copy branches to ``places``. There are ``n_branches`` then."""
        self._make_room(n_branches, self._length)
        device = self.keys.device  # layers of a spread model are on several devices
        parents, places = parents.to(device), places.to(device)
        for cached in (self.keys, self.values):
            cached[places, :, : self._length] = cached[parents, :, : self._length]
        self._n_branches = n_branches

    def _make_room(self, n_branches: int, end: int) -> None:
        room, positions = len(self.keys), self.keys.shape[-2]
        if n_branches <= room and end <= positions:
            return
        if n_branches > room:
            room = min(max(n_branches, 2 * room), self._max_branches)
        if end > positions:
            positions = end + _GROWTH
        self.keys, self.values = (self._copied(old, room, positions) for old in (self.keys, self.values))

    def _copied(self, old: torch.Tensor, room: int, positions: int) -> torch.Tensor:
        new = old.new_empty(room, old.shape[1], positions, old.shape[3])
        new[: self._n_branches, :, : self._length] = old[: self._n_branches, :, : self._length]
        return new


class _BranchCache(Cache):  # type: ignore[misc]
    def __init__(self, n_layers: int, max_branches: int) -> None:
        super().__init__(layers=[_BranchLayer(max_branches) for _ in range(n_layers)])

    def fork(self, parents: torch.Tensor, places: torch.Tensor, n_branches: int) -> None:
        for layer in self.layers:
            layer.fork(parents, places, n_branches)


@dataclass(frozen=True, slots=True)
class _Forks:
    """What becomes of branches at a step.

    Branch k of those that go on continues the branch ``parents[k]`` with the token ``tokens[k]``. ``of_rows`` [rows]
    is the branch that each row is on.
    """

    parents: Ints
    tokens: Ints
    of_rows: Ints

    @classmethod
    def of(cls, branches: Ints, tokens: Ints) -> _Forks:
        """From the branch that each row was on, and the token it goes on with [rows]."""
        base = tokens.max() + 1
        distinct, of_rows = np.unique(branches * base + tokens, return_inverse=True)
        return cls(distinct // base, distinct % base, of_rows)

    def places(self) -> Ints:
        """Where each branch that goes on is put, so that they are the first ones of the batch.

        The first one of a parent stays in the parent's place, if that is among these. The others go where none stays.
        """
        n_branches = len(self.parents)
        stays = (np.diff(self.parents, prepend=-1) > 0) & (self.parents < n_branches)
        places = self.parents.copy()
        places[~stays] = np.setdiff1d(np.arange(n_branches), self.parents[stays])
        return places


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
    ids, mask, positions = _left_padded(prompts, device)
    cache = _BranchCache(model.config.get_text_config().num_hidden_layers, max(len(rows), len(prompts)))
    logits = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[:, -1]

    n_rows, n_steps = len(rows), int(max_tokens.max())
    tokens = np.zeros((n_rows, n_steps), dtype=np.int64)
    lengths = max_tokens.copy()
    stopped = np.zeros(n_rows, dtype=bool)
    live, branches = np.arange(n_rows), np.asarray(rows, dtype=np.int64)  # rows that go on, and the branch of each
    prompt_of = np.arange(len(prompts))  # of each branch
    for step in range(n_steps):
        draws = torch.from_numpy(uniforms(seeds[live], step)).to(device)
        chosen = choose(logits[torch.from_numpy(branches).to(device)], draws, temperature, top_p).cpu().numpy()
        ended = np.isin(chosen, stop_ids)
        tokens[live, step] = chosen
        stopped[live[ended]] = True
        lengths[live[ended]] = step + 1
        goes_on = ~ended & (max_tokens[live] > step + 1)
        live = live[goes_on]
        if not len(live):
            break
        forks = _Forks.of(branches[goes_on], chosen[goes_on])
        places = forks.places()
        moved = places != forks.parents
        if moved.any() or len(places) < len(prompt_of):
            cache.fork(torch.from_numpy(forks.parents[moved]), torch.from_numpy(places[moved]), len(places))
        of_places = np.argsort(places)
        branches, following = places[forks.of_rows], forks.tokens[of_places]
        prompt_of = prompt_of[forks.parents[of_places]]
        of_branches = torch.from_numpy(prompt_of).to(device)
        logits = model(
            input_ids=torch.from_numpy(following).to(device)[:, None],
            attention_mask=None if mask is None else F.pad(mask[of_branches], (0, step + 1), value=1),
            position_ids=positions[of_branches, -1:] + step + 1,
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]
    return Sampled(tokens, lengths, stopped)


@torch.inference_mode()
def most_probable(model: PreTrainedModel, prompts: Sequence[Sequence[int]], n: int) -> Likely:
    """The ``n`` most probable next tokens after each prompt, with their log-probabilities."""
    ids, mask, positions = _left_padded(prompts, model.device)
    read = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    logits = model(**read, use_cache=False, logits_to_keep=1).logits[:, -1].float()
    likely = logits.log_softmax(dim=-1).topk(min(n, logits.shape[-1]), dim=-1)
    rows = zip(likely.indices.tolist(), likely.values.tolist(), strict=True)
    return [list(zip(tokens, values, strict=True)) for tokens, values in rows]


@torch.inference_mode()
def check_sampling(model: PreTrainedModel, name: str) -> None:
    """Refuse a model that says something else, token by token with the cache here, than of each text as a whole.

    Recurrent layers and caches of a model's own are such cases. Two prompts, one of them padded, go on in three ways.

    Raises:
        UserError: naming what samples from it all the same.
    """
    n = int(model.config.get_text_config().vocab_size)
    texts = [[(7 * i + k) % n for i in range(1, 1 + length)] for k, length in ((0, 7), (0, 7), (3, 4))]
    more = [[(k + 11) % n, (5 * k + 2) % n] for k in range(3)]
    device = model.device
    try:
        ids, mask, positions = _left_padded([texts[0], texts[2]], device)
        cache = _BranchCache(model.config.get_text_config().num_hidden_layers, 3)
        places = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
        model(**places, past_key_values=cache, use_cache=True)
        cache.fork(torch.tensor([0, 1]), torch.tensor([1, 2]), 3)
        of, stepped = torch.tensor([0, 0, 1], device=device), []
        for step in range(2):
            stepped = model(
                input_ids=torch.tensor([tokens[step : step + 1] for tokens in more], device=device),
                attention_mask=None if mask is None else F.pad(mask[of], (0, step + 1), value=1),
                position_ids=positions[of, -1:] + step + 1,
                past_key_values=cache,
                use_cache=True,
            ).logits[:, -1]
        rows = zip(texts, more, stepped, strict=True)
        agree = [_alike(model, name, text + new, row) for text, new, row in rows]
    except UserError:
        raise
    except Exception as error:  # whatever a cache of another kind meets first
        if is_short(error):
            raise
        agree = [False]
    # In 16 bits a router may choose other experts by a rounding.
    if sum(agree) < (len(agree) if model.dtype == torch.float32 else 2):
        raise UserError(
            f"{name}: {type(model).__name__} cannot be sampled from here, token by token with a cache of keys and "
            "values: let vLLM do it (type: vllm)"
        )


def _alike(model: PreTrainedModel, name: str, text: Sequence[int], stepped: torch.Tensor) -> bool:
    """Whether logits [vocabulary] are those after a text as a whole, but for rounding."""
    whole = model(input_ids=torch.tensor([text], device=model.device), use_cache=False).logits[0, -1].float()
    check_numbers(whole, name)
    away, size = (stepped.float() - whole).norm(), (whole - whole.mean()).norm()
    return bool(away <= (1e-2 if model.dtype == torch.float32 else 0.3) * size)


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
