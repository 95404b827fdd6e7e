"""Responses that a data set of the Hugging Face hub has, for instance the rollouts that a paper released."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from harness.core.components import Generator
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Sampling
from harness.data.hub import HubSplit, load_split


class HubGeneratorParams(HubSplit):
    """A data set with a row for each problem: its text in the column ``problem``, a list of texts in ``responses``."""

    split: str = Field("train", description="the split of the data set")
    problem: str = Field("problem", description="the column of the problem's text")
    responses: str = Field("responses", description="the column with the list of responses")


class HubGenerator(Generator[HubGeneratorParams]):
    """Returns the first ``n`` responses to each problem, found by the problem's text.

    A response is taken to be whole: it ends with its end-of-turn token. Its number of tokens is not known. A problem
    that stands in several rows has the responses of all these rows.

    Raises:
        UserError: for columns that are missing or hold something else.
    """

    Params = HubGeneratorParams
    recorded = True

    def __init__(self, params: HubGeneratorParams, name: str = "") -> None:
        super().__init__(params, name)
        self._rows = load_split(params)
        for column in (params.problem, params.responses):
            if column not in self._rows.column_names:
                raise UserError(f"{params.path}: no column {column!r}; it has {', '.join(self._rows.column_names)}")
        self._places: dict[str, list[int]] = {}
        for row, problem in enumerate(self._rows[params.problem]):
            self._places.setdefault(problem, []).append(row)

    @classmethod
    def available_samples(
        cls, params: HubGeneratorParams, problems: Sequence[Problem] | None = None
    ) -> Mapping[str, int]:
        generator = cls(params)
        asked = {p: p for p in generator._places} if problems is None else {p.problem_id: p.problem for p in problems}
        return {id_: len(generator._texts(text)) for id_, text in asked.items()}

    def generate(
        self, problems: Sequence[Problem], sampling: Sampling, seeds: Mapping[str, Sequence[int]]
    ) -> list[Response]:
        return [
            Response(problem.problem_id, self.name, sample, text, finish_reason="stop")
            for problem in problems
            for sample, text in enumerate(self._texts(problem.problem)[: sampling.n])
        ]

    def _texts(self, problem: str) -> list[str]:
        texts = []
        for row in self._places.get(problem, ()):
            responses = self._rows[row][self.params.responses]
            if not isinstance(responses, list) or not all(isinstance(text, str) for text in responses):
                raise UserError(f"{self.params.path} row {row}: no list of texts in column {self.params.responses!r}")
            texts += responses
        return texts
