"""What the cards of public reward models print of their own examples, as far as it is known.

The numbers are from the cards; the texts of the examples are read in the card itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from bonbench.reward_models.known_models import KNOWN_IMPLICIT, KNOWN_MODELS
from harness.core.cards import Card

_Printed = tuple[str, tuple[str, ...], tuple[tuple[float, ...], ...]]  # problem, responses, rewards

_QWEN_PRM = ("data.query", ("data.response",))
_PRINTED: Mapping[str, _Printed] = {
    "Qwen/Qwen2.5-Math-PRM-7B": (*_QWEN_PRM, ((1.0, 0.1904296875, 0.9765625, 1.0),)),
    "Qwen/Qwen2.5-Math-PRM-72B": (*_QWEN_PRM, ((0.9921875, 0.0047607421875, 0.32421875, 0.8203125),)),
    "Skywork/Skywork-Reward-V2-Llama-3.1-8B": ("prompt", ("response1", "response2"), ((23.0,), (3.59375,))),
    "nvidia/AceMath-72B-RM": ("prompt", ("resp_1",), ((5.4375,),)),
}


def cards_of(family: str) -> dict[str, Card]:
    """The cards of the known models of a family."""
    return {
        name: Card({"convention": known.convention}, "model", *_PRINTED.get(name, ()))
        for name, known in KNOWN_MODELS.items()
        if known.family == family
    }


def implicit_cards() -> dict[str, Card]:
    """The cards of the known implicit reward models."""
    return {name: Card(entry, "policy") for name, entry in KNOWN_IMPLICIT.items()}
