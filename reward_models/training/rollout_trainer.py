"""What the trainers here have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bonbench.reward_models.training.by_shards import Place
from bonbench.reward_models.training.fit import fit
from bonbench.reward_models.training.integrations import check_integrations
from bonbench.reward_models.training.job import Job, absolute
from bonbench.reward_models.training.params import PAIRED, StepLabelParams, TrainingParams
from harness.core.records import GradedSolution
from harness.core.trainer import Effort, Trainer, TrainingFacts
from harness.core.workers import Launcher, Progress

if TYPE_CHECKING:
    from bonbench.reward_models.training.data import Rollouts

P = TypeVar("P", bound=TrainingParams)

#: From graded rollouts, the parameters of a training and a place for what is encoded to what is learnt from, and facts.
Build = Callable[[Sequence[GradedSolution], P, Place], "tuple[Rollouts, dict[str, Any]]"]

#: What padding, and waiting for the slowest worker, add to the time of pairs: as ``benchmarks/pairs.py`` counts it for
#: eight workers with fsdp. A batch of pairs has few rollouts.
UNEVEN_PAIRS = 0.18


class RolloutTrainer(Trainer[P]):
    """Base of the trainers here: what follows from their common parameters."""

    shares_process = True

    @classmethod
    def check(cls, params: P) -> None:
        check_integrations(params.report_to)

    @classmethod
    def problems(cls, params: P, problem_ids: Sequence[str]) -> Collection[str]:
        return params.learnt_from(problem_ids)

    @classmethod
    def check_grades(cls, params: P, correct: Mapping[str, Sequence[bool]]) -> None:
        """Raise :class:`UserError` for rollouts that have no example, or none that is kept apart where some should be.

        Later some may turn out to be too long, or near-duplicates: then the training itself refuses.
        """
        from bonbench.reward_models.training.data import check_right_and_wrong
        from bonbench.reward_models.training.held_out import check_apart

        learnt = {id_: correct[id_] for id_ in params.learnt_from(correct)}
        mixed = [id_ for id_, right in learnt.items() if len(set(right)) == 2]
        problems = [*learnt]
        if not cls.completions(params):  # else steps are learnt from, and completions will say of what kind they are
            paired = getattr(params, "objective", "") in PAIRED
            check_right_and_wrong([*learnt.values()], paired, params)
            problems = mixed if paired else problems
        if params.validation:
            apart = params.kept_apart(correct)
            check_apart([id_ in apart for id_ in problems], "problems")

    @classmethod
    def effort(cls, params: P) -> Effort:
        in_pairs = getattr(params, "objective", "") in PAIRED
        return Effort(
            recomputes=params.gradient_checkpointing,
            frozen=params.lora is not None,
            sharded=params.fsdp,
            waiting=UNEVEN_PAIRS if in_pairs else 0.0,
            checkpoint_minutes=params.checkpoint_minutes,
        )

    @classmethod
    def labelled(cls, params: P, problem_ids: Sequence[str]) -> Collection[str]:
        return params.labelled(problem_ids) if isinstance(params, StepLabelParams) else problem_ids

    @classmethod
    def reads_per_rollout(cls, params: P) -> float:
        return params.passes(cls.reads(params))

    def fitted(
        self,
        loss: str,
        build: Build[P],
        data: Sequence[GradedSolution],
        output: Path,
        progress: Progress,
        launch: Launcher,
    ) -> TrainingFacts:
        """Fit a model to what ``build`` makes of graded rollouts, and write it to ``output``.

        Args:
            loss: a name of :data:`reward_models.training.model_losses.MODEL_LOSSES`.
            build: from rollouts, parameters and a place for what is encoded to rollouts as they are learnt from, and
                facts about them.

        Returns:
            What :func:`reward_models.training.fit.fit` does, and the facts.
        """
        models = {name: getattr(self.params, name, None) for name in ("base", "reference")}
        params = self.params.model_copy(update={name: absolute(model) for name, model in models.items() if model})
        with Place.within(output, progress, launch) as place:
            rollouts, facts = build(data, params, place)
            job = Job(loss, params, rollouts, params.base, output.resolve(), self.name)
            return fit(job, progress, launch).saying(facts)

    @classmethod
    @abstractmethod
    def reads(cls, params: P) -> float:
        """As :meth:`reads_per_rollout`, of a training of all weights on all problems."""


def share_in_pairs(responses: int) -> float:
    """The expected share of rollouts that are in a pair at all, if problems are of every difficulty alike.

    A problem is solved with a probability p that is uniform over problems. Its rollouts are in no pair if all are right
    or all are wrong: E[p^k + (1 - p)^k] = 2 / (k + 1) of k rollouts. A rollout goes through the model once per batch,
    whatever number of pairs it is in and however many workers and micro-batches there are, and a problem's pairs share
    a batch; so this is also how often it is read in an epoch. (The pairs with which a batch is full may be one
    problem's, of which the next batch reads the rollouts again: not counted here, and in the ledger it is.)
    """
    return 1 - 2 / (responses + 1)
