"""Several reward models as one: their scores, made comparable within a problem, are combined."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator
from scipy.stats import rankdata

from harness.core.arrays import Floats
from harness.core.components import RewardModel
from harness.core.errors import UserError
from harness.core.params import ComponentParams, Unkeyed
from harness.core.records import Solution, StepScores
from harness.core.terms import ScoreType


class EnsembleParams(ComponentParams):
    """Parameters of :class:`Ensemble`."""

    of: Annotated[tuple[str, ...], Field(min_length=2)] = Field(
        description="the names of the entries whose scores are combined"
    )
    scale: Literal["ranks", "z-scores", "scores"] = Field(
        "ranks",
        description="what is combined of the responses to a problem: their ranks under each reward model, its scores "
        "less their mean and over their standard deviation, or its scores as they are",
    )
    combine: Literal["mean", "min"] = Field(
        "mean", description="min: a response is as good as the reward model says that thinks least of it"
    )

    pessimism: Annotated[float, Unkeyed((0.0,))] = Field(
        0.0,
        description="combine: mean less so many standard deviations of what the members say: where they disagree, a "
        "response is worth less",
        ge=0,
    )

    @field_validator("of", mode="before")
    @classmethod
    def _names(cls, of: Any) -> Any:
        if not isinstance(of, list | tuple):
            raise ValueError("a list of names is expected, for instance [a, b]")
        return of

    @field_validator("of")
    @classmethod
    def _different(cls, of: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(of)) < len(of):
            raise ValueError("different entries are expected")
        return of

    @model_validator(mode="after")
    def _one_way(self) -> EnsembleParams:
        if self.pessimism and self.combine != "mean":
            raise ValueError("pessimism is taken off a mean: leave out combine: min")
        return self


class Ensemble(RewardModel[EnsembleParams]):
    """The mean, or the minimum, of what several reward models of the experiment say. No model is run.

    A score of a member is in the member's own aggregation. Ranks and z-scores are taken within a problem, among all of
    its responses that every member has scored, also where a table shows smaller n. A rank is (r - 1/2) / n, from 0 to
    1, the best response's being the highest; equal scores share the mean of their ranks. The z-scores of a member that
    tells no response from another are 0. The minimum of scores is worst-case optimisation, the mean less the members'
    spread uncertainty-weighted optimisation, with their standard deviation where the source has the variance (Coste et
    al. 2024, "Reward Model Ensembles Help Mitigate Overoptimization").
    """

    Params = EnsembleParams
    reward = "ORM"
    shares_process = True
    unscored_because = "a member of the ensemble gave no score"
    _SCORE_TYPES: ClassVar[dict[str, ScoreType]] = {"ranks": "probability", "z-scores": "unbounded"}

    def __init__(self, params: EnsembleParams, name: str = "") -> None:
        super().__init__(params, name)
        # The members' own type for plain scores, once they are seen.
        # Less a spread, ranks may be below 0.
        self.score_type = "unbounded" if params.pessimism else self._SCORE_TYPES.get(params.scale, "unbounded")

    @classmethod
    def members(cls, params: EnsembleParams) -> Sequence[str]:
        return params.of

    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        scored: list[StepScores] = []
        for _, solutions in groupby(batch, key=lambda s: s.problem.problem_id):
            scored += self._scored(list(solutions))
        return scored

    def _scored(self, solutions: list[Solution]) -> list[StepScores]:
        """The scores of all responses to one problem."""
        rows = [[s.scores[name].score for name in self.params.of] for s in solutions]
        complete = [i for i, row in enumerate(rows) if None not in row]
        scored = [self.unscored(solution) for solution in solutions]
        if self.params.scale == "scores":
            common = self._common_type(solutions)
            self.score_type = "unbounded" if self.params.pessimism and common == "probability" else common
        if not complete:
            return scored
        values = _scaled(np.array([rows[i] for i in complete], dtype=np.float64).T, self.params.scale)
        combined = values.mean(axis=0) if self.params.combine == "mean" else values.min(axis=0)
        if self.params.pessimism:
            combined = combined - self.params.pessimism * values.std(axis=0)
        for i, value in zip(complete, combined.tolist(), strict=True):
            response = solutions[i].response
            scored[i] = self.record(solutions[i], (value,), (len(response.text),), response.n_tokens)
        return scored

    def _common_type(self, solutions: Sequence[Solution]) -> ScoreType:
        """What the scores of all members are.

        Raises:
            UserError: where they are not of one type, so that they cannot be compared as they are.
        """
        types = {name: solutions[0].scores[name].score_type for name in self.params.of}
        if len(set(types.values())) > 1:
            each = ", ".join(f"those of {name} are {type_}" for name, type_ in types.items())
            raise UserError(f"scale: scores of one type are expected, and {each}: set scale: ranks or z-scores")
        return types[self.params.of[0]]


def _scaled(scores: Floats, scale: str) -> Floats:
    """From the scores of members [members, responses to one problem] to what is combined, of the same shape."""
    if scale == "scores":
        return scores
    if scale == "ranks":
        ranks: Any = rankdata(scores, axis=1)
        return np.asarray((ranks - 0.5) / scores.shape[1], dtype=np.float64)
    spread = scores.std(axis=1, keepdims=True)
    same = np.ptp(scores, axis=1, keepdims=True) == 0  # a mean is rounded, so their deviations from it need not be 0
    return np.where(same, 0.0, (scores - scores.mean(axis=1, keepdims=True)) / np.where(same, 1.0, spread))
