"""A reward model that scores in this process, without an experiment: the model, and what it reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from harness.core.aggregation import aggregate
from harness.core.components import Generator, RewardModel, TokenScorer, not_finite
from harness.core.errors import NotFinite, Unreadable, UserError
from harness.core.records import Problem, Response, Solution, StepScores
from harness.core.registry import find
from harness.core.seeds import response_seed
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


class Scorer:
    """The reward model that ``text`` (NAME, NAME:key=value,… or path.py:Class) names.

    Raises:
        UserError: for a mistake in ``text``, or a model that cannot be loaded.
    """

    def __init__(self, text: str) -> None:
        name, entry = parse_spec(text)
        self._where = f"--reward-model {text}"
        spec = build("reward_models", name, entry, self._where, {})
        if spec.cls.members(spec.params):
            raise UserError(
                f"{self._where}: it combines reward models of an experiment: make it an entry of one, or add it with "
                "`bonbench run CONFIG --reward-model`"
            )
        try:
            spec = replace(spec, params=spec.cls.ask_server(spec.params))
        except UserError as error:
            raise UserError(f"{self._where}: {error}") from None
        artifacts = Artifacts()
        identities = [artifacts.identity(spec)]
        self._passes: dict[str, TokenScorer[Any]] = {}
        loaded: dict[str, TokenScorer[Any]] = {}
        for role, pass_of in find("reward_models", spec.type_).token_passes(spec.params).items():
            scorer = build("token_scorers", role, token_scorer_entry(pass_of), self._where, {})
            identity = digest(artifacts.identity(scorer))
            if identity not in loaded:
                identities.append(artifacts.identity(scorer))
                loaded[identity] = self._built(artifacts.pinned(scorer))
            self._passes[role] = loaded[identity]
        self._asked = find("reward_models", spec.type_).verifications(spec.params)
        self._generator: Generator[Any] | None = None
        if self._asked is not None:
            if self._asked.compares:
                raise UserError(
                    f"{self._where}: it compares all responses to a problem, of which a file of lines may have some "
                    "here and some there: run an experiment on them, with responses: FILE"
                )
            where = f"{self._where}: generator"
            generator = verifying_generator(self._asked, "judge", where, {}, (), {}, spec.pool)
            if generator.cls.recorded:
                raise UserError(f"{where}: recorded replies belong to the responses of an experiment: run it there")
            identities += [artifacts.identity(generator), self._asked.identity]
            self._generator = self._built(artifacts.pinned(generator))
        self.model: RewardModel[Any] = self._built(artifacts.pinned(spec))
        self.key = digest("scoring", *identities)

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
