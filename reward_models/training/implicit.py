"""Training of implicit process reward models from rollouts labelled right or wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bonbench.reward_models.training.params import PAIRED, ImplicitTrainerParams, StepLabelParams, TrainingParams
from bonbench.reward_models.training.rollout_trainer import RolloutTrainer, share_in_pairs
from harness.core.errors import UserError
from harness.core.params import PassOf
from harness.core.prompt import asks
from harness.core.records import GradedSolution
from harness.core.trainer import TrainingFacts
from harness.core.workers import Launcher, Progress

_ABOUT_LABELS = set(StepLabelParams.model_fields) - set(TrainingParams.model_fields)


class ImplicitTrainer(RolloutTrainer[ImplicitTrainerParams]):
    """Fits z = beta * log pi/pi_ref of whole responses to their correctness, by one of four objectives.

    At ``level: step`` it fits z of each step, beta times the sum over the step's tokens, to the step's label, and every
    step of a batch counts the same. From the model of an earlier training as ``base`` that is the paper's second stage.

    Runs the `transformers` Trainer in its workers. The reference's log-probabilities come with the data, so only the
    policy is in memory (kto has the reference read mismatched responses first). The same data are read in the same
    order with the same seeds. On CPUs of one kind that gives the same weights, bit for bit, in the same number of
    workers; in another number, to rounding. On GPUs it does not, as the backward pass of attention adds in any order.

    Raises:
        UserError: when the rollouts hold nothing to learn from.
    """

    Params = ImplicitTrainerParams
    revision = 2

    @classmethod
    def method(cls, params: ImplicitTrainerParams) -> str:
        alone = ", trained without reference" if params.reference is None else ""
        if params.level == "step":
            return f"step {params.objective.upper()}{params.how_labelled()}{alone}"
        balance = "" if params.balance == "none" else f", balanced by {params.balance}"
        return params.objective.upper() + balance + alone

    @classmethod
    def check(cls, params: ImplicitTrainerParams) -> None:
        """Raise :class:`UserError` for settings that an objective or a level has no use for."""
        super().check(params)
        if params.objective in PAIRED and params.responses < 2:
            raise UserError(f"responses: {params.objective} needs at least 2 responses per problem to make a pair")
        if params.objective in PAIRED and params.balance != "none":
            raise UserError(
                f"balance: {params.objective} learns from pairs, which are balanced: remove it, or use kto or ce"
            )
        if params.level == "step" and params.objective in PAIRED:
            raise UserError(
                f"level: step needs the objective kto or ce; {params.objective} learns from pairs of responses"
            )
        if params.level == "step" and params.balance != "none":
            raise UserError("balance: it drops whole responses, so it needs level: response")
        if params.level == "response" and (unused := _ABOUT_LABELS & params.model_fields_set):
            raise UserError(f"{min(unused)}: only level: step learns from step labels: remove it, or set level: step")
        params.check_labels()

    @classmethod
    def with_base(cls, entry: dict[str, Any], training: Any) -> dict[str, Any]:
        """The earlier training's reference, unless the entry says otherwise."""
        return {"reference": training.reference, **entry} if isinstance(training, ImplicitTrainerParams) else entry

    @classmethod
    def completions(cls, params: ImplicitTrainerParams) -> Sequence[int]:
        return params.rounds() if params.level == "step" else ()

    @classmethod
    def token_passes(cls, params: ImplicitTrainerParams) -> Mapping[str, PassOf]:
        if params.reference is None:
            return {}
        asked = asks(params)
        return {"reference": {"model": params.reference, **asked} if asked else params.reference}

    @classmethod
    def reads(cls, params: ImplicitTrainerParams) -> float:
        if params.objective in PAIRED:
            return params.epochs * share_in_pairs(params.responses)
        if params.objective == "kto":
            # Forwards of mismatched responses, a third of the cost: once by the reference, every epoch by the policy.
            return params.epochs + (params.epochs + 1) / 3
        return params.epochs

    @classmethod
    def rehearse(cls, params: ImplicitTrainerParams) -> None:
        from bonbench.reward_models.training.rehearsal import rehearse
        from bonbench.reward_models.training.responses import for_their_likelihood

        rehearse("implicit", params, for_their_likelihood)
        if params.reference not in (None, params.base):
            as_base = params.model_copy(update={"base": params.reference, "lora": None})
            rehearse("implicit", as_base, for_their_likelihood)

    def train(
        self, data: Sequence[GradedSolution], output: Path, progress: Progress, launch: Launcher
    ) -> TrainingFacts:
        """Train on ``data`` and write the trained folder.

        Returns:
            What :func:`reward_models.training.fit.fit` and :func:`reward_models.training.data.describe` do.
        """
        from bonbench.reward_models.training.responses import build_rollouts

        return self.fitted("implicit", build_rollouts, data, output, progress, launch)
