"""The problem sets of a run: which problems are of which set, and how means over several sets are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from harness.analysis.inference import Bootstrap
from harness.core.arrays import Bools
from harness.storage.manifest import EvaluationFacts
from harness.storage.results import Results


@dataclass(frozen=True, eq=False)
class ProblemSet:
    """A set of problems. ``members`` are its problems among all of the run's, bool [P].

    ``bootstrap`` draws from these alone: what is said of the set is what a run of this set alone would say.
    """

    name: str
    members: Bools
    seed: int
    evaluation: EvaluationFacts

    @cached_property
    def bootstrap(self) -> Bootstrap:
        return Bootstrap(int(self.members.sum()), self.evaluation.bootstrap, self.seed, self.evaluation.interval)


def problem_sets(results: Results) -> tuple[ProblemSet, ...]:
    """The sets of a run, in its order."""
    of_set = results.problems["set"].to_numpy()
    manifest = results.manifest
    names = manifest.problem_sets
    return tuple(ProblemSet(name, of_set == name, manifest.seed, manifest.evaluation) for name in names)


def over_sets(results: Results) -> Bootstrap:
    """The draws of means over all sets of a run."""
    evaluation, problems = results.manifest.evaluation, results.problems
    strata, _ = pd.factorize(problems["set"])
    return Bootstrap(len(problems), evaluation.bootstrap, results.manifest.seed, evaluation.interval, strata)


def in_every_set(sets: Sequence[ProblemSet], has_values: Bools) -> bool:
    """Whether there is a value, bool [P], in each of the sets."""
    return all(has_values[one.members].any() for one in sets)
