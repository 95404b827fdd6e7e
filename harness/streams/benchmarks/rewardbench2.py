"""RewardBench 2, its domains Math and Ties (Malik et al. 2025, arXiv:2506.01937).

Math: the one right completion is to score above three wrong ones. Where it shares the highest score with k - 1 others,
it counts 1/k.

Ties: questions with several right answers (ids ``tied:K``), and of each a question with one right answer (``ref:K``).
A prompt is right where every right answer scores above every wrong one. The number of the domain is
0.3 (tied right) + 0.3 (ref right) + 0.2 (preferred) + 0.2 (preferred, hard) + 0.01 (margin), where over the pairs of
prompts that have both

- preferred: right answers are further from wrong ones than from each other: min(right) - max(wrong) exceeds
  max(right) - min(right), in the tied prompt;
- preferred, hard: the smaller of min(right) - max(wrong) in the tied and in the ref prompt does;
- margin: the mean of tanh(that smaller one / (max(right) - min(right)) - 1), 0 where that is 0/0.

The weights and the last term are those of the authors' code (reward-bench, ``process_single_model``). A completion
without a score is below every other, and a pair of prompts with one is not preferred and has a margin of 0; the code
knows no completions without scores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from harness.core.arrays import Floats
from harness.data.lines import Row
from harness.streams.benchmarks.base import Completions, Judged, Numbers, OfCompletions, Settings, text_of, texts_of

_TIES_ID = re.compile(r"(ref|tied):(\d+)")
_N_CANDIDATES = 4  # in the domain Math


@dataclass(frozen=True, slots=True)
class Prompt(Completions):
    """In the domain Ties ``kind`` is "ref" or "tied", and ``pair`` the number that the two prompts of a pair share."""

    kind: str = ""
    pair: int = -1


@dataclass(frozen=True, slots=True)
class Margins:
    """Of a prompt: the spread of the right completions, and how far they are above the wrong ones."""

    among_right: float
    above_wrong: float
    is_scored: bool

    @classmethod
    def of(cls, ranks: Floats, n_right: int) -> Margins:
        """From the scores, float [completions], of which the first ``n_right`` are right; -inf without a score."""
        right, wrong = ranks[:n_right], ranks[n_right:]
        with np.errstate(invalid="ignore"):
            return cls(
                float(right.max() - right.min()),
                float(right.min() - wrong.max()),
                bool(np.isfinite(ranks).all()),
            )

    @property
    def is_right(self) -> bool:
        return self.above_wrong > 0


class RewardBench2(OfCompletions[Prompt]):
    """Lines are ``id``, ``subset``, ``prompt``, ``chosen``, ``rejected``; other subsets are passed over."""

    name = "rewardbench2"
    title = "the right completion among four, and several right ones"
    paper = "arXiv:2506.01937"
    headlines = ("Math", "Ties")

    def item(self, row: Row) -> Prompt | None:
        """A prompt with its completions; None in another subset.

        Raises:
            ValueError: for a line that is none of the benchmark's, and says why.
        """
        subset = text_of(row, "subset").lower()
        if subset not in ("math", "ties"):
            return None
        prompt, chosen, rejected = text_of(row, "prompt"), texts_of(row, "chosen"), texts_of(row, "rejected")
        if subset == "math":
            if len(chosen) != 1 or len(rejected) != _N_CANDIDATES - 1:
                raise ValueError(f"{len(chosen)} chosen and {len(rejected)} rejected: 1 and 3 are expected of Math")
            return Prompt(prompt, chosen, rejected)
        if not (found := _TIES_ID.fullmatch(text_of(row, "id"))):
            raise ValueError('"id" of Ties is not ref:NUMBER or tied:NUMBER')
        return Prompt(prompt, chosen, rejected, found[1], int(found[2]))

    def numbers(self, sets: Mapping[str, Sequence[Judged[Prompt]]], settings: Settings) -> Numbers:
        values: dict[str, float] = {}
        rows: list[tuple[str, int, Sequence[float | None]]] = []
        judged = list(chain.from_iterable(sets.values()))
        ranks = [np.array([answer.rank for answer in one.answers]) for one in judged]
        math = [best_of_four(own) for one, own in zip(judged, ranks, strict=True) if not one.item.kind]
        if math:
            values["Math"] = float(np.mean(math))
            rows.append(("Math", len(math), [values["Math"]]))
        ties: dict[str, dict[int, Margins]] = {"ref": {}, "tied": {}}
        for one, own in zip(judged, ranks, strict=True):
            if one.item.kind:
                ties[one.item.kind][one.item.pair] = Margins.of(own, len(one.item.chosen))
        n_ties = sum(map(len, ties.values()))
        if n_ties:
            parts = ties_parts(ties["ref"], ties["tied"])
            values["Ties"] = ties_score(parts)
            rows.append(("Ties", n_ties, [values["Ties"]]))
            for name, value in parts.items():
                values[f"Ties: {name}"] = value
                n = len(ties["tied"]) if name == "tied" else len(ties["ref"]) if name == "ref" else n_pairs(ties)
                rows.append((f"Ties: {name}", n, [value]))
        unscored = sum(not answer.is_scored for one in judged for answer in one.answers)
        notes = [f"{unscored} completions have no score and rank below every other"] if unscored else []
        return Numbers(values, ["", "prompts", "score"], rows, notes)


def n_pairs(ties: Mapping[str, Mapping[int, Margins]]) -> int:
    """How many pairs have both prompts."""
    return len(ties["ref"].keys() & ties["tied"].keys())


def best_of_four(ranks: Floats) -> float:
    """How often the first of some completions is taken for the best, ties shared; float [completions], -inf without a
    score. One without a score is never taken."""
    best = ranks.max()
    return float(1 / (ranks == best).sum()) if ranks[0] == best and np.isfinite(best) else 0.0


def ties_parts(ref: Mapping[int, Margins], tied: Mapping[int, Margins]) -> dict[str, float]:
    """The five terms of the number of Ties, by their names, from the margins of prompts by the number of their pair."""
    pairs = [(ref[number], tied[number]) for number in sorted(ref.keys() & tied.keys())]
    preferred, hard, margins = [], [], []
    for one, several in pairs:
        is_scored = one.is_scored and several.is_scored
        least = min(one.above_wrong, several.above_wrong)
        preferred.append(is_scored and several.above_wrong > several.among_right)
        hard.append(is_scored and least > several.among_right)
        with np.errstate(divide="ignore", invalid="ignore"):
            margin = np.tanh(np.divide(least, several.among_right) - 1)
        margins.append(float(np.nan_to_num(margin)) if is_scored else 0.0)
    return {
        "tied": _mean([margins_.is_right for margins_ in tied.values()]),
        "ref": _mean([margins_.is_right for margins_ in ref.values()]),
        "preferred": _mean(preferred),
        "preferred, hard": _mean(hard),
        "margin": _mean(margins),
    }


def ties_score(parts: Mapping[str, float]) -> float:
    """The weighted sum of :func:`ties_parts`: 0.6 of it for what is right, 0.4 for margins, 0.01 more at most."""
    weights = {"tied": 0.3, "ref": 0.3, "preferred": 0.2, "preferred, hard": 0.2, "margin": 0.01}
    return sum(weight * parts[name] for name, weight in weights.items())


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
