"""What voting with a reward model's scores adds to taking the best-scored response: the numbers of Figure 3."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.choosers import Chooser
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import Difference


@dataclass(frozen=True, slots=True)
class VotingGain:
    """Mean accuracies, as fractions, of best-of-n and of voting with the same scores, and their paired difference."""

    chooser: Chooser
    best_of_n: float
    weighted: float
    gain: Difference


def voting_gains(evaluation: Evaluation) -> list[VotingGain]:
    """The gain of each best-of-n chooser; means over generators and the headline sizes above 1."""
    accuracies = evaluation.accuracies
    gains = []
    for chooser in evaluation.methods:
        plain, weighted = accuracies.overall_by_seed(chooser), accuracies.overall_by_seed(chooser.weighted)
        if plain is not None and weighted is not None:
            means = accuracies.mean(plain.mean), accuracies.mean(weighted.mean)
            gains.append(VotingGain(chooser, *means, accuracies.difference(weighted, plain)))
    return gains
