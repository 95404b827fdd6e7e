"""Responses that a reward model left without a score, by generator and reward model."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.rows import Fraction
from harness.storage.results import Results


@dataclass(frozen=True, slots=True)
class UnscoredRow:
    """``unscored`` of ``n_responses`` have no score; ``reasons`` says why, the most frequent reason first."""

    generator: str
    reward_model: str
    n_responses: int
    unscored: int
    share: Fraction
    reasons: str


def unscored(results: Results) -> list[UnscoredRow]:
    """A row for every generator and reward model with scores; no rows where every response has a score."""
    rows = []
    for generator in results.manifest.generators:
        for reward_model in results.manifest.reward_models:
            counted = results.unscored(reward_model, generator)
            if counted.n_responses:
                n = counted.reasons.total()
                reasons = "; ".join(reason for reason, _ in counted.reasons.most_common() if reason)
                share = Fraction(n / counted.n_responses)
                rows.append(UnscoredRow(generator, reward_model, counted.n_responses, n, share, reasons))
    return rows if any(row.unscored for row in rows) else []
