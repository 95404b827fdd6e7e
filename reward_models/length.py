"""A control: the longer a response, the better. A reward model that does no better than this has learned little."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.components import RewardModel
from harness.core.params import ReadsParams
from harness.core.records import Solution, StepScores


class Length(RewardModel[ReadsParams]):
    """The number of characters of the response, or of the part of it that is read."""

    Params = ReadsParams
    reward = "ORM"
    shares_process = True
    coefficient = 0.001  # of a sigmoid that would otherwise be 1 for every response

    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        lengths = [len(solution.response.text) for solution in batch]
        return [self.record(s, (float(n),), (n,), s.response.n_tokens) for s, n in zip(batch, lengths, strict=True)]
