"""Training of outcome reward models with a value head: the controls of the implicit ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bonbench.reward_models.training.params import PAIRED, OutcomeTrainerParams
from bonbench.reward_models.training.rollout_trainer import RolloutTrainer, share_in_pairs
from harness.core.errors import UserError
from harness.core.records import GradedSolution
from harness.core.trainer import TrainingFacts
from harness.core.workers import Launcher, Progress


class OutcomeTrainer(RolloutTrainer[OutcomeTrainerParams]):
    """Puts a head with one output on the base model and fits what it makes of the last token to correctness.

    ``bce`` is the cross-entropy of its sigmoid against correctness, ``bradley-terry`` that of the difference between
    two outputs against which of the two responses is correct. The trained folder is any
    `AutoModelForSequenceClassification` with one label, and is scored as ``sequence-classifier``: the chat template
    around problem and response, the end of the assistant's turn included, read at the very last token.

    Raises:
        UserError: when the rollouts hold nothing to learn from.
    """

    Params = OutcomeTrainerParams
    puts_in_turns = True
    output_head = False

    @classmethod
    def method(cls, params: OutcomeTrainerParams) -> str:
        return {"bce": "ORM", "bradley-terry": "ORM, Bradley-Terry"}[params.objective]

    @classmethod
    def check(cls, params: OutcomeTrainerParams) -> None:
        """Raise :class:`UserError` for pairs of one response."""
        super().check(params)
        if params.objective in PAIRED and params.responses < 2:
            raise UserError(f"responses: {params.objective} needs at least 2 responses per problem to make a pair")

    @classmethod
    def reads(cls, params: OutcomeTrainerParams) -> float:
        return params.epochs * (share_in_pairs(params.responses) if params.objective in PAIRED else 1)

    @classmethod
    def rehearse(cls, params: OutcomeTrainerParams) -> None:
        from bonbench.reward_models.training.rehearsal import rehearse
        from bonbench.reward_models.training.responses import as_chats

        rehearse("outcome", params, as_chats)

    def train(
        self, data: Sequence[GradedSolution], output: Path, progress: Progress, launch: Launcher
    ) -> TrainingFacts:
        """Train on ``data`` and write the trained folder.

        Returns:
            What :func:`reward_models.training.fit.fit` and :func:`reward_models.training.data.describe` do.
        """
        from bonbench.reward_models.training.responses import build_outcomes

        return self.fitted("outcome", build_outcomes, data, output, progress, launch)
