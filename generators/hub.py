"""Responses that a data set of the Hugging Face hub has, for instance the rollouts that a paper released."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from harness.core.components import Generator
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Sampling
from harness.data.hub import HubSplit, load_split
from harness.data.response_rows import FlatRow, validated

#: The columns of a data set with a row for each response.
_FLAT = {"problem_id", "sample", "text"}


class HubGeneratorParams(HubSplit):
    """A data set with a row for each problem: its text in the column ``problem``, a list of texts in ``responses``.

    Or one with a row for each response, in the columns of a folder that ``bonbench export`` wrote.
    """

    split: str = Field("train", description="the split of the data set")
    problem: str = Field("problem", description="the column of the problem's text")
    responses: str = Field("responses", description="the column with the list of responses")


class _ResponseRow(FlatRow):
    seed: int | None = None
    token_ids: list[int] | None = None


class HubGenerator(Generator[HubGeneratorParams]):
    """Returns the first ``n`` responses to each problem, found by the problem's text.

    A response is taken to be whole: it ends with its end-of-turn token. Its number of tokens is not known. A problem
    that stands in several rows has the responses of all these rows.

    Where a row is a response (the columns ``problem_id``, ``sample`` and ``text``), responses are found by the id of
    their problem, and are what their other columns say.

    Raises:
        UserError: for columns that are missing or hold something else, and for responses of several generators.
    """

    Params = HubGeneratorParams
    recorded = True

    def __init__(self, params: HubGeneratorParams, name: str = "") -> None:
        super().__init__(params, name)
        self._rows = load_split(params)
        self._places: dict[str, list[int]] = {}
        self._flat = params.responses not in self._rows.column_names and set(self._rows.column_names) >= _FLAT
        if self._flat:
            self._find_responses()
            return
        for column in (params.problem, params.responses):
            if column not in self._rows.column_names:
                raise UserError(f"{params.path}: no column {column!r}; it has {', '.join(self._rows.column_names)}")
        for row, problem in enumerate(self._rows[params.problem]):
            self._places.setdefault(problem, []).append(row)

    @classmethod
    def available_samples(
        cls, params: HubGeneratorParams, problems: Sequence[Problem] | None = None
    ) -> Mapping[str, int]:
        generator = cls(params)
        if generator._flat:
            ids = generator._places if problems is None else [p.problem_id for p in problems]
            return {id_: len(generator._places.get(id_, ())) for id_ in ids}
        asked = {p: p for p in generator._places} if problems is None else {p.problem_id: p.problem for p in problems}
        return {id_: len(generator._texts(text)) for id_, text in asked.items()}

    def generate(
        self, problems: Sequence[Problem], sampling: Sampling, seeds: Mapping[str, Sequence[int]]
    ) -> list[Response]:
        if self._flat:
            return [
                self._response(problem.problem_id, sample, row)
                for problem in problems
                for sample, row in enumerate(self._places.get(problem.problem_id, [])[: sampling.n])
            ]
        return [
            Response(problem.problem_id, self.name, sample, text, finish_reason="stop")
            for problem in problems
            for sample, text in enumerate(self._texts(problem.problem)[: sampling.n])
        ]

    def _find_responses(self) -> None:
        """Note the rows of each problem, in the order of their samples."""
        if "generator" in self._rows.column_names and len(names := set(self._rows["generator"])) > 1:
            raise UserError(
                f"{self.params.path} has responses of {', '.join(sorted(map(str, names)))}: name the configuration of "
                "one of them with `config`"
            )
        samples = list(self._rows["sample"])
        for row, problem_id in enumerate(self._rows["problem_id"]):
            self._places.setdefault(str(problem_id), []).append(row)
        for problem_id, rows in self._places.items():
            numbers = [samples[row] for row in rows]
            if any(not isinstance(n, int) for n in numbers) or len(set(numbers)) < len(numbers):
                raise UserError(
                    f"{self.params.path}: the samples of problem {problem_id!r} have no numbers of their own"
                )
            rows.sort(key=samples.__getitem__)

    def _response(self, problem_id: str, sample: int, row: int) -> Response:
        whole = validated(_ResponseRow, self._rows[row], f"{self.params.path} row {row}")
        recorded = whole.record()
        return Response(
            problem_id,
            self.name,
            sample,
            recorded.text,
            n_prompt_tokens=recorded.n_prompt_tokens,
            n_tokens=recorded.n_tokens,
            finish_reason=recorded.finish_reason,
            seed=whole.seed,
            token_ids=None if whole.token_ids is None else tuple(whole.token_ids),
        )

    def _texts(self, problem: str) -> list[str]:
        texts = []
        for row in self._places.get(problem, ()):
            responses = self._rows[row][self.params.responses]
            if not isinstance(responses, list) or not all(isinstance(text, str) for text in responses):
                raise UserError(f"{self.params.path} row {row}: no list of texts in column {self.params.responses!r}")
            texts += responses
        return texts
