"""A folder that ``bonbench export`` wrote: which files it has, and ``export.json``, which says what they are.

::

    export.json                               what is here (:class:`ExportFacts`)
    problems.parquet                          a row per problem, with the set that it is of
    responses/<generator>-00000-of-00002…     a row per response: the response, its grade, what reward models give it
    README.md                                 the same for people, and for the hub

The rows of responses are sorted by problem, then by sample. A reward model has four columns, ``<name>/score`` and so on
(:data:`SCORE_COLUMNS`). Its step rewards are null where it has not scored the response at all, and empty where it could
give none. A name of a reward model has no slash, so no two columns have one name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from harness.core.errors import UserError, first_error
from harness.core.solution_parts import Reads
from harness.core.terms import ScoreType
from harness.data.documents import read_json

FACTS = "export.json"
PROBLEMS = "problems.parquet"

#: The columns of a grade. Those of the second verifier have :data:`SECOND` before them.
GRADE_COLUMNS = ("extracted", "correct", "reason", "answer_class")
SECOND = "second_verifier/"
#: The columns of a reward model, after its name and a slash.
SCORE_COLUMNS = ("score", "step_rewards", "step_ends", "n_tokens")


def score_column(reward_model: str, column: str) -> str:
    """The name of one of a reward model's :data:`SCORE_COLUMNS`."""
    return f"{reward_model}/{column}"


class _Facts(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, ser_json_inf_nan="constants")


class ExportedGenerator(_Facts):
    """A generator: the files of its responses, in order, and how many of them there are. ``unanswered`` problems have
    none. ``ungraded`` responses have no grade, and ``second_ungraded`` none of the second verifier."""

    files: list[str]
    responses: int = Field(ge=0)
    unanswered: int = Field(0, ge=0)
    ungraded: int = Field(0, ge=0)
    second_ungraded: int = Field(0, ge=0)

    @field_validator("files")
    @classmethod
    def _stay_inside(cls, files: list[str]) -> list[str]:
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or path.suffix != ".parquet" or "\0" in name:
                raise ValueError(f"{name!r} is no Parquet file of this folder")
        return files


class ExportedRewardModel(_Facts):
    """A reward model: what its numbers mean. ``lacking`` responses are those that it has not scored, ``unscored`` those
    that it could give no score, by reason; ``not_finite`` have a step reward that nothing can be computed with."""

    reward: Literal["PRM", "ORM"] = "PRM"
    score_type: ScoreType = "unbounded"
    aggregation: str = "min"
    coefficient: float = 1.0
    reads: Reads = "all"
    lacking: int = Field(0, ge=0)
    unscored: dict[str, int] = {}
    not_finite: int = Field(0, ge=0)

    @property
    def is_complete(self) -> bool:
        """Whether the model is compared as it was: every response has what it gave it, in numbers."""
        return not self.lacking and not self.not_finite


class ExportFacts(_Facts):
    """``export.json``. ``n`` is the number of responses that each problem should have."""

    format: Literal[1] = 1
    name: str
    n: int = Field(0, ge=0)
    problem_sets: list[str] = ["test"]
    generators: dict[str, ExportedGenerator]
    reward_models: dict[str, ExportedRewardModel] = {}
    second_verifier: bool = False

    @property
    def unanswered(self) -> bool:
        """Whether a generator has no responses to some problem."""
        return any(generator.unanswered for generator in self.generators.values())

    @property
    def compared(self) -> list[str]:
        """The reward models that have numbers for every response."""
        return [name for name, facts in self.reward_models.items() if facts.is_complete]


def is_export(path: Path) -> bool:
    """Whether a folder is one that ``bonbench export`` wrote."""
    return (path / FACTS).is_file()


def read_facts(folder: Path) -> ExportFacts:
    """What an exported folder says of itself.

    Raises:
        UserError: naming the file, where it does not say.
    """
    path = folder / FACTS
    try:
        return ExportFacts.model_validate(read_json(path))
    except ValidationError as error:
        raise UserError(f"{path}: {first_error(error, ExportFacts)}; did this BonBench export it?") from None


def exported_files(folder: Path) -> Sequence[Path]:
    """The files that determine what is read of an exported folder. Its card does not, nor what else lies there.

    Raises:
        UserError: naming the file, where the folder does not say.
    """
    names = [name for generator in read_facts(folder).generators.values() for name in generator.files]
    return [folder / name for name in (FACTS, PROBLEMS, *names)]


def as_exported(path: str, facts: ExportFacts) -> dict[str, Any]:
    """The part of an experiment that has what was exported to ``path``: problems, responses, grades and scores.

    Reward models without numbers for some responses are left out. Problems that a generator did not answer are too, as
    nothing is replayed for them. Grades are read where every response has one; else the responses are graded again.
    """
    of = {"path": path}
    experiment: dict[str, Any] = {
        "problems": {name: {"dataset": "responses", **of, **_set(name, facts)} for name in facts.problem_sets},
        "generators": {name: {"type": "replay", **of, "generator": name} for name in facts.generators},
        "reward_models": {name: {"type": "recorded", **of, "model": name} for name in facts.compared},
    }
    if len(facts.problem_sets) > 1:
        experiment["evaluation"] = {"problems": facts.problem_sets}
    if facts.unanswered:
        experiment["sampling"] = {"n": facts.n, "too_few": "skip"}
    if not any(generator.ungraded for generator in facts.generators.values()):
        experiment["verifier"] = {"type": "recorded", **of}
    if facts.second_verifier and not any(generator.second_ungraded for generator in facts.generators.values()):
        experiment["second_verifier"] = {"type": "recorded", **of, "of": "second_verifier"}
    return experiment


def _set(name: str, facts: ExportFacts) -> dict[str, str]:
    return {"set": name} if len(facts.problem_sets) > 1 else {}
