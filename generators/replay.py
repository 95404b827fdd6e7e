"""Responses that already exist, replayed from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from harness.core.components import Generator
from harness.core.errors import UserError, suggest
from harness.core.params import ComponentParams, DataPath
from harness.core.records import Problem, Response, Sampling
from harness.data.response_files import open_recorded


class ReplayParams(ComponentParams):
    """Parameters of :class:`ReplayGenerator`."""

    path: DataPath = Field(
        description="a file of recorded responses, or a folder of `bonbench export` (docs/recorded-responses.md)"
    )
    generator: str | None = Field(None, description="whose responses to take, where the file holds several generators'")


class ReplayGenerator(Generator[ReplayParams]):
    """Returns the first ``n`` recorded responses to each problem; seeds and temperature have no effect."""

    Params = ReplayParams
    shares_process = True
    recorded = True

    def __init__(self, params: ReplayParams, name: str = "") -> None:
        super().__init__(params, name)
        self._recorded = open_recorded(params.path)
        self._generator = _generator(params)

    @classmethod
    def check(cls, params: ReplayParams) -> None:
        _generator(params)

    @classmethod
    def available_samples(cls, params: ReplayParams, problems: Sequence[Problem] | None = None) -> Mapping[str, int]:
        recorded, generator = open_recorded(params.path), _generator(params)
        return recorded.counts[generator] if problems is None else recorded.available(generator, problems)

    def generate(
        self, problems: Sequence[Problem], sampling: Sampling, seeds: Mapping[str, Sequence[int]]
    ) -> list[Response]:
        responses = []
        for problem in problems:
            samples = self._recorded.samples(problem, self._generator)
            for index, sample in enumerate(samples[: sampling.n]):
                responses.append(
                    Response(
                        problem_id=problem.problem_id,
                        generator=self.name,
                        sample=index,
                        text=sample.text,
                        n_prompt_tokens=sample.n_prompt_tokens,
                        n_tokens=sample.n_tokens,
                        finish_reason=sample.finish_reason,
                        seed=sample.seed,
                        token_ids=sample.token_ids,
                    )
                )
        return responses


def _generator(params: ReplayParams) -> str:
    """The name, in the file, of the generator whose responses to take."""
    names = sorted(open_recorded(params.path).counts)
    if params.generator is None and len(names) > 1:
        raise UserError(f"{params.path} has responses of {', '.join(names)}: say which with `generator`")
    if params.generator is not None and params.generator not in names:
        raise UserError(f"{params.path} has no generator {params.generator!r}{suggest(params.generator, names)}")
    return names[0] if params.generator is None else params.generator
