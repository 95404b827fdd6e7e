"""What runs the model of a reward model: token ids in, rewards out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from harness.core.components import ModelFacts
from harness.core.errors import UserError

if TYPE_CHECKING:
    from bonbench.reward_models.text.pieces import Marked


class PartlyRead(UserError):
    """Some texts could not be read. ``rewards`` has None in their places, ``why`` the reasons (place -> text)."""

    def __init__(self, rewards: Sequence[list[float] | None], why: Mapping[int, str]) -> None:
        super().__init__(next(iter(why.values())))
        self.rewards, self.why = rewards, why


class Reader(Protocol):
    """A model, wherever it runs.

    ``config`` is its `transformers` config, ``limit`` how many tokens of a text it reads; None where nothing says.
    """

    config: Any
    limit: int | None

    def rewards(self, readings: Sequence[Marked]) -> list[list[float]]:
        """The rewards of each text at the tokens at which it is read (at least one): one for each, or one in all.

        Raises:
            PartlyRead: where some were not read, and others were.
        """
        ...

    def facts(self) -> ModelFacts:
        """The model, for the ledger."""
        ...
