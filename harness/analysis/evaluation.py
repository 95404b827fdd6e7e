"""One run evaluated: what every table, figure and page starts from, each part computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from harness.analysis.accuracy import Accuracies
from harness.analysis.benchmarks import Beside, beside_best_of_n
from harness.analysis.choosers import Chooser, first_aggregations
from harness.analysis.compute import Compute, compute
from harness.analysis.compute_accuracies import compute_accuracies
from harness.analysis.costs import reward_model_costs
from harness.analysis.diagnosis import Curves, DiagnosisRow, diagnosis, reliability_curves
from harness.analysis.overoptimisation import PeakRow, ScoreRow, peaks, score_curves
from harness.analysis.rule_entries import Entry, Rules
from harness.analysis.second_opinion import SecondOpinion
from harness.analysis.smaller_generator import SmallerRow, smaller_generators
from harness.analysis.trainings import TrainedAs, headline, trained_as
from harness.analysis.unscored import LeftOutRow, UnansweredRow, UnscoredRow, left_out, unanswered, unscored
from harness.analysis.verdicts import VerdictsRow, verdicts
from harness.storage.results import Results


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The stored results of a run and the accuracies computed from them, with what follows from both."""

    results: Results
    accuracies: Accuracies

    @classmethod
    def of(cls, results: Results, rules: Mapping[str, Entry] | None = None) -> Evaluation:
        """The evaluation of all generators and reward models at all sizes.

        Args:
            rules: selection rules (name -> entry) that the user asked for, beside those of the results.

        Raises:
            UserError: as :func:`harness.analysis.compute_accuracies.compute_accuracies`.
        """
        return cls(results, compute_accuracies(results, rules=Rules.of(results.manifest, rules)))

    @cached_property
    def choosers(self) -> Mapping[Chooser, str]:
        """The best-of-n choosers whose reward models have scores, with their labels, in the experiment's order.

        A label is the reward model's name; where the run has several aggregations, it names the aggregation too.
        """
        variants = self.results.variants()
        several = len({a for _, a in variants}) > 1 and len(variants) > len({m for m, _ in variants})
        return {
            chooser: f"{name} ({aggregation})" if several else name
            for name, aggregation in variants
            if (chooser := Chooser("best_of_n", name, aggregation)) in self._choosers_with_rows
        }

    @cached_property
    def methods(self) -> Mapping[Chooser, str]:
        """As :attr:`choosers`, but a method that was trained with several seeds is one chooser, the mean over them."""
        methods: dict[Chooser, str] = {}
        for chooser, label in self.choosers.items():
            method = self.method(chooser)
            methods.setdefault(method, label.replace(chooser.reward_model, method.reward_model, 1))
        return methods

    def method(self, chooser: Chooser) -> Chooser:
        """The mean over seeds that a chooser's reward model is a training of; any other chooser itself."""
        for name, trainings in self.accuracies.seeds.items():
            method = chooser._replace(reward_model=name)
            if chooser.reward_model in trainings.values() and method in self._choosers_with_rows:
                return method
        return chooser

    def entry(self, chooser: Chooser) -> str:
        """The reward model that a chooser asks; of several seeds the first."""
        return next(iter(self.accuracies.seeds.get(chooser.reward_model, {}).values()), chooser.reward_model)

    @cached_property
    def _choosers_with_rows(self) -> frozenset[Chooser]:
        return frozenset(key.chooser for key in self.accuracies.rows)

    @cached_property
    def rule_choosers(self) -> Mapping[Chooser, str]:
        """The same methods choosing by the rules beside the usual ones, with their labels; rule by rule."""
        return {
            by_rule: f"{label}, {rule}"
            for rule in self.accuracies.rules
            for chooser, label in self.methods.items()
            if (by_rule := chooser._replace(rule=rule)) in self._choosers_with_rows
        }

    @cached_property
    def trainings(self) -> Mapping[str, TrainedAs]:
        """Reward model → what it was trained as, in the experiment's order."""
        return trained_as(self.results)

    @cached_property
    def first_choosers(self) -> Mapping[str, Chooser]:
        """Reward model → its best-of-n chooser in its default aggregation."""
        return first_aggregations(self.choosers)

    @cached_property
    def headline(self) -> tuple[TrainedAs, ...]:
        """One reward model of each method: the one that was trained on most."""
        return tuple(headline(self.trainings.values()))

    @cached_property
    def unscored(self) -> list[UnscoredRow]:
        """The responses without a score; no rows where every response has one."""
        return unscored(self.results)

    @cached_property
    def verdicts(self) -> list[VerdictsRow]:
        """How many verdicts of generative reward models could be read; no rows without such reward models."""
        return verdicts(self.results)

    @cached_property
    def left_out(self) -> list[LeftOutRow]:
        """The reward models that nothing can be computed of; no rows where there is none."""
        return left_out(self.accuracies)

    @cached_property
    def second_opinion(self) -> SecondOpinion | None:
        """The second verifier's grades beside the first's; None where there is no second verifier."""
        return SecondOpinion.of(self.results, self.accuracies)

    @cached_property
    def unanswered(self) -> list[UnansweredRow]:
        """The problems without responses; no rows where every problem has them."""
        return unanswered(self.results)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """The cost of each reward model by item (see :func:`harness.analysis.costs.reward_model_costs`)."""
        return reward_model_costs(self.results)

    @cached_property
    def compute(self) -> Compute:
        """What every choice takes in FLOPs and seconds, and how often it is right."""
        return compute(self.results, self.accuracies, self.choosers)

    @cached_property
    def smaller_generators(self) -> list[SmallerRow]:
        """Each smaller generator with n responses against each larger one's single response."""
        return smaller_generators(self.compute, self.accuracies.bootstrap)

    @cached_property
    def reliability(self) -> Curves:
        """The reliability curves of the reward models whose scores are probabilities."""
        return reliability_curves(self.results, self.accuracies, self.choosers)

    @cached_property
    def diagnosis(self) -> list[DiagnosisRow]:
        """How each reward model's scores of each generator's responses are ordered."""
        return diagnosis(self.results, self.accuracies, self.choosers, self.reliability)

    @cached_property
    def peaks(self) -> list[PeakRow]:
        """At which n each reward model chooses best, and how it chooses among all responses."""
        return peaks(self.accuracies, self.choosers)

    @cached_property
    def score_curves(self) -> list[ScoreRow]:
        """Expected score and accuracy of what each reward model chooses, against n."""
        return score_curves(self.accuracies, self.choosers)

    @cached_property
    def benchmarks(self) -> Beside:
        """What published benchmarks say of the reward models, beside best-of-N; no rows without any."""
        seed = self.results.manifest.seed
        return beside_best_of_n(self.results.folder, self.accuracies, self.first_choosers, seed)
