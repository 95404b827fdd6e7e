"""One row of a file of recorded responses, in its two forms (see ``response_files``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from harness.core.errors import UserError, first_error
from harness.core.steps import step_ends
from harness.data.lines import Row


@dataclass(frozen=True, slots=True)
class RecordedSample:
    """One recorded response.

    ``steps`` is None where none are recorded, ``n_tokens`` 0 where unknown. ``step_scores`` has, per reward
    model, one value per step or a single one. ``generator`` is "" in the nested format. ``seed`` and ``token_ids`` are
    known of a folder that ``bonbench export`` wrote.
    """

    text: str
    steps: tuple[str, ...] | None = None
    n_tokens: int = 0
    step_scores: dict[str, tuple[float, ...]] | None = None
    generator: str = ""
    n_prompt_tokens: int = 0
    finish_reason: str = ""
    seed: int | None = None
    token_ids: tuple[int, ...] | None = None

    @property
    def step_ends(self) -> tuple[int, ...] | None:
        """Character offsets of the step ends, or None where the recorded steps do not rebuild the text.

        Steps rebuild the text where it is the steps in their order, with only whitespace between them. The whitespace
        belongs to the step before it, as in :mod:`harness.core.steps`.
        """
        if self.steps is None:
            return step_ends(self.text)
        if not self.steps:
            return None
        starts = []
        position = 0
        for step in self.steps:
            stripped = step.strip()
            start = self.text.find(stripped, position)
            if start < 0 or self.text[position:start].strip():
                return None
            starts.append(start)
            position = start + len(stripped)
        return None if self.text[position:].strip() else (*starts[1:], len(self.text))


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is expected, not true or false")
    return value


_Number = BeforeValidator(_no_truth_value)
_Level = Annotated[int, _Number, Field(ge=-(2**63), lt=2**63)]  # as the columns of results hold it
_Count = Annotated[int, _Number, Field(ge=0, lt=2**63)]
_Id = Annotated[str | int, _Number]


class _Sample(BaseModel):
    model_config = ConfigDict(extra="ignore")
    text: str
    steps: list[str] | None = None
    num_tokens: _Count = 0
    finish_reason: str = ""
    step_scores: dict[str, list[Annotated[float, _Number]]] = {}

    @model_validator(mode="after")
    def _aligned(self) -> _Sample:
        n_steps = len(self.steps if self.steps is not None else step_ends(self.text))
        for model, scores in self.step_scores.items():
            if not scores or len(scores) not in {1, n_steps}:
                raise ValueError(f"step_scores.{model} has {len(scores)} values for {n_steps} steps")
        return self


class NestedRow(BaseModel):
    """A problem with its samples."""

    model_config = ConfigDict(extra="ignore")
    problem_id: _Id | None = None
    problem: str
    gold: str
    subject: str = ""
    level: _Level | None = None
    samples: list[_Sample] = Field(min_length=1)

    def records(self) -> tuple[RecordedSample, ...]:
        return tuple(
            RecordedSample(
                text=sample.text,
                steps=None if sample.steps is None else tuple(sample.steps),
                n_tokens=sample.num_tokens,
                finish_reason=sample.finish_reason,
                step_scores={model: tuple(scores) for model, scores in sample.step_scores.items()} or None,
            )
            for sample in self.samples
        )


class FlatRow(BaseModel):
    """One response."""

    model_config = ConfigDict(extra="ignore")
    problem_id: _Id
    text: str
    generator: str = ""
    sample: _Count | None = None
    n_prompt_tokens: _Count = 0
    n_tokens: _Count = 0
    finish_reason: str = ""
    problem: str = ""
    answer: str = ""

    def record(self) -> RecordedSample:
        return RecordedSample(
            text=self.text,
            n_tokens=self.n_tokens,
            generator=self.generator,
            n_prompt_tokens=self.n_prompt_tokens,
            finish_reason=self.finish_reason,
        )


_Form = TypeVar("_Form", bound=BaseModel)


def validated(form: type[_Form], row: Row, where: str) -> _Form:
    """A row in one of the two forms. A null stands for an absent key, as Parquet has every column in every row.

    Raises:
        UserError: beginning with ``where``, for a row that does not have the form.
    """
    try:
        return form.model_validate({key: value for key, value in row.items() if value is not None})
    except ValidationError as error:
        raise UserError(f"{where}: {first_error(error, form)}") from None
