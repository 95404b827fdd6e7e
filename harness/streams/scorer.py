"""A reward model that scores in this process, without an experiment: the model, and what it reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from harness.core.aggregation import aggregate
from harness.core.components import Generator, RewardModel, TokenScorer, not_finite
from harness.core.errors import NotFinite, Unreadable, UserError
from harness.core.records import Problem, Response, Solution, StepScores
from harness.core.seeds import response_seed
from harness.core.verifications import Verifications
from harness.experiment.entries import build, parse_spec, token_scorer_entry
from harness.experiment.model_files import Artifacts, loadable
from harness.experiment.spec import Spec
from harness.experiment.verifying import verifying_generator
from harness.storage.keys import digest


class Scored(NamedTuple):
    """The scores of a response, where it has none, why, and what became of the replies about it
    (:meth:`harness.core.components.RewardModel.verdicts`)."""

    scores: StepScores
    unscored_because: str
    verdicts: Mapping[str, int]


@dataclass(frozen=True)
class Ingredients:
    """A reward model with the models that write or compute what it reads. Nothing is loaded.

    Attributes:
        spec: the reward model.
        passes: role -> who computes the token pass.
        asked: what a generator is to write about responses; None for nothing.
        generator: who writes that.
        where: how errors begin.

    Raises:
        UserError: for a reward model that cannot score single responses.
    """

    spec: Spec[RewardModel[Any]]
    passes: Mapping[str, Spec[TokenScorer[Any]]]
    asked: Verifications | None
    generator: Spec[Generator[Any]] | None
    where: str

    def __post_init__(self) -> None:
        if self.spec.cls.members(self.spec.params):
            raise UserError(
                f"{self.where}: it combines reward models of an experiment: make it an entry of one, or add it with "
                "`bonbench run CONFIG --reward-model`"
            )
        if self.asked is not None and self.asked.compares:
            raise UserError(
                f"{self.where}: it compares all responses to a problem, of which a file of lines may have some "
                "here and some there: run an experiment on them, with responses: FILE"
            )
        if self.generator is not None and self.generator.cls.recorded:
            raise UserError(
                f"{self.where}: generator: recorded replies belong to the responses of an experiment: run it there"
            )

    @classmethod
    def described(cls, text: str) -> Ingredients:
        """Of the reward model that ``text`` (NAME, NAME:key=value,… or path.py:Class) names.

        Raises:
            UserError: for a mistake in ``text``.
        """
        name, entry = parse_spec(text)
        where = f"--reward-model {text}"
        spec = build("reward_models", name, entry, where, {})
        try:
            spec = replace(spec, params=spec.cls.ask_server(spec.params))
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        passes = {
            role: build("token_scorers", role, token_scorer_entry(pass_of), where, {})
            for role, pass_of in spec.cls.token_passes(spec.params).items()
        }
        asked = spec.cls.verifications(spec.params)
        generator = None
        if asked is not None:
            generator = verifying_generator(asked, "judge", f"{where}: generator", {}, (), {}, spec.pool)
        return cls(spec, passes, asked, generator, where)

    @cached_property
    def artifacts(self) -> Artifacts:
        return Artifacts()

    @cached_property
    def key(self) -> str:
        """What decides the scores."""
        identities = [self.artifacts.identity(self.spec)]
        identities += {digest(i): i for i in map(self.artifacts.identity, self.passes.values())}.values()
        if self.asked is not None and self.generator is not None:
            identities += [self.artifacts.identity(self.generator), self.asked.identity]
        return digest("scoring", *identities)


class Scorer:
    """The reward model that ``of`` describes, in words or as ingredients.

    Raises:
        UserError: for a mistake in the words, or a model that cannot be loaded.
    """

    def __init__(self, of: str | Ingredients) -> None:
        made_of = Ingredients.described(of) if isinstance(of, str) else of
        self._where, self._asked, self.key = made_of.where, made_of.asked, made_of.key
        artifacts = made_of.artifacts
        loaded: dict[str, TokenScorer[Any]] = {}
        self._passes: dict[str, TokenScorer[Any]] = {}
        for role, scorer in made_of.passes.items():
            identity = digest(artifacts.identity(scorer))
            if identity not in loaded:
                loaded[identity] = self._built(artifacts.pinned(scorer))
            self._passes[role] = loaded[identity]
        self._generator: Generator[Any] | None = None
        if made_of.generator is not None:
            self._generator = self._built(artifacts.pinned(made_of.generator))
        self.model: RewardModel[Any] = self._built(artifacts.pinned(made_of.spec))

    def score(
        self, rows: Sequence[tuple[str, str]], step_ends: Sequence[tuple[int, ...] | None] | None = None
    ) -> list[Scored]:
        """Scores of (problem, finished response) pairs, in order. The scores' ``problem_id`` numbers the problems.

        Args:
            step_ends: where the steps of each response end, where a data set says what its steps are.

        Raises:
            Unreadable: for a pair that the model cannot read.
            NotFinite: for a pair that the model gives a number which is not finite.
            UserError: for a pair that the model refuses to score.
        """
        # Solutions to one problem stand together, so that they can share the computation of the problem.
        numbers: dict[str, int] = {}
        order = sorted(range(len(rows)), key=lambda i: numbers.setdefault(rows[i][0], len(numbers)))
        solutions = []
        for i in order:
            problem, text = rows[i]
            id_ = str(numbers[problem])
            response = Response(id_, "", i, text, finish_reason="stop")
            ends = step_ends[i] if step_ends else None
            solutions.append(Solution(Problem(id_, problem, ""), response, given_ends=ends))
        try:
            roles: Mapping[str, Any] = {
                role: scorer.checked_logprobs(solutions) for role, scorer in self._passes.items()
            }
            full = [
                replace(s, logprobs={role: records[i] for role, records in roles.items()})
                for i, s in enumerate(solutions)
            ]
            full = self._told(full)
            scored = self.model.score_read(full)
        except (Unreadable, NotFinite):
            raise
        except UserError as error:
            raise UserError(f"{self._where}: {error}") from None
        by_row = {
            i: Scored(
                scores,
                "" if scores.step_rewards else self.model.why_unscored(solution),
                self.model.verdicts([solution]),
            )
            for i, scores, solution in zip(order, scored, full, strict=True)
        }
        return [by_row[i] for i in range(len(rows))]

    def _told(self, solutions: list[Solution]) -> list[Solution]:
        """The solutions with what a generator writes about them, where the reward model asks for that.

        A reply depends on the text of its question, so not on the other rows.
        """
        asked, generator = self._asked, self._generator
        if asked is None or generator is None:
            return solutions
        questions = [q.asked() for q in asked.questions(solutions)]
        n = asked.sampling.n
        seeds = {q.problem_id: [response_seed(0, generator.name, q.problem, i) for i in range(n)] for q in questions}
        replies: Sequence[Response] = generator.replies(asked.begins, questions, asked.sampling, seeds)
        if asked.weighing is not None:
            replies, _ = asked.weighing.weighed(generator.weigh, asked.begins, questions, replies)
        return asked.told(solutions, replies)

    def total(self, scores: StepScores) -> float | None:
        """The score of a response: its step rewards, aggregated by the default aggregation; None without any.

        Raises:
            NotFinite: where they are beyond the range of floats together.
        """
        if not scores.step_rewards:
            return None
        rewards = np.asarray(scores.step_rewards, dtype=np.float64)
        lengths = np.array([len(rewards)], dtype=np.int64)
        with np.errstate(over="ignore"):
            total = float(aggregate(rewards, lengths, self.model.aggregation, self.model.score_type)[0])
        if not math.isfinite(total):
            raise not_finite(self.model.name, f"{self.model.aggregation} of step rewards", total, scores)
        return total

    def _built(self, spec: Spec[Any]) -> Any:
        try:
            return spec.cls(loadable(spec.loads), spec.name)
        except UserError as error:
            raise UserError(f"{self._where}: {error}") from None
