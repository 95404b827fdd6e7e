"""What is missing of a run: responses without a score, problems without responses, reward models left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from harness.analysis.accuracy import Accuracies
from harness.analysis.rows import Fraction
from harness.core.stages import StageKind
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


@dataclass(frozen=True, slots=True)
class UnansweredRow:
    """``unanswered`` of ``n_problems`` have no responses; ``reasons`` says why, the most frequent reason first."""

    generator: str
    n_problems: int
    unanswered: int
    share: Fraction
    reasons: str


@dataclass(frozen=True, slots=True)
class LeftOutRow:
    """A reward model that is in no other table, and why: its scoring failed, gave numbers that are not finite, or no
    aggregation has a meaning for them."""

    reward_model: str
    why: str


@dataclass(frozen=True, slots=True)
class RuleLeftOutRow:
    """A selection rule that was asked for and is in no other table, and why."""

    rule: str
    why: str


def rules_left_out(accuracies: Accuracies) -> list[RuleLeftOutRow]:
    """A row for every selection rule that was left out."""
    return [RuleLeftOutRow(name, why) for name, why in accuracies.rules_left_out.items()]


def left_out(accuracies: Accuracies) -> list[LeftOutRow]:
    """A row for every reward model that was left out."""
    return [LeftOutRow(name, why) for name, why in accuracies.left_out.items()]


def unscored(results: Results) -> list[UnscoredRow]:
    """A row for every generator and reward model with scores; no rows where every response has a score."""
    rows = []
    for generator in results.manifest.generators:
        for reward_model in results.manifest.reward_models:
            counted = results.unscored(reward_model, generator)
            if counted.n_responses:
                n = counted.reasons.total()
                share = Fraction(n / counted.n_responses)
                rows.append(
                    UnscoredRow(
                        generator, reward_model, counted.n_responses, n, share, _in_words(counted.reasons.elements())
                    )
                )
    return rows if any(row.unscored for row in rows) else []


def unanswered(results: Results) -> list[UnansweredRow]:
    """A row for every generator and policy; no rows where every problem has responses."""
    kinds = dict.fromkeys(results.manifest.generators, StageKind.SAMPLE)
    kinds |= dict.fromkeys(results.manifest.policies, StageKind.POLICY)
    rows, n_problems = [], len(results.problems)
    for generator, kind in kinds.items():
        reasons = results.unanswered(generator, kind)
        share = Fraction(len(reasons) / n_problems)
        rows.append(UnansweredRow(generator, n_problems, len(reasons), share, _in_words(reasons.values())))
    return rows if any(row.unanswered for row in rows) else []


def _in_words(reasons: Iterable[str]) -> str:
    """The distinct reasons, the most frequent one first."""
    return "; ".join(reason for reason, _ in Counter(reasons).most_common() if reason)
