"""Experiment files: YAML to frozen pydantic models. Unknown keys are errors that name the key and its near matches.

This module checks the *shape* of an experiment; ``harness.experiment.entries`` turns its entries into components.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harness.core.aggregation import Aggregation
from harness.core.errors import UserError, first_error
from harness.core.records import Sampling
from harness.core.terms import IntervalMethod, Protocol
from harness.data.documents import parse_yaml, read_yaml
from harness.data.export_facts import as_exported, is_export, read_facts
from harness.experiment.names import check_name

_PROBLEMS_PER_SHARD = 16  # where the file does not say

#: Beyond these, arrays do not fit into memory, and libraries count in 32 bits.
_MOST_RESPONSES, _MOST_TOKENS, _MOST_DRAWS = 10**6, 2**31 - 1, 10**6


#: The parts of an experiment with keys of their own: what an export says of them holds beside what is said of others.
_PARTS = ("sampling", "evaluation")


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _folder_names(entries: dict[str, Any]) -> dict[str, Any]:
    for name in entries:
        check_name(name)
    return entries


class SamplingConfig(_Frozen):
    """How responses are sampled. Without ``n``, as many recorded responses are taken as each problem has.

    ``too_few`` says what becomes of a problem to evaluate on with fewer than ``n`` recorded responses: it is an error,
    or the problem is left out of the experiment.
    """

    n: int | None = Field(default=None, ge=1, le=_MOST_RESPONSES)
    too_few: Literal["error", "skip"] = "error"
    temperature: float = Field(default=1.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=2048, ge=1, le=_MOST_TOKENS)

    def of(self, n: int) -> Sampling:
        """The sampling of ``n`` responses."""
        return Sampling(**{**self.model_dump(exclude={"too_few"}), "n": n})


class RolloutsConfig(_Frozen):
    """A set of rollouts, on which reward models are trained: ``n`` responses of a generator to each problem of a set.

    For step labels, the generator ``completed_by`` completes the rollouts after each step (default: ``generator``).
    """

    generator: str
    problems: str = "train"
    n: int = Field(default=8, ge=1, le=_MOST_RESPONSES)
    completed_by: str | None = None


class PoliciesConfig(_Frozen):
    """Models to sample on the evaluation problems, ``n`` responses each (default: as many as of a generator).

    ``models`` are entries like those of generators. Their responses are graded. No reward model scores them.
    """

    n: int | None = Field(default=None, ge=1, le=_MOST_RESPONSES)
    models: dict[str, dict[str, Any]] = {}

    @field_validator("models")
    @classmethod
    def _names_are_folders(cls, entries: dict[str, Any]) -> dict[str, Any]:
        return _folder_names(entries)


class DefaultsConfig(_Frozen):
    """What entries have in common (``harness.experiment.defaults``): ``train`` is for the ``train:`` blocks, and
    ``generators`` is for policies too."""

    generators: dict[str, Any] = {}
    reward_models: dict[str, Any] = {}
    train: dict[str, Any] = {}


class EvaluationConfig(_Frozen):
    """What the report shows: sizes ``n`` of the headline table, aggregation (null: each reward model's own).

    ``problems`` is the set of problems to evaluate on, or a list of sets. Of several, accuracies are means over sets.
    ``bootstrap`` draws of problems make the intervals, BCa ones or plain percentiles (docs/statistics.md).
    ``selection`` are entries of selection rules beside the usual ones (``harness.experiment.selection``).
    """

    problems: str | list[str] = "test"
    n: list[int] = [1, 4, 16, 64]
    aggregation: list[Aggregation] | None = None
    protocol: Protocol | list[Protocol] = "subsets"
    bootstrap: int = Field(default=1000, ge=1, le=_MOST_DRAWS)
    interval: IntervalMethod = "bca"
    selection: dict[str, dict[str, Any]] = {}

    @field_validator("aggregation", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("problems", mode="before")
    @classmethod
    def _one_set_or_several(cls, problems: Any) -> Any:
        sets = problems if isinstance(problems, list) else [problems]
        if not sets or not all(isinstance(name, str) for name in sets):
            raise ValueError("the name of a set under problems:, or a list of such names, is expected")
        if twice := next((name for name in sets if sets.count(name) > 1), None):
            raise ValueError(f"{twice} is listed twice")
        return sets[0] if len(sets) == 1 else sets

    @property
    def sets(self) -> list[str]:
        """The names of the sets to evaluate on, in their order."""
        return [self.problems] if isinstance(self.problems, str) else self.problems

    @field_validator("n")
    @classmethod
    def _positive(cls, n: list[int]) -> list[int]:
        if not n or min(n) < 1:
            raise ValueError("sizes start at 1")
        return sorted(set(n))


class Experiment(_Frozen):
    """One experiment file. Entries of ``problems``, ``generators``, ``reward_models`` are checked by their type.

    A shard holds the responses to ``problems_per_shard`` problems, or to as many as have ``responses_per_shard``
    responses; what is made from responses has the shards of the responses.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(default=0, ge=0)
    output: Path | None = None
    responses: Path | None = None
    problems: dict[str, dict[str, Any]] = {}
    sampling: SamplingConfig = SamplingConfig()
    defaults: DefaultsConfig = DefaultsConfig()
    generators: dict[str, dict[str, Any]] = {}
    rollouts: dict[str, RolloutsConfig] = {}
    reward_models: dict[str, dict[str, Any]] = {}
    policies: PoliciesConfig = PoliciesConfig()
    verifier: dict[str, Any] = {"type": "math"}
    second_verifier: dict[str, Any] | None = None
    evaluation: EvaluationConfig = EvaluationConfig()
    problems_per_shard: int | None = Field(default=None, ge=1)
    responses_per_shard: int | None = Field(default=None, ge=1)

    @field_validator("rollouts", mode="before")
    @classmethod
    def _single_set(cls, raw: Any) -> Any:
        """A block without a name is a set with the name of its generator. No block at all is no set, nor is an empty
        one, which is how a manifest says so."""
        if not isinstance(raw, Mapping) or not raw or any(isinstance(value, Mapping) for value in raw.values()):
            return {} if raw is None else raw
        only = RolloutsConfig.model_validate(raw)
        return {only.generator: only}

    @field_validator("problems", "generators", "rollouts", "reward_models")
    @classmethod
    def _names_are_folders(cls, entries: dict[str, Any]) -> dict[str, Any]:
        return _folder_names(entries)

    @model_validator(mode="before")
    @classmethod
    def _recorded_responses(cls, raw: Any) -> Any:
        """``responses: FILE`` stands for the problems, a replay generator and the recorded scores of the file.

        A folder that ``bonbench export`` wrote stands for all that it has.
        """
        if not isinstance(raw, Mapping) or not raw.get("responses"):
            return raw
        path = str(raw["responses"])
        if is_export(Path(path)):
            exported = as_exported(path, read_facts(Path(path)))
            parts = {name: {**exported[name], **raw[name]} for name in _PARTS if name in exported and raw.get(name)}
            return {**exported, **raw, **parts}
        return {
            "problems": {"test": {"dataset": "responses", "path": path}},
            "generators": {"recorded": {"type": "replay", "path": path}},
            "reward_models": {"recorded": {"type": "recorded", "path": path}},
            **raw,
        }

    @field_validator("output", mode="before")
    @classmethod
    def _no_url(cls, output: Any) -> Any:
        if "://" in str(output):
            raise ValueError("a folder is expected, on a disk or a mounted file system, not a URL")
        return output

    @model_validator(mode="after")
    def _knows_what_is_few(self) -> Experiment:
        if self.sampling.too_few == "skip" and self.sampling.n is None:
            raise ValueError("sampling.too_few: skip needs sampling.n: how many responses a problem must have")
        return self

    @model_validator(mode="after")
    def _one_size(self) -> Experiment:
        if self.problems_per_shard and self.responses_per_shard:
            raise ValueError("problems_per_shard and responses_per_shard exclude each other: set one of them to null")
        return self

    def problems_in_shard(self, n: int) -> int:
        """The problems of a shard where each has ``n`` responses; at least one."""
        if self.responses_per_shard:
            return max(1, self.responses_per_shard // n)
        return self.problems_per_shard or _PROBLEMS_PER_SHARD

    @property
    def folder(self) -> Path:
        """Where results go: ``output``, or ``results/<name>`` below the working directory."""
        return self.output if self.output is not None else Path("results") / self.name


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read an experiment file and apply ``--set a.b=value`` overrides (values are YAML).

    Raises:
        UserError: for a missing file, wrong YAML, an unknown key or a value of the wrong kind.
    """
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise UserError(f"{path}: an experiment is a mapping with at least `name:`; `bonbench copy pocket` writes one")
    for override in overrides:
        set_key(raw, override)
    try:
        experiment = Experiment.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{path}: {first_error(error, Experiment)}") from None
    if not experiment.generators:
        hint = "--set responses=FILE" if "responses" in raw else "add generators: or responses:"
        raise UserError(f"{path}: no responses to compare: {hint}")
    return experiment


def set_key(raw: dict[str, Any], override: str, example: str = "sampling.n=16") -> None:
    """Do what ``--set a.b=value`` says to a mapping.

    Raises:
        UserError: for an override of another form, and for a value in the place of a mapping.
    """
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise UserError(f"--set {override}: expected KEY=VALUE, for instance --set {example}")
    *parents, last = key.split(".")
    node = raw
    for depth, parent in enumerate(parents):
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            raise UserError(f"--set {override}: {'.'.join(parents[: depth + 1])} is a value, not a mapping")
        node = child
    node[last] = parse_yaml(value, f"--set {override}")
