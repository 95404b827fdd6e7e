"""The parameters of components: their base class, and the marks that say what a parameter is to keys and paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from harness.core.aggregation import Aggregation
from harness.core.records import Solution
from harness.core.solution_parts import Part, Reads, part_of
from harness.core.splitters import AUTO, Steps, StepSplitter, splitter


class ComponentParams(BaseModel):
    """Base of every component's parameters: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class Mark(StrEnum):
    """Marks a parameter whose value names a model or a data file, or that is not in every key.

    A mark is written as ``Annotated[str, Mark.MODEL]``. ``RUNTIME`` is in no key. ``DATE`` is in the key where a chat
    template of the component's models may ask for the day.
    """

    MODEL = "model"
    TOKENIZER = "tokenizer"
    DATA = "data"
    RUNTIME = "runtime"
    DATE = "date"


#: A model: a folder in `transformers` format, a GGUF file, or a Hugging Face id. In an experiment the name of a
#: generator or of a trained reward model may stand here too. Its content enters every key built from it.
ModelPath = Annotated[str, Mark.MODEL]

#: A model of which only the tokenizer and the config are read, as something else runs it: it needs no weights.
TokenizerPath = Annotated[str, Mark.MODEL, Mark.TOKENIZER]

#: The precision a model runs in, and where.
Precision = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    Field(description="auto: as the model is stored on a GPU, float32 on a CPU"),
]
Device = Annotated[
    str, Field(description="auto: a GPU where it sees one; where its entry asks for several, they share the layers")
]

#: A data file; its content enters every key built from it.
DataPath = Annotated[str, Mark.DATA]

V = TypeVar("V")

#: A parameter that says where or how fast something runs: ``Runtime[int]``. It changes what comes out by rounding at
#: most, as the size of a batch does, and enters no key.
Runtime = Annotated[V, Mark.RUNTIME]


@dataclass(frozen=True, slots=True)
class Unkeyed:
    """Annotates a parameter that came when results were stored already: these of its values enter no key.

    They are the values that could not have changed a result which was stored before.
    """

    values: tuple[object, ...]


#: What becomes of a response that a model cannot read as a whole. Stored results have no such response that was cut:
#: a run used to stop at the first one.
TooLong = Annotated[
    Literal["skip", "error", "truncate"],
    Unkeyed(("skip", "error")),
    Field(
        description="a response that is, with its prompt, longer than the model reads: skip leaves it without a score, "
        "error stops the entry, truncate scores what the model reads of it"
    ),
]

#: The parameter ``aggregation`` of a reward model that rewards steps.
OwnAggregation = Annotated[
    Aggregation | None,
    Unkeyed((None,)),
    Field(
        description="how step rewards become the score of a response: min, last, mean, prod, sum, min_window_3, "
        "min_running_sum, pessimistic_1 (docs/statistics.md); null: as is usual for this type"
    ),
]


class ReadsParams(ComponentParams):
    """The parameter of every reward model that may read a part of a response.

    :class:`RewardModel` cuts the part out, and turns offsets into it into offsets into the response.
    """

    reads: Annotated[Reads, Unkeyed(("all",))] = Field(
        "all",
        description="what is scored of a response that thinks: its answer, after the closing </think>; its reasoning, "
        "before that; or all of it",
    )

    def splitter(self) -> StepSplitter | None:
        """How a part is cut into steps; None: as usual (:mod:`harness.core.steps`)."""
        return None

    def part_of(self, solution: Solution) -> Part:
        """What is read of a solution."""
        return part_of(solution, self.reads, self.splitter())

    def other_steps(self) -> str | None:
        """The parameter by which the steps are not the usual ones of the whole response; None where they are."""
        if self.splitter() is not None:
            return "steps"
        return None if self.reads == "all" else "reads"


class StepsParams(ReadsParams):
    """The parameters of a reward model that rewards the steps of a response, or of a part of it."""

    steps: Annotated[Steps, Unkeyed((AUTO,))] = Field(
        AUTO,
        description="how the text is cut into steps: auto (Step k: markers, else paragraphs, else lines), numbered, "
        "paragraphs, lines, sentences, {delimiter: ...}, {characters: ...}, {at_most: ...} (docs/scoring.md)",
    )

    def splitter(self) -> StepSplitter | None:
        return None if self.steps == AUTO else splitter(self.steps)


#: A token pass: its model, or the entry of its token scorer where there is more to say than the model.
PassOf = str | Mapping[str, Any]
