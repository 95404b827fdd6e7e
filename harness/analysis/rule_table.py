"""What the further selection rules gain over best-of-n and over the majority, as rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from harness.analysis.choosers import MAJORITY
from harness.analysis.evaluation import Evaluation
from harness.analysis.headline_tables import all_places, at_place
from harness.analysis.inference import Difference, corrected
from harness.analysis.rows import Columns, Fraction
from harness.analysis.seeds import compare


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A reward model choosing by a rule; ``n`` is None in the average over generators and n.

    The differences are paired, from best-of-n with the same scores and from the majority. Their ``p_holm`` is corrected
    for all rules and reward models at the same place (generator and n).
    """

    generator: str
    reward_model: str
    rule: str
    n: int | None
    accuracy: Fraction
    best_of_n: Fraction
    majority: Fraction
    over_best_of_n: Annotated[Difference, Columns(p_permutation="over_best_of_n_p", p_holm="over_best_of_n_p_holm")]
    over_majority: Annotated[Difference, Columns(p_permutation="over_majority_p", p_holm="over_majority_p_holm")]


def rule_table(evaluation: Evaluation) -> list[RuleRow]:
    """A row for each place, rule and reward model; none at n = 1, where nothing is chosen, and none without rules."""
    places = [(generator, n) for generator, n in all_places(evaluation.accuracies) if n != 1]
    return [row for generator, n in places for row in _rows_at(evaluation, generator, n)]


def _rows_at(evaluation: Evaluation, generator: str, n: int | None) -> list[RuleRow]:
    names, values = [], []
    for chooser in evaluation.rule_choosers:
        plain = chooser._replace(rule="best_of_n")
        of_rules = [at_place(evaluation.accuracies, generator, c, n) for c in (chooser, plain, MAJORITY)]
        present = [v for v in of_rules if v is not None]
        if len(present) == len(of_rules):
            names.append((generator, evaluation.methods[plain], chooser.rule, n))
            values.append(present)
    if not names:
        return []
    ours, best_of_n, votes = zip(*values, strict=True)
    bootstrap = evaluation.accuracies.bootstrap
    gains = corrected(compare(bootstrap, ours, best_of_n))
    over_votes = corrected(compare(bootstrap, ours, votes))
    rows = []
    for i, name in enumerate(names):
        own, best, majority = (Fraction(evaluation.accuracies.mean(v[i].mean)) for v in (ours, best_of_n, votes))
        rows.append(RuleRow(*name, own, best, majority, gains[i], over_votes[i]))
    return rows
