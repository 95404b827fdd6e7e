"""Reward-model scores that came with the responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.recorded import RecordedProblem, RecordedSample, read_recorded
from harness.records import Solution, StepScores
from harness.registry import ComponentParams, DataPath, RewardModel, UserError, suggest


class RecordedParams(ComponentParams):
    """Parameters of :class:`RecordedScores`: a file as :mod:`harness.recorded` describes, and the reward model
    whose scores to take; without it, an entry stands for all the file has (none, maybe), each under its own name."""

    path: DataPath
    model: str | None = None


class RecordedScores(RewardModel[RecordedParams]):
    """The score of a response is what the file recorded for the response with the same number.

    Scores are probabilities where all of the reward model's values in the file lie in [0, 1]. A response's
    score is the lowest of its steps'. Outcome reward models recorded on every prefix want
    ``aggregation: last``. Problems and responses must be those of the same file, replayed.
    """

    Params = RecordedParams

    def __init__(self, params: RecordedParams, name: str = "") -> None:
        super().__init__(params, name)
        problems = read_recorded(params.path)
        self.model = _only_model(params, problems)
        self.samples = {problem.problem.problem_id: problem.samples for problem in problems}
        values = [
            score
            for problem in problems
            for sample in problem.samples
            for score in (sample.step_scores or {}).get(self.model, ())
        ]
        self.score_type = "probability" if all(0 <= value <= 1 for value in values) else "unbounded"

    @classmethod
    def check(cls, params: RecordedParams) -> None:
        problems = read_recorded(params.path)
        model = _only_model(params, problems)
        for problem in problems:
            for index, sample in enumerate(problem.samples):
                if model not in (sample.step_scores or {}):
                    raise UserError(
                        f"{params.path}: sample {index} of problem {problem.problem.problem_id!r} has no "
                        f"step_scores of {model}"
                    )

    @classmethod
    def expand(cls, entry: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
        if entry.get("model") is not None or "path" not in entry:
            return None
        return {model: {**entry, "model": model} for model in _models(read_recorded(entry["path"]))}

    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        return [self._scored(solution) for solution in batch]

    def _scored(self, solution: Solution) -> StepScores:
        response = solution.response
        samples = self.samples.get(response.problem_id, ())
        if response.sample >= len(samples) or samples[response.sample].text != response.text:
            raise UserError(
                f"{self.params.path} did not record sample {response.sample} of problem {response.problem_id!r}: "
                "recorded scores go with responses replayed from the same file"
            )
        sample = samples[response.sample]
        rewards = (sample.step_scores or {})[self.model]
        return StepScores(
            problem_id=response.problem_id,
            generator=response.generator,
            sample=response.sample,
            reward_model=self.name,
            step_rewards=rewards,
            step_ends=_ends(sample, len(rewards)),
            n_tokens=sample.n_tokens,
        )


def _ends(sample: RecordedSample, n_rewards: int) -> tuple[int, ...] | None:
    ends = sample.step_ends
    if ends is not None and len(ends) == n_rewards:
        return ends
    # One reward for several steps is a reward of the whole response.
    return (len(sample.text),) if n_rewards == 1 else None


def _models(problems: Sequence[RecordedProblem]) -> list[str]:
    return sorted({model for p in problems for sample in p.samples for model in sample.step_scores or {}})


def _only_model(params: RecordedParams, problems: Sequence[RecordedProblem]) -> str:
    names = _models(problems)
    if not names:
        raise UserError(f"{params.path} has no step_scores")
    if params.model is None and len(names) > 1:
        raise UserError(f"{params.path} has scores of {', '.join(names)}: say which with `model`")
    if params.model is not None and params.model not in names:
        raise UserError(f"{params.path} has no scores of {params.model!r}{suggest(params.model, names)}")
    return names[0] if params.model is None else params.model
