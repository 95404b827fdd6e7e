"""Reward models that are asked in words, and answer in words: judges, GenRM, ThinkPRM and the like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bonbench.reward_models.generative.params import GenerativeParams
from bonbench.reward_models.generative.readouts import Values, said
from harness.core.components import ModelFacts, RewardModel
from harness.core.records import Reply, Response, Solution, StepScores, Verification
from harness.core.verifications import Verifications


class GenerativeRewardModel(RewardModel[GenerativeParams]):
    """The verdict that a language model gives when it is asked about a response.

    With a ``generator`` the verdict is read from the text of its replies (:mod:`reward_models.generative.readouts`):
    the score is the mean over the replies that can be read. A response, or a step, of whose replies none can be read
    leaves the response without a score. With a ``model`` nothing is sampled: the score is the probability of the answer
    yes against that of no as the first token of a reply (GenRM without reasoning, Zhang et al. 2024, arXiv 2408.15240).

    All scores are in [0, 1]. Where responses are compared (``choice``, ``ranking``) the score of a response is the
    share of the others that it is better than, as judged among *all* different responses to its problem. A problem
    whose responses are all equal has nothing to compare: their score is 1/2.
    """

    Params = GenerativeParams
    shares_process = True
    score_type = "probability"
    unscored_because = "the judge gave no verdict that can be read"

    def __init__(self, params: GenerativeParams, name: str = "") -> None:
        super().__init__(params, name)
        self._per_step = params.readout == "labels" or params.about == "step"
        self.reward = "PRM" if self._per_step else "ORM"  # type: ignore[misc]
        self._first_token: RewardModel[Any] | None = None
        if params.model is not None:
            from bonbench.reward_models.generative.first_token import FirstToken

            self._first_token = FirstToken(_first_token_params(params), name)
        else:
            self._reader = params.reader()

    @classmethod
    def check(cls, params: GenerativeParams) -> None:
        params.check()

    @classmethod
    def may_share_process(cls, params: GenerativeParams) -> bool:
        return params.backend != "vllm"

    @classmethod
    def verifications(cls, params: GenerativeParams) -> Verifications | None:
        if params.generator is None:
            return None
        return Verifications(
            generator=params.generator,
            template=params.text(),
            per=params.about,
            n=params.verifications,
            temperature=params.at_temperature,
            top_p=params.top_p,
            max_tokens=params.max_tokens,
            system_prompt=params.system,
            begins=params.begins,
            reads=params.reads,
            steps=params.steps,
            label=params.label,
            where=params.place,
            weighing=params.weighing,
        )

    @classmethod
    def count_too_long(cls, params: GenerativeParams, batches: Iterable[Sequence[Solution]]) -> int | None:
        if params.model is None:
            return 0
        from bonbench.reward_models.generative.first_token import FirstToken

        return FirstToken.count_too_long(_first_token_params(params), batches)

    @classmethod
    def with_trained(cls, entry: dict[str, Any], model: str, base: str, training: Any) -> dict[str, Any]:
        """The trained model is read at its first token, and is asked as it was in its training."""
        asked = {name: getattr(training, name) for name in ("preset", "question", "system", "answer_yes", "answer_no")}
        return {"model": model, **asked, **entry}

    def describe(self) -> ModelFacts | None:
        return None if self._first_token is None else self._first_token.describe()

    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        if self._first_token is not None:
            return self._first_token.score(batch)
        return [self._scored(solution) for solution in batch]

    def why_unscored(self, solution: Solution) -> str:
        if self._first_token is not None:
            return self._first_token.why_unscored(solution)
        if any(not verification.replies for verification in solution.verifications):
            return "a question about it is longer than the judge reads"
        return super().why_unscored(solution)

    def verdicts(self, batch: Sequence[Solution]) -> Mapping[str, int]:
        """How many replies were ``read``, ``unreadable`` and ``cut off``, and how many questions ``too long``."""
        counts: Counter[str] = Counter()
        seen: set[str] = set()
        for solution in (part for whole in batch if (part := self._part(whole).solution) is not None):
            for verification in solution.verifications:
                if verification.question in seen:
                    continue
                seen.add(verification.question)
                counts["too long"] += not verification.replies
                for reply in verification.replies:
                    is_read = self._value(reply, self._size(solution, verification)) is not None
                    counts["cut off" if self._said(reply) is None else "read" if is_read else "unreadable"] += 1
        return +counts

    def _scored(self, solution: Solution) -> StepScores:
        response = solution.response
        ends = solution.step_ends if self._per_step else (len(response.text),)
        values = self._values(solution, len(ends))
        if values is None:
            return self.unscored(solution)
        return self.record(solution, values, ends, response.n_tokens)

    def _values(self, solution: Solution, n: int) -> Values | None:
        """A value for the response, or for each of its ``n`` steps; None where nothing can be read of one."""
        comparing = self.params.about in ("pair", "group")
        if comparing and not solution.verifications:
            return (0.5,)
        read: list[list[float]] = [[] for _ in range(n)]
        for verification in solution.verifications:
            for values in self._read(solution, verification):
                if verification.step is not None:
                    read[verification.step].append(values[0])
                elif comparing:
                    read[0].append(values[verification.place])
                else:
                    for k, value in enumerate(values):
                        read[k].append(value)
        return tuple(sum(values) / len(values) for values in read) if all(read) else None

    def _read(self, solution: Solution, verification: Verification) -> list[Values]:
        """The values in the replies that can be read."""
        size = self._size(solution, verification)
        read = (self._value(reply, size) for reply in verification.replies)
        return [values for values in read if values is not None]

    def _value(self, reply: Response, size: int) -> Values | None:
        """The values in a reply; None where it cannot be read."""
        if self.params.readout == "p-yes":
            return (reply.p_yes,) if isinstance(reply, Reply) and reply.p_yes is not None else None
        text = self._said(reply)
        return None if text is None else self._reader(text, size)

    def _said(self, reply: Response) -> str | None:
        readout = self.params.readout
        return said(reply, in_a_word=readout in ("yes-no", "p-yes"), with_thoughts=readout == "labels")

    def _size(self, solution: Solution, verification: Verification) -> int:
        """How many values a reply has."""
        return len(solution.step_ends) if self.params.readout == "labels" else verification.shown


def _first_token_params(params: GenerativeParams) -> Any:
    from bonbench.reward_models.generative.first_token import FirstTokenParams

    shared = FirstTokenParams.model_fields.keys() & GenerativeParams.model_fields.keys()
    return FirstTokenParams.model_validate({name: getattr(params, name) for name in shared})
