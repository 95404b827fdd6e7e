"""Base classes of components: dataset, generator, verifier, token scorer, reward model. The trainer's: ``trainer``."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

from harness.core.cards import Card
from harness.core.errors import NotFinite, UserError
from harness.core.incomplete import Incomplete
from harness.core.params import ComponentParams, PassOf, ReadsParams
from harness.core.records import (
    Grade,
    Problem,
    Response,
    Sampling,
    Solution,
    StepScores,
    TokenLogprobs,
)
from harness.core.solution_parts import Part, Reads
from harness.core.terms import ScoreType
from harness.core.verifications import Verifications
from harness.core.weighing import Weighed


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model that a component runs, for the ledger.

    ``config`` is its `transformers` config as a dict. ``output_head`` says whether hidden states are multiplied by the
    head over the vocabulary: a classifier has none, and reading a token costs that much less.
    """

    config: Mapping[str, Any]
    device: str
    output_head: bool = True


P = TypeVar("P", bound=ComponentParams)


class Component(ABC, Generic[P]):
    """A part of an experiment, with its parameters.

    The constructor loads what the component needs (weights, files). ``check`` must be cheap. Raise ``revision``
    whenever the same parameters give other results, so that stored results are computed again. ``output_head`` tells a
    plan whether the model that the component runs or trains, if any, has a head over the vocabulary.
    ``shares_process`` tells that nothing of a dropped component is left in its process (settings, threads, memory), so
    that another stage may go on there; ``may_share_process`` where the parameters decide. A stage with the same
    parameters may go on with the component itself, under another ``name``. ``puts_in_turns`` tells that it puts
    responses into the turns of a chat template, which may rewrite them.
    """

    Params: ClassVar[type[ComponentParams]] = ComponentParams
    revision: ClassVar[int] = 1
    output_head: ClassVar[bool] = True
    shares_process: ClassVar[bool] = False
    shards_at_once: ClassVar[int] = 1
    puts_in_turns: ClassVar[bool] = False
    registered_name: ClassVar[str] = ""  # set by @register

    def __init__(self, params: P, name: str = "") -> None:
        self.params = params
        self.name = name

    @classmethod
    def check(cls, params: P) -> None:
        """Raise :class:`UserError` for parameters that cannot work, before anything is started."""

    @classmethod
    def may_share_process(cls, params: P) -> bool:
        """Whether another stage may go on in the process of a dropped component with these parameters."""
        return cls.shares_process

    @classmethod
    def count_too_long(cls, params: P, batches: Iterable[Sequence[Solution]]) -> int | None:
        """How many solutions are longer than its model reads, by the tokenizer alone; None where it cannot tell.

        No weights are loaded. For a generator, the text of a solution's response is the beginning that it is to go on
        from ("" where it begins itself), and what is counted are prompts that leave no room for a response.
        """
        return None

    @classmethod
    def requests(cls, params: P, n_responses: int) -> int:
        """How many requests to a server it makes for so many responses, for a plan; 0 where it asks none."""
        return 0

    def describe(self) -> ModelFacts | None:
        """The model that the component runs, for the ledger; None where it runs no model."""
        return None

    def responses_in_flight(self) -> int:
        """How many unfinished responses keep it busy. With fewer of them it is given another shard, if there is any."""
        return 0


class Dataset(Component[P]):
    """A problem set."""

    @classmethod
    def declared_size(cls, params: P) -> int | None:
        """The size of the set, if the parameters say it: a plan uses it where the set cannot be read. Else None."""
        return None

    @abstractmethod
    def load(self) -> list[Problem]: ...


class Generator(Component[P]):
    """Samples solutions.

    ``recorded`` says that the responses exist already. Then a problem may have fewer responses than are asked for.
    ``unanswered_because`` is the reason that the report gives for problems without responses. Where it is empty, every
    problem must have its responses.
    """

    recorded: ClassVar[bool] = False
    unanswered_because: str = ""

    @classmethod
    def max_sequences(cls, params: P) -> int | None:
        """How many responses the user lets it sample at once; None where the software decides."""
        return None

    @classmethod
    def available_samples(cls, params: P, problems: Sequence[Problem] | None = None) -> Mapping[str, int] | None:
        """How many recorded responses there are to each of the problems (by the id), or to each that has any; None
        where responses are sampled."""
        return None

    @abstractmethod
    def generate(
        self, problems: Sequence[Problem], sampling: Sampling, seeds: Mapping[str, Sequence[int]]
    ) -> list[Response]:
        """``sampling.n`` responses per problem, ordered by problem, then by sample.

        A ``recorded`` generator returns fewer where fewer exist. A generator that says ``unanswered_because`` may
        return none for a problem, for instance where the prompt is too long for the model. The seed
        ``seeds[problem_id][i]`` and the parameters decide sample i of a problem. The other problems and samples of the
        call must not change it.
        """

    def complete(
        self,
        problems: Sequence[Problem],
        prefixes: Sequence[str],
        sampling: Sampling,
        seeds: Mapping[str, Sequence[int]],
    ) -> list[Response]:
        """As :meth:`generate`, for responses that begin with ``prefixes`` (one per problem).

        The returned text is what follows the prefix. The prefix counts towards ``max_tokens``, and in
        ``n_prompt_tokens`` as part of the prompt. Where nothing can follow a prefix, there is no response.

        Raises:
            UserError: for a generator that cannot continue a response.
        """
        raise UserError(
            f"{type(self).__name__} cannot continue a response that has begun: name another generator in completed_by"
        )

    def replies(
        self, begins: str, questions: Sequence[Problem], sampling: Sampling, seeds: Mapping[str, Sequence[int]]
    ) -> list[Response]:
        """``sampling.n`` replies to each question, which begin with ``begins``, or none where a question is longer than
        the generator reads. In order of the questions, then of the samples.

        Raises:
            UserError: where too few replies to a question are recorded, or the generator cannot go on from a beginning.
        """
        if not questions:
            return []
        if begins:
            replies = self.complete(questions, [begins] * len(questions), sampling, seeds)
        else:
            replies = self.generate(questions, sampling, seeds)
        counts = Counter(reply.problem_id for reply in replies)
        short = next((q.problem_id for q in questions if counts[q.problem_id] < sampling.n), None)
        if self.recorded and short is not None:
            raise UserError(
                f"{self.name}: {counts[short]} replies to question {short!r} are recorded, {sampling.n} wanted"
            )
        expected = [(q.problem_id, i) for q in questions if counts[q.problem_id] for i in range(sampling.n)]
        if [(reply.problem_id, reply.sample) for reply in replies] != expected:
            raise RuntimeError(f"{self.name} did not return {sampling.n} ordered replies to every question")
        return replies

    def weigh(self, problems: Sequence[Problem], prefixes: Sequence[str], answers: tuple[str, str]) -> list[Weighed]:
        """How probable two answers, yes and no, are where the responses go on that begin with ``prefixes`` (one per
        problem; a problem may be there several times).

        Raises:
            UserError: for a generator that cannot tell, and for answers that begin alike.
        """
        raise UserError(f"{type(self).__name__} does not tell how probable an answer is")


class Verifier(Component[P]):
    """Grades responses against gold answers."""

    @abstractmethod
    def grade(self, problems: Sequence[Problem], responses: Sequence[Response]) -> list[Grade]:
        """One grade per response, in the order of ``responses``.

        ``responses`` may belong to several problems. All responses to a problem come in one call.
        """

    @abstractmethod
    def extract(self, text: str) -> str | None:
        """The final answer stated in ``text``, or None."""

    @abstractmethod
    def verify(self, pairs: Sequence[tuple[str | None, str]]) -> list[tuple[bool, str]]:
        """(correct, reason) for each (extracted answer, gold) pair."""


class TokenScorer(Component[P]):
    """Log-probabilities of response tokens under one causal LM: a pass that reward models share."""

    @classmethod
    def columns(cls, params: P) -> Sequence[str]:
        """The columns of :class:`TokenLogprobs` that it fills beyond the usual ones.

        What asks for them is in no key: a pass that has them is, for all others, the pass without them.
        """
        return ()

    @abstractmethod
    def logprobs(self, batch: Sequence[Solution]) -> list[TokenLogprobs]:
        """One record per solution, in order. Solutions to one problem are adjacent."""

    def checked_logprobs(self, batch: Sequence[Solution]) -> list[TokenLogprobs]:
        """As :meth:`logprobs`, checked to be what logarithms of probabilities can be: -inf is, NaN and inf are not.

        Raises:
            NotFinite: naming the first response with another number.
        """
        records = self.logprobs(batch)
        for record in records:
            if not sum(record.logprobs) < math.inf:  # a sum is NaN where a number is
                value = next(value for value in record.logprobs if not value < math.inf)
                raise not_finite(self.name, "log-probability", value, record)
        return records


class RewardModel(Component[P]):
    """Scores solutions.

    Class attributes say what the numbers mean: ``reward`` is "PRM" (one reward per step) or "ORM" (one in
    all); ``score_type`` their range; ``aggregation`` turns step rewards into a response's score by default;
    ``coefficient`` scales a log-ratio or unbounded score before the sigmoid of weighted voting.
    An instance may set any of them on itself. A parameter ``aggregation`` (:data:`OwnAggregation`), unless it is null,
    takes the place of the class's. ``unscored_because`` is the reason that the report gives for responses without a
    score.
    """

    reward: ClassVar[Literal["PRM", "ORM"]] = "PRM"
    score_type: ScoreType = "unbounded"
    aggregation: str = "min"
    coefficient: float = 1.0
    #: The part of a response that its scores are about.
    reads: Reads = "all"
    unscored_because: str = "the reward model gave no reward"
    #: What a server says of the model that it scores with, in JSON: it is stored with the scores.
    served: Mapping[str, Any] | None = None

    def __init__(self, params: P, name: str = "") -> None:
        super().__init__(params, name)
        self.aggregation = getattr(params, "aggregation", None) or self.aggregation
        self.reads = getattr(params, "reads", self.reads)

    @classmethod
    def token_passes(cls, params: P) -> Mapping[str, PassOf]:
        """Token passes needed: role -> model, e.g. ``{"policy": "path", "reference": "path"}``.

        Each distinct pass is computed once, stored, and handed to every reward model that asks
        for it, as ``solution.logprobs[role]``.
        """
        return {}

    @classmethod
    def verifications(cls, params: P) -> Verifications | None:
        """What a generator is to write about the responses; None for nothing.

        It is written once, stored, and handed to every reward model that asks for the same, as
        ``solution.verifications``. All solutions to a problem are then in one ``batch``.
        """
        return None

    def verdicts(self, batch: Sequence[Solution]) -> Mapping[str, int]:
        """What became of the replies in the solutions' verifications (kind -> number of replies), for the report.

        The kinds are ``read``, ``unreadable``, ``cut off``, and ``too long`` for questions that have no reply.
        """
        return {}

    @classmethod
    def cards(cls) -> Mapping[str, Card]:
        """The public models whose convention is built in, by their ids on the hub, and what their cards show."""
        return {}

    @classmethod
    def ask_server(cls, params: P) -> P:
        """The parameters with what a server says of its model, in a parameter ``served``, before keys are made of them.

        Raises:
            Unavailable: where no server answers. A run then goes by what was stored with the scores that there are.
            UserError: where the server does not have the model.
        """
        return params

    @classmethod
    def members(cls, params: P) -> Sequence[str]:
        """The reward models of the experiment whose scores it reads, as ``solution.scores[name]``.

        All responses to a problem are then in one call of :meth:`score`.
        """
        return ()

    @classmethod
    def with_trained(cls, entry: dict[str, Any], model: str, base: str, training: Any) -> dict[str, Any]:
        """The entry's parameters once its ``train:`` block (``training``) has produced ``model`` from ``base``."""
        return {"model": model, **entry}

    @classmethod
    def expand(cls, entry: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
        """The entries (name -> entry) that ``entry`` stands for; None where it stands for itself, as most do."""
        return None

    @abstractmethod
    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        """One record per solution, in order. Solutions to one problem are adjacent.

        A record without step rewards (see :meth:`unscored`) leaves its response without a score.
        """

    def why_unscored(self, solution: Solution) -> str:
        """The reason that the report gives for a solution that has no score."""
        if any(tokens.was_read and not tokens.is_possible for tokens in solution.logprobs.values()):
            return "a model of its token passes gives one of its tokens the probability 0"
        return (self._part(solution).lacks if solution.was_read else "") or self.unscored_because

    def unscored(self, solution: Solution) -> StepScores:
        """The record of a solution that has no score."""
        return self.record(solution, (), (), 0)

    def record(
        self, solution: Solution, step_rewards: Iterable[float], step_ends: Sequence[int] | None, n_tokens: int
    ) -> StepScores:
        """The record of what it gives a solution: see :class:`~harness.core.records.StepScores`."""
        response = solution.response
        ends = None if step_ends is None else tuple(step_ends)
        place = response.problem_id, response.generator, response.sample
        return StepScores(*place, self.name, tuple(step_rewards), ends, n_tokens)

    def _part(self, solution: Solution) -> Part:
        """What its parameters say that it reads of a solution."""
        return self.params.part_of(solution) if isinstance(self.params, ReadsParams) else Part(solution)

    def score_read(self, batch: Sequence[Solution]) -> list[StepScores]:
        """As :meth:`score`, of the part of each response that it reads, checked to be finite. A solution without that
        part, or that a model of its token passes could not read, or holds impossible, is left unscored.

        Raises:
            NotFinite: naming the first response with a step reward that is not finite.
            Incomplete: where :meth:`score` does, with all that has become of the others.
        """
        parts = [self._part(solution) if solution.was_read else Part(None) for solution in batch]
        read = [part.solution for part in parts if part.solution is not None]
        missing: Mapping[str, str] = {}
        try:
            scores = self.score(read) if read else []
        except Incomplete as error:
            scores, missing = error.made, error.missing
        for record in scores:
            for value in record.step_rewards:
                if not math.isfinite(value):
                    raise not_finite(self.name, "step reward", value, record)
        if not missing:
            rest = iter(scores)
            return [
                self.unscored(solution) if part.solution is None else part.of_response(next(rest))
                for solution, part in zip(batch, parts, strict=True)
            ]
        made = {(record.problem_id, record.sample): record for record in scores}
        places = [(solution.response.problem_id, solution.response.sample) for solution in batch]
        raise Incomplete(
            [
                self.unscored(solution) if part.solution is None else part.of_response(made[place])
                for solution, part, place in zip(batch, parts, places, strict=True)
                if part.solution is None or place in made
            ],
            missing,
        )


def not_finite(who: str, what: str, value: float, record: StepScores | TokenLogprobs) -> NotFinite:
    """What to raise where a model gives a response a number that nothing can be computed with."""
    hint = "look for such numbers in its weights, and for 16-bit ones that overflow (dtype: float32)"
    return NotFinite(
        f"{who} gives sample {record.sample} of problem {record.problem_id!r} a {what} of {value}: {hint}",
        why=f"{who} gives it a {what} of {value}: {hint}",
    )
