"""Where base classes and look-up were before 0.2: adapters written then go on working.

New ones say ``from harness import RewardModel, register, ...``.
"""

from harness.core.components import Component, Dataset, Generator, RewardModel, TokenScorer, Verifier
from harness.core.errors import Unavailable, UserError, suggest
from harness.core.params import ComponentParams, DataPath, ModelPath, PassOf, Runtime
from harness.core.registry import BASES, available, find, register, source_digest
from harness.core.terms import Kind, ScoreType
from harness.core.trainer import Trainer

__all__ = [
    "BASES",
    "Component",
    "ComponentParams",
    "DataPath",
    "Dataset",
    "Generator",
    "Kind",
    "ModelPath",
    "PassOf",
    "RewardModel",
    "Runtime",
    "ScoreType",
    "TokenScorer",
    "Trainer",
    "Unavailable",
    "UserError",
    "Verifier",
    "available",
    "find",
    "register",
    "source_digest",
    "suggest",
]
