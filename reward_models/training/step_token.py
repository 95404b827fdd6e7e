"""Training of process reward models that answer each step with one of two tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bonbench.reward_models.training.params import StepTokenTrainerParams
from bonbench.reward_models.training.rollout_trainer import RolloutTrainer
from harness.core.records import GradedSolution
from harness.core.trainer import TrainingFacts
from harness.core.workers import Launcher, Progress


class StepTokenTrainer(RolloutTrainer[StepTokenTrainerParams]):
    """Math-Shepherd's process reward model (Wang et al. 2023, arXiv 2312.08935).

    It fits the next-token probabilities of "+" and "-" at the last token of each step to the step's label.

    The loss is cross-entropy over these two tokens alone, and every step of a batch counts the same. The response is
    fed as it is, without tags: the answers are only ever predicted, so any tokenizer will do that has "+" and "-" as
    one token each. The trained folder is a causal LM, and is scored as ``step-token`` by its convention ``step-end``.

    Raises:
        UserError: when the rollouts hold nothing to learn from, or the tokenizer splits an answer.
    """

    Params = StepTokenTrainerParams

    @classmethod
    def method(cls, params: StepTokenTrainerParams) -> str:
        return "Math-Shepherd" + params.how_labelled()

    @classmethod
    def check(cls, params: StepTokenTrainerParams) -> None:
        super().check(params)
        params.check_labels()

    @classmethod
    def completions(cls, params: StepTokenTrainerParams) -> Sequence[int]:
        return params.rounds()

    @classmethod
    def reads(cls, params: StepTokenTrainerParams) -> float:
        return params.epochs

    @classmethod
    def rehearse(cls, params: StepTokenTrainerParams) -> None:
        from bonbench.reward_models.training.labelled_steps import at_step_ends
        from bonbench.reward_models.training.rehearsal import rehearse

        rehearse("step-token", params, at_step_ends)

    def train(
        self, data: Sequence[GradedSolution], output: Path, progress: Progress, launch: Launcher
    ) -> TrainingFacts:
        """Train on ``data``, whose steps are labelled, and write the trained folder.

        Returns:
            What :func:`reward_models.training.fit.fit` and :func:`reward_models.training.data.describe` do, and
            ``n_steps`` and ``n_good_steps`` trained on (``n_good_steps`` is a sum of probabilities if they are soft).
        """
        from bonbench.reward_models.training.labelled_steps import build_steps

        return self.fitted("step-token", build_steps, data, output, progress, launch)
