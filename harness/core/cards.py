"""What the cards of public models show, to check an adapter against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Card:
    """The example of a public model's card (the README of its repository): where it is, and the rewards it prints.

    ``entry`` are the parameters of a reward model that scores with a copy of the model, but for the copy, which is the
    parameter ``model``. ``problem`` and ``responses`` are variables of the card's code, with a key after a dot
    (``data.query``); a response may be a list of steps. ``rewards`` has a number for each step of each response, or one
    in all. It is empty for a card whose numbers are not known here.
    """

    entry: Mapping[str, Any]
    model: str = "model"
    problem: str = ""
    responses: tuple[str, ...] = ()
    rewards: tuple[tuple[float, ...], ...] = ()
