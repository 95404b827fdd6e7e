"""How many verdicts of generative reward models could be read."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.rows import Fraction
from harness.storage.results import Results


@dataclass(frozen=True, slots=True)
class VerdictsRow:
    """Of ``replies`` about the responses of a generator, ``read`` have a verdict that counts, ``share`` have none.

    The others are ``unreadable`` or were ``cut_off``. Beside them, ``too_long`` questions have no reply.
    """

    generator: str
    reward_model: str
    replies: int
    read: int
    unreadable: int
    cut_off: int
    too_long: int
    share: Fraction


def verdicts(results: Results) -> list[VerdictsRow]:
    """A row for every generator and reward model that was asked about its responses."""
    rows = []
    for generator in results.manifest.generators:
        for reward_model in results.manifest.reward_models:
            counts = results.verdicts(reward_model, generator)
            if counts:
                read, unreadable, cut_off = counts["read"], counts["unreadable"], counts["cut off"]
                n = read + unreadable + cut_off
                share = Fraction((n - read) / n if n else 0.0)
                rows.append(
                    VerdictsRow(generator, reward_model, n, read, unreadable, cut_off, counts["too long"], share)
                )
    return rows
