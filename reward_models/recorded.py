"""Reward-model scores that came with the responses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from harness.core.components import RewardModel
from harness.core.errors import UserError, suggest
from harness.core.params import ComponentParams, DataPath
from harness.core.records import Solution, StepScores
from harness.data.export_facts import score_column
from harness.data.response_files import RecordedFile, RecordedSample, open_recorded


class RecordedParams(ComponentParams):
    """Parameters of :class:`RecordedScores`."""

    path: DataPath = Field(
        description="a file of recorded responses with step_scores, or a folder of `bonbench export` "
        "(docs/recorded-responses.md)"
    )
    model: str | None = Field(
        None,
        description="whose scores to take; null: the entry stands for every model in the file, each under its own name",
    )


class RecordedScores(RewardModel[RecordedParams]):
    """The score of a response is what the file recorded for the response with the same number.

    Scores are probabilities where all of the reward model's values in the file lie in [0, 1]. A response's
    score is the lowest of its steps'. Outcome reward models recorded on every prefix want
    ``aggregation: last``. Problems and responses must be those of the same file, replayed. A folder of
    ``bonbench export`` says itself what the numbers mean; a response that has no score there has none here.
    """

    Params = RecordedParams
    shares_process = True

    def __init__(self, params: RecordedParams, name: str = "") -> None:
        super().__init__(params, name)
        self._recorded = open_recorded(params.path)
        if isinstance(self._recorded, RecordedFile):
            self.model = _only_model(params, sorted(self._recorded.scores))
            scores = self._recorded.scores[self.model]
            self.score_type = "probability" if scores.low >= 0 and scores.high <= 1 else "unbounded"
            return
        self.model = _only_model(params, list(self._recorded.facts.reward_models))
        facts = self._recorded.facts.reward_models[self.model]
        self.reward, self.score_type = facts.reward, facts.score_type  # type: ignore[misc]
        self.aggregation, self.coefficient, self.reads = facts.aggregation, facts.coefficient, facts.reads
        self.unscored_because = "; ".join(facts.unscored) or self.unscored_because

    @classmethod
    def check(cls, params: RecordedParams) -> None:
        """Raise :class:`UserError` where the file does not have the model's scores of every response."""
        recorded = open_recorded(params.path)
        if isinstance(recorded, RecordedFile):
            model = _only_model(params, sorted(recorded.scores))
            if lacking := recorded.scores[model].lacking:
                raise UserError(f"{params.path}: {lacking} has no step_scores of {model}")
            return
        model = _only_model(params, list(recorded.facts.reward_models))
        if n := recorded.facts.reward_models[model].lacking:
            raise UserError(f"{params.path}: {n} responses have no scores of {model}, as the export says")

    @classmethod
    def expand(cls, entry: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
        if entry.get("model") is not None or "path" not in entry:
            return None
        recorded = open_recorded(entry["path"])
        models = sorted(recorded.scores) if isinstance(recorded, RecordedFile) else recorded.facts.compared
        return {model: {**entry, "model": model} for model in models}

    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        if not isinstance(self._recorded, RecordedFile):
            return [self._exported(solution) for solution in batch]
        problems = {solution.problem.problem_id: solution.problem for solution in batch}
        samples = {problem_id: self._recorded.samples(problem) for problem_id, problem in problems.items()}
        return [self._scored(solution, samples[solution.problem.problem_id]) for solution in batch]

    def _scored(self, solution: Solution, samples: Sequence[RecordedSample]) -> StepScores:
        response = solution.response
        if response.sample >= len(samples) or samples[response.sample].text != response.text:
            raise UserError(
                f"{self.params.path} did not record sample {response.sample} of problem {response.problem_id!r}: "
                "recorded scores go with responses replayed from the same file"
            )
        sample = samples[response.sample]
        rewards = (sample.step_scores or {})[self.model]
        for value in rewards:
            if not math.isfinite(value):
                raise UserError(
                    f"{self.params.path}: step_scores.{self.model} of sample {response.sample} of problem "
                    f"{response.problem_id!r} has {value}, which is not a finite number"
                )
        return self.record(solution, rewards, _ends(sample, len(rewards)), sample.n_tokens)

    def _exported(self, solution: Solution) -> StepScores:
        assert not isinstance(self._recorded, RecordedFile)
        columns = {name: score_column(self.model, name) for name in ("step_rewards", "step_ends", "n_tokens")}
        row = self._recorded.about(solution.problem, solution.response, list(columns.values()))
        rewards, ends, n_tokens = (row[column] for column in columns.values())
        if rewards is None:
            response = solution.response
            raise UserError(
                f"{self.params.path}: sample {response.sample} of problem {response.problem_id!r} has no scores of "
                f"{self.model}"
            )
        return self.record(solution, rewards, ends, n_tokens or 0)


def _ends(sample: RecordedSample, n_rewards: int) -> tuple[int, ...] | None:
    ends = sample.step_ends
    if ends is not None and len(ends) == n_rewards:
        return ends
    # One reward for several steps is a reward of the whole response.
    return (len(sample.text),) if n_rewards == 1 else None


def _only_model(params: RecordedParams, names: Sequence[str]) -> str:
    if not names:
        raise UserError(f"{params.path} has no step_scores")
    if params.model is None and len(names) > 1:
        raise UserError(f"{params.path} has scores of {', '.join(names)}: say which with `model`")
    if params.model is not None and params.model not in names:
        raise UserError(f"{params.path} has no scores of {params.model!r}{suggest(params.model, names)}")
    return names[0] if params.model is None else params.model
