"""BonBench: best-of-N evaluation and benchmarking of reward models.

This is the façade that adapters import from: ``from harness import RewardModel, StepScores, step_ends``.
"""

from harness.core.components import Dataset, Generator, ModelFacts, RewardModel, TokenScorer, Verifier
from harness.core.errors import Unavailable, UserError
from harness.core.hub_models import pretrained
from harness.core.params import ComponentParams, DataPath, ModelPath, ReadsParams, Runtime, StepsParams
from harness.core.records import (
    Grade,
    GradedSolution,
    MemberScore,
    Problem,
    Response,
    Sampling,
    Solution,
    StepLabels,
    StepScores,
    TokenLogprobs,
    Verification,
)
from harness.core.registry import register
from harness.core.rollouts import RolloutShard, RolloutShards
from harness.core.selection_rules import SelectionRule
from harness.core.splitters import StepSplitter
from harness.core.steps import step_ends, step_of_token, step_spans
from harness.core.trainer import Trainer, TrainerParams, TrainingFacts
from harness.core.verifications import Verifications
from harness.core.workers import Launcher, Progress, Workers

__all__ = [
    "ComponentParams",
    "DataPath",
    "Dataset",
    "Generator",
    "Grade",
    "GradedSolution",
    "Launcher",
    "MemberScore",
    "ModelFacts",
    "ModelPath",
    "Problem",
    "Progress",
    "ReadsParams",
    "Response",
    "RewardModel",
    "RolloutShard",
    "RolloutShards",
    "Runtime",
    "Sampling",
    "SelectionRule",
    "Solution",
    "StepLabels",
    "StepScores",
    "StepSplitter",
    "StepsParams",
    "TokenLogprobs",
    "TokenScorer",
    "Trainer",
    "TrainerParams",
    "TrainingFacts",
    "Unavailable",
    "UserError",
    "Verification",
    "Verifications",
    "Verifier",
    "Workers",
    "pretrained",
    "register",
    "step_ends",
    "step_of_token",
    "step_spans",
]
