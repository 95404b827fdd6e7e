"""Reward models that are arithmetic on token passes: how they ask for these, and what becomes of a long response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from bonbench.reward_models.text.limits import unread
from bonbench.reward_models.vllm.params import BackendParams
from harness.core.components import RewardModel
from harness.core.params import PassOf, ReadsParams, TooLong
from harness.core.prompt import Asked, asks
from harness.core.records import Solution, StepScores


class PassParams(BackendParams, Asked, ReadsParams):
    """Their parameters. ``backend`` and what belongs to it are those of the models of the passes."""

    too_long: TooLong = "skip"


P = TypeVar("P", bound=PassParams)


class PassRewardModel(RewardModel[P]):
    """Base of the reward models that run no model of their own and read token passes."""

    shares_process = True

    @classmethod
    def passes(cls, params: P, models: Mapping[str, str], **more: Any) -> Mapping[str, PassOf]:
        """The token passes of ``models`` (role -> model), asked for as the parameters say, and with ``more``."""
        if params.too_long == "truncate":
            more["too_long"] = params.too_long
        more |= asks(params)
        if params.backend == "vllm":
            more |= {"type": "vllm", **params.of_engine()}
        return {role: {"model": model, **more} if more else model for role, model in models.items()}

    def unscored(self, solution: Solution) -> StepScores:
        """The record of a solution that has no score.

        Raises:
            UserError: where it is too long, and ``too_long`` makes an error of it.
        """
        if self.params.too_long == "error" and (error := unread(solution)) is not None:
            raise error
        return super().unscored(solution)
