"""Where records were before 0.2: adapters written then go on working. New ones import them from ``harness``."""

from harness.core.records import (
    Grade,
    GradedSolution,
    Problem,
    Response,
    Sampling,
    Solution,
    StepLabels,
    StepScores,
    TokenLogprobs,
)

__all__ = [
    "Grade",
    "GradedSolution",
    "Problem",
    "Response",
    "Sampling",
    "Solution",
    "StepLabels",
    "StepScores",
    "TokenLogprobs",
]
