"""The graded samples of a generator, as arrays over problems and samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from harness.core.arrays import Bools, Ints
from harness.storage.results import Results


@dataclass(frozen=True)
class Samples:
    """A generator's graded samples, row by problem. Problems whose samples are not all there are not ``complete``.

    A problem that the generator left ``unanswered`` (its prompt was too long, say) is complete: all its samples are
    wrong, and have no answer.
    """

    correct: Bools  # [P, N]
    classes: Ints  # [P, N]
    complete: Bools  # [P]
    unanswered: Bools  # [P]

    def of(self, problems: slice) -> Samples:
        """Those to some of the problems."""
        own = self.classes[problems]
        return Samples(self.correct[problems], own, self.complete[problems], self.unanswered[problems])


def graded_samples(results: Results, generator: str) -> Samples:
    """The samples of a generator: N is the most that a problem has."""
    rows = results.graded(generator, ["problem_id", "sample", "correct", "answer_class"])
    n_samples = 1 + max(pc.max(table.column("sample")).as_py() for table in rows if len(table))
    n_problems = len(results.problems)
    correct = np.zeros((n_problems, n_samples), dtype=bool)
    classes = np.full((n_problems, n_samples), -1, dtype=np.int64)
    graded = np.zeros((n_problems, n_samples), dtype=bool)
    for table in rows:
        places = rows.index.numbers(table)
        of_sample, of_correct, of_class = (
            table.column(name).to_numpy()[places >= 0] for name in ("sample", "correct", "answer_class")
        )
        at = places[places >= 0], of_sample
        correct[at], classes[at], graded[at] = of_correct, of_class, True
    unanswered = np.isin(np.array(results.problems["problem_id"].tolist()), list(results.unanswered(generator)))
    return Samples(correct, classes, graded.all(axis=1) | unanswered, unanswered)
