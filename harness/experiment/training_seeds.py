"""``seeds: [0, 1, 2]`` in a ``train:`` block: the same training once per seed.

A sweep is about what its values do; seeds are repetitions of one training. So the entries that they stand for are one
method in the tables, with the spread over seeds in its interval (:mod:`harness.analysis.seeds`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.core.errors import UserError
from harness.core.params import ComponentParams
from harness.core.registry import find

_EXAMPLE = "give it different whole numbers, for instance [0, 1, 2]"


def has_seed(params: type[ComponentParams]) -> bool:
    """Whether trainings with such parameters depend on a seed."""
    return "seed" in params.model_fields


def by_seed(name: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """One entry for each of the ``seeds`` of a ``train:`` block; the entry itself where it has none.

    The entry's own name goes to the seed that it has without ``seeds``, so what is stored of that training stays; where
    this is none of them, to the first. The entry of another seed ``s`` is ``<name>-seed<s>``. The entry's own comes
    first.

    Raises:
        UserError: for seeds that are no list of different whole numbers, beside a ``seed``, or of a training that has
            no seed.
    """
    block = entry.get("train")
    if not isinstance(block, Mapping) or "seeds" not in block:
        yield name, dict(entry)
        return
    seeds = block["seeds"]
    if not isinstance(seeds, list) or not seeds or any(type(seed) is not int or seed < 0 for seed in seeds):
        raise UserError(f"train.seeds: {_EXAMPLE} (it is {seeds!r})")
    for twice in (seed for i, seed in enumerate(seeds) if seed in seeds[:i]):
        raise UserError(f"train.seeds: {twice} is there twice, and would be the same training: {_EXAMPLE}")
    if "seed" in block:
        raise UserError("train.seeds: there is a seed beside it: remove one of the two")
    params = find("trainers", str(block.get("type", entry.get("type")))).Params
    if not has_seed(params):
        raise UserError("train.seeds: this training has no seed: it comes out the same every time")
    usual = params.model_fields["seed"].default
    own = usual if usual in seeds else seeds[0]
    rest = {key: value for key, value in block.items() if key != "seeds"}
    for seed in [own, *(seed for seed in seeds if seed != own)]:
        label = name if seed == own else f"{name}-seed{seed}"
        yield label, {**entry, "train": {**rest, "seed": seed}}
