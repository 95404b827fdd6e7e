"""The format of ``manifest.json``, declared once for the code that writes it and the code that reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from harness.core.errors import UserError
from harness.core.files import replacing
from harness.core.shipped import shipped_path
from harness.core.solution_parts import Reads
from harness.core.terms import IntervalMethod, Protocol, ScoreType
from harness.data.documents import read_json


class _Facts(BaseModel):
    # A later version may write more facts. NaN is written as NaN, which Python's JSON reads.
    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=(), ser_json_inf_nan="constants")


class EvaluationFacts(_Facts):
    """The ``evaluation`` block of the experiment. A single aggregation or protocol need not be a list.

    ``selection`` are the entries of further selection rules by name.
    """

    problems: str | list[str] = "test"
    n: list[int]
    aggregation: list[str] | None = None
    bootstrap: int = Field(default=1000, ge=1, le=10**6)
    interval: IntervalMethod = "bca"
    protocol: list[Protocol] = ["subsets"]
    selection: dict[str, dict[str, Any]] = {}

    @field_validator("aggregation", "protocol", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class GeneratorFacts(_Facts):
    type: str
    model: str | None = None


class PolicyFacts(GeneratorFacts):
    """``trained_by`` names the entry whose training made the model, where one did."""

    trained_by: str | None = None


class RewardModelFacts(_Facts):
    """A reward model: what its numbers mean, the token passes and verifications that it reads, and its training, if it
    was trained.

    ``trained_by`` names the entry whose training made the model that this entry scores with. ``shape`` are the sizes
    of the model that the reward model runs itself, if any. ``reads`` is the part of a response that it reads.
    ``members`` are the reward models whose scores it combines. ``seeds_of`` is, for one of several trainings that
    differ in their seed alone (``seeds:``), the name that they go by: the reward model's that is first of them.
    """

    type: str
    reward: Literal["PRM", "ORM"] = "PRM"
    score_type: ScoreType = "unbounded"
    aggregation: str = "min"
    coefficient: float = 1.0
    shape: dict[str, Any] | None = None
    token_passes: dict[str, str] = {}
    verifications: str | None = None
    members: list[str] = []
    train: dict[str, Any] | None = None
    trained_by: str | None = None
    seeds_of: str | None = None
    reads: Reads = "all"


class VerifierFacts(_Facts):
    type: str


class Quarantined(_Facts):
    """A shard that kept failing: its problems are missing from what ``stage`` made for ``who``.

    Of a stage or a training that failed as a whole, ``shard`` is the folder.
    """

    stage: str
    who: str
    shard: int | str
    problem_ids: list[str] = []
    error: str = ""


class Manifest(_Facts):
    """``manifest.json``: what a results folder holds, and what made it.

    ``n`` is the number of responses per problem, ``problem_set`` the set that is evaluated, or the sets,
    ``results_key`` the key of everything that a report is made from,
    ``shards`` what :mod:`harness.storage.inventory` says of the folders. ``notes`` are sentences on the problems and
    responses that are compared. ``commits`` are the models of the hub, by what the experiment calls them, as
    ``owner/name@commit``.
    """

    name: str
    seed: int = Field(ge=0)
    n: int = 0
    config: dict[str, Any] = {}
    evaluation: EvaluationFacts
    problem_set: str | list[str] = "test"
    generators: dict[str, GeneratorFacts]
    reward_models: dict[str, RewardModelFacts] = {}
    policies: dict[str, PolicyFacts] = {}
    verifier: VerifierFacts = VerifierFacts(type="math")
    second_verifier: VerifierFacts | None = None
    quarantined: list[Quarantined] = []
    notes: list[str] = []
    commits: dict[str, str] = {}
    results_key: str | None = None
    shards: dict[str, str] = {}
    versions: dict[str, str] = {}
    machine: Any = None
    commit: str | None = None
    written_at: str = ""

    @field_validator("problem_set")
    @classmethod
    def _different_sets(cls, sets: str | list[str]) -> str | list[str]:
        if isinstance(sets, list) and (not sets or len(set(sets)) < len(sets)):
            raise ValueError("a set, or a list of different sets, is expected")
        return sets

    @property
    def problem_sets(self) -> list[str]:
        """The names of the sets that are evaluated, in their order."""
        return [self.problem_set] if isinstance(self.problem_set, str) else self.problem_set


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a results folder."""
    with replacing(folder / "manifest.json") as path:
        path.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a results folder, or None where there is no readable one."""
    try:
        return Manifest.model_validate(read_json(folder / "manifest.json"))
    except (UserError, ValueError):
        return None


def portable(path: str) -> str:
    """A path that has a meaning on another machine.

    The path of a shipped file begins with ``experiments/``. A path below the working directory is made relative to it.
    Any other path stays as it is.
    """
    name, colon, rest = path.partition(".py:")
    file = Path(name)
    if shipped := shipped_path(file):
        name = str(shipped)
    elif file.is_absolute() and file.is_relative_to(Path.cwd()):
        name = str(file.relative_to(Path.cwd()))
    return name + colon + rest
