"""Training of generative verifiers that answer at once: GenRM without reasoning."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bonbench.reward_models.training.by_shards import Place
from bonbench.reward_models.training.chosen import Encoder
from bonbench.reward_models.training.data import Rollouts, describe, prepare, single
from bonbench.reward_models.training.held_out import about, split
from bonbench.reward_models.training.params import GenerativeTrainerParams, TrainingParams
from bonbench.reward_models.training.rollout_trainer import RolloutTrainer
from bonbench.reward_models.training.targets import ResponseTargets
from harness.core.errors import UserError
from harness.core.records import GradedSolution
from harness.core.trainer import TrainingFacts
from harness.core.verifications import check_template
from harness.core.workers import Launcher, Progress

if TYPE_CHECKING:
    from bonbench.reward_models.training.encode import Encode


class GenerativeTrainer(RolloutTrainer[GenerativeTrainerParams]):
    """Fits the first token of the reply to a question about the response: yes for a right one, no for a wrong one.

    The loss is -log p(answer) over the whole vocabulary, as in supervised fine-tuning, at this token alone (GenRM,
    Zhang et al. 2024, arXiv 2408.15240, section 3.2, without its joint training on solutions). The trained folder is a
    causal LM, and is scored as ``generative`` with ``readout: first-token``; as a generator it answers in one token.

    Raises:
        UserError: when the rollouts hold nothing to learn from, or both answers begin with the same token.
    """

    Params = GenerativeTrainerParams

    @classmethod
    def method(cls, params: GenerativeTrainerParams) -> str:
        return "GenRM"

    @classmethod
    def check(cls, params: GenerativeTrainerParams) -> None:
        """Raise :class:`UserError` for a template that cannot be used."""
        super().check(params)
        if params.answer_yes == params.answer_no:
            raise UserError(f"answer_no: {params.answer_no!r} is the answer yes too")
        check_template(params.text(), "response", params.place)

    @classmethod
    def reads(cls, params: GenerativeTrainerParams) -> float:
        return params.epochs

    @classmethod
    def rehearse(cls, params: GenerativeTrainerParams) -> None:
        from bonbench.reward_models.training.rehearsal import rehearse

        rehearse("verdict", params, _encoder(params))

    def train(
        self, data: Sequence[GradedSolution], output: Path, progress: Progress, launch: Launcher
    ) -> TrainingFacts:
        """Train on ``data`` and write the trained folder.

        Returns:
            What :func:`reward_models.training.fit.fit` and :func:`reward_models.training.data.describe` do.
        """
        return self.fitted("verdict", build_verdicts, data, output, progress, launch)


def build_verdicts(
    data: Sequence[GradedSolution], params: GenerativeTrainerParams, place: Place | None = None
) -> tuple[Rollouts, dict[str, object]]:
    """Rollouts in their questions, with the correctness of the response as target, and facts about them.

    Raises:
        UserError: when all responses are right, or all wrong.
    """
    prepared = prepare(data, params, _encoder(params), (), place)
    examples, apart = split(prepared, single(prepared, params, params.balance), params)
    rollouts = Rollouts(
        prepared.sequences, examples.rows, examples.units, ResponseTargets(prepared.correct), apart=apart
    )
    return rollouts, {**describe(prepared, examples), **about(prepared, apart)}


def _encoder(params: GenerativeTrainerParams) -> Encoder:
    """It holds the text of the question: workers may not have its file."""
    return partial(_as_questions, params.text(), params.place, params.system)


def _as_questions(text: str, place: str, system: str | None, params: TrainingParams) -> Encode:
    from bonbench.reward_models.generative.first_token import asked_about
    from bonbench.reward_models.training.encode import for_layout
    from harness.core.verifications import QuestionTemplate

    return for_layout(params.base, partial(asked_about, QuestionTemplate(text, place), system))
