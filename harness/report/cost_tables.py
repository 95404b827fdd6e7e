"""The tables of development cost as files; each is left out where a run has nothing for it."""

from __future__ import annotations

from harness.analysis.cost_ratio import cost_ratio
from harness.analysis.costs import development_table
from harness.analysis.equal_accuracy import equal_accuracies, equal_accuracy_table
from harness.analysis.evaluation import Evaluation
from harness.report.text import cost_ratio_markdown, csv


def cost_texts(evaluation: Evaluation) -> dict[str, str]:
    """Files by name: development cost by method and scale, cost at equal accuracy, Math-Shepherd against CE."""
    ratio = cost_ratio(evaluation)
    frames = {
        "development_cost.csv": development_table(evaluation.trainings, evaluation.costs),
        "equal_accuracy.csv": equal_accuracy_table(equal_accuracies(evaluation)),
        "cost_ratio.csv": ratio,
    }
    texts = {name: csv(frame) for name, frame in frames.items() if len(frame)}
    if len(ratio):
        texts["cost_ratio.md"] = cost_ratio_markdown(ratio)
    return texts
