"""``bonbench check-adapter``: does a public reward model give here the numbers that its card prints?"""

from __future__ import annotations

import json
from dataclasses import dataclass

from harness.core.cards import Card
from harness.core.errors import UserError, suggest
from harness.core.registry import available, find
from harness.core.steps import joined_steps
from harness.data.model_cards import example, read_card
from harness.streams.scorer import Scorer

#: Cards were printed in bfloat16, which keeps two to three digits; another batch or kernel rounds otherwise.
TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Compared:
    """A reward as the card prints it and as it is here; ``response`` and ``step`` are numbers from 1."""

    response: int
    step: int
    card: float
    here: float

    @property
    def agrees(self) -> bool:
        """Whether the difference may be rounding: at most 0.05, or 5 % of a reward beyond 1."""
        return abs(self.here - self.card) <= TOLERANCE * max(1.0, abs(self.card))


def known_card(name: str) -> tuple[str, Card]:
    """The type of the reward model that scores with a public model, and the model's card.

    Raises:
        UserError: for a model whose convention is not built in.
    """
    cards = {id_: (type_, card) for type_ in available("reward_models") for id_, card in _cards(type_).items()}
    if name not in cards:
        raise UserError(f"no public reward model is known as {name!r}{suggest(name, cards)}")
    return cards[name]


def entry_of(name: str, model: str | None) -> str:
    """What ``--reward-model`` says of a public model, or of a copy of it."""
    type_, card = known_card(name)
    entry = {card.model: model or name, **card.entry}
    return f"{type_}:{json.dumps(entry)}"


def check_adapter(name: str, model: str | None = None, dtype: str = "auto") -> list[Compared]:
    """The rewards of a public model for its card's own example, beside those that the card prints.

    Args:
        name: its id on the hub.
        model: a copy of it; None: the hub's.

    Raises:
        UserError: for a model that is not known, a card whose numbers are not, and whatever keeps it from being loaded.
    """
    type_, card = known_card(name)
    where = model or name
    if not card.rewards:
        command = f"bonbench score example.jsonl --reward-model '{entry_of(name, model)}' -o scored.jsonl"
        raise UserError(
            f"the numbers of the card of {name} are not known here: put its example into example.jsonl "
            f'({{"problem": …, "response": …}}), run `{command}`, and compare by hand'
        )
    problem, responses = example(card, read_card(where), where)
    scorer = Scorer(f"{type_}:{json.dumps({card.model: where, 'dtype': dtype, **card.entry})}")
    texts = [(text, None) if isinstance(text, str) else joined_steps(text) for text in responses]
    scored = scorer.score([(problem, text) for text, _ in texts], [ends for _, ends in texts])
    compared = []
    for response, (printed, here) in enumerate(zip(card.rewards, scored, strict=True), 1):
        rewards = here.scores.step_rewards
        if len(rewards) != len(printed):
            raise UserError(
                f"{name}: {len(rewards)} rewards for response {response} here, {len(printed)} in its card: has its "
                "convention changed?"
            )
        pairs = zip(printed, rewards, strict=True)
        compared += [Compared(response, step, *pair) for step, pair in enumerate(pairs, 1)]
    return compared


def _cards(type_: str) -> dict[str, Card]:
    return dict(find("reward_models", type_).cards())
