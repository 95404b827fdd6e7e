"""Components and where they are found.

A component is a dataset, generator, verifier, token scorer, trainer or reward model. Each is a class
derived from one of the base classes here. Built-in and third-party components are found in the same way: a Python
entry point in the group ``bonbench.<kind>`` names the class; ``path/to/file.py:Class`` names one without
installing anything. Classes are imported when they are first used, so this module, and any component
module, must be cheap to import: torch, transformers and the like are imported inside methods.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from harness.core.records import (
    Grade,
    GradedSolution,
    Problem,
    Response,
    Sampling,
    Solution,
    StepScores,
    TokenLogprobs,
)

Kind = Literal["datasets", "generators", "verifiers", "token_scorers", "trainers", "reward_models"]
ScoreType = Literal["probability", "log-ratio", "unbounded"]


class UserError(Exception):
    """A mistake of the user's: shown as one line that names what, where and how to fix it; exit code 2."""


class Unavailable(UserError):
    """Data that are not on this machine and could not be fetched."""


class ComponentParams(BaseModel):
    """Base of every component's parameters: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


#: A model: a folder in `transformers` format, a GGUF file, or a Hugging Face id. In an experiment the name of a
#: generator or of a trained reward model may stand here too. Its content enters every key built from it.
ModelPath = Annotated[str, "model"]
#: A data file; its content enters every key built from it.
DataPath = Annotated[str, "data"]
V = TypeVar("V")
#: A parameter that says where or how fast something runs and cannot change what comes out: ``Runtime[int]``. It enters
#: no key.
Runtime = Annotated[V, "runtime"]

#: A token pass: its model, or all parameters of its token scorer where there is more to say than the model.
PassOf = str | Mapping[str, str]

P = TypeVar("P", bound=ComponentParams)


class Component(ABC, Generic[P]):
    """A configured part. Constructing one loads what it needs (weights, files); ``check`` must be cheap.

    ``revision`` is raised whenever the same parameters would give other results, so that stored ones
    are recomputed.
    """

    Params: ClassVar[type[ComponentParams]] = ComponentParams
    revision: ClassVar[int] = 1
    registered_name: ClassVar[str] = ""  # set by @register

    def __init__(self, params: P, name: str = "") -> None:
        self.params = params
        self.name = name

    @classmethod
    def check(cls, params: P) -> None:
        """Raise :class:`UserError` for parameters that cannot work, before anything is started."""

    def describe(self) -> dict[str, Any]:
        """Facts for the ledger: ``config`` (the model's config as a dict) and ``device``, where there are any."""
        return {}


class Dataset(Component[P]):
    """A problem set."""

    @classmethod
    def declared_size(cls, params: P) -> int | None:
        """How many problems the parameters say the set has, for plans where it cannot be read; None: they do not."""
        return None

    @abstractmethod
    def load(self) -> list[Problem]: ...


class Generator(Component[P]):
    """Samples solutions. ``recorded``: its responses exist already, and there may be fewer than are asked for."""

    recorded: ClassVar[bool] = False

    @classmethod
    def available_samples(cls, params: P) -> int | None:
        """Responses per problem where they exist already (the fewest of any problem); None where they are sampled."""
        return None

    @abstractmethod
    def generate(
        self, problems: Sequence[Problem], sampling: Sampling, seeds: Mapping[str, Sequence[int]]
    ) -> list[Response]:
        """``sampling.n`` responses per problem, ordered by problem, then sample. If ``recorded``, as many as there are.

        ``seeds[problem_id][i]`` alone (with the parameters) decides sample i, whatever the batch around it.
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
        ``n_prompt_tokens`` as part of the prompt.

        Raises:
            UserError: for a generator that cannot go on from a beginning.
        """
        raise UserError(f"{type(self).__name__} cannot go on from the beginning of a response")


class Verifier(Component[P]):
    """Grades responses against gold answers."""

    @abstractmethod
    def grade(self, problems: Sequence[Problem], responses: Sequence[Response]) -> list[Grade]:
        """One grade per response, in their order. ``responses`` may mix problems; all of a problem's are there."""

    @abstractmethod
    def extract(self, text: str) -> str | None:
        """The final answer stated in ``text``, or None."""

    @abstractmethod
    def verify(self, pairs: Sequence[tuple[str | None, str]]) -> list[tuple[bool, str]]:
        """(correct, reason) for each (extracted answer, gold) pair."""


class TokenScorer(Component[P]):
    """Log-probabilities of response tokens under one causal LM: a pass that reward models share."""

    @abstractmethod
    def logprobs(self, batch: Sequence[Solution]) -> list[TokenLogprobs]:
        """One record per solution, in order. Solutions to one problem are adjacent."""


class RewardModel(Component[P]):
    """Scores solutions.

    Class attributes say what the numbers mean: ``reward`` is "PRM" (one reward per step) or "ORM" (one in
    all); ``score_type`` their range; ``aggregation`` turns step rewards into a response's score by default;
    ``coefficient`` scales a log-ratio or unbounded score before the sigmoid of weighted voting.
    An instance may set any of them on itself.
    """

    reward: ClassVar[Literal["PRM", "ORM"]] = "PRM"
    score_type: ScoreType = "unbounded"
    aggregation: str = "min"
    coefficient: float = 1.0

    @classmethod
    def token_passes(cls, params: P) -> Mapping[str, PassOf]:
        """Token passes needed: role -> model, e.g. ``{"policy": "path", "reference": "path"}``.

        Each distinct pass is computed once, stored, and handed to every reward model that asks
        for it, as ``solution.logprobs[role]``.
        """
        return {}

    @classmethod
    def with_trained(cls, entry: dict[str, Any], model: str, base: str, training: Any) -> dict[str, Any]:
        """The entry's parameters once its ``train:`` block (``training``) has produced ``model`` from ``base``."""
        return {"model": model, **entry}

    @classmethod
    def expand(cls, entry: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
        """Several entries that one stands for (name -> entry), or None: most stand for themselves."""
        return None

    @abstractmethod
    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        """One record per solution, in order. Solutions to one problem are adjacent."""


class Trainer(Component[P]):
    """Trains a model from graded rollouts. Parameters have ``base`` (a model) and ``responses`` (per problem)."""

    @classmethod
    def token_passes(cls, params: P) -> Mapping[str, PassOf]:
        """Token passes over the rollouts needed: role -> model, as for reward models."""
        return {}

    @classmethod
    def method(cls, params: P) -> str:
        """What the tables call the method: trainings that differ in the amount of data alone share it."""
        return cls.__name__.removesuffix("Trainer")

    @classmethod
    def problems(cls, params: P, problem_ids: Sequence[str]) -> Collection[str]:
        """Those of the rollouts' problems that are trained on: their rollouts are what the training costs."""
        return problem_ids

    @classmethod
    def with_base(cls, entry: dict[str, Any], training: Any) -> dict[str, Any]:
        """The parameters asked for (``entry``) where ``base`` is what another entry's training (``training``) makes."""
        return entry

    @classmethod
    def completions(cls, params: P) -> Sequence[int]:
        """Completions to sample and grade after every step of every rollout, for step labels: how many in each round.

        Later rounds go on where none came out right before; nothing is sampled without rounds. Completions are sampled
        by the rollouts' generator; ``GradedSolution.steps`` then has the share of right ones.
        """
        return ()

    @classmethod
    def reads_per_rollout(cls, params: P) -> float:
        """How often a rollout goes through forward and backward, as far as a plan can tell."""
        return 1.0

    @abstractmethod
    def train(
        self, data: Sequence[GradedSolution], output: Path, progress: Callable[[int, int, str], None]
    ) -> dict[str, Any]:
        """Write the trained model to the folder ``output``; return facts for the ledger and the report.

        Must be deterministic. ``progress(done, total, note)`` may be called at any rate. The returned
        facts hold at least ``config`` (the model's, as a dict), ``train_tokens`` (tokens that went through
        forward and backward, epochs counted, padding not) and ``train_positions`` (the sum of l (l + 1) / 2 over
        the sequences of length l among them: what causal attention costs). Tokens that were only read in training are
        ``forward_tokens`` and ``forward_positions``, where there are any.
        """


C = TypeVar("C", bound=Component[Any])

BASES: dict[str, type[Component[Any]]] = {
    "datasets": Dataset,
    "generators": Generator,
    "verifiers": Verifier,
    "token_scorers": TokenScorer,
    "trainers": Trainer,
    "reward_models": RewardModel,
}


def register(name: str) -> Callable[[type[C]], type[C]]:
    """Class decorator: the class is found as ``path.py:name``, and goes by that name in an experiment."""

    def named(cls: type[C]) -> type[C]:
        cls.registered_name = name
        return cls

    return named


@cache
def available(kind: Kind) -> dict[str, EntryPoint]:
    """Registered names of a kind, with their entry points (nothing is imported)."""
    return {e.name: e for e in sorted(entry_points(group=f"bonbench.{kind}"), key=lambda e: e.name)}


@cache
def find(kind: Kind, type_: str) -> type[Any]:
    """The class that ``type_`` (a registered name or ``path.py:Class``) stands for.

    Raises:
        UserError: for an unknown name (near matches are suggested), a file that cannot be imported, or a
            class of another kind.
    """
    if ".py:" in type_:
        cls = _from_file(*type_.rsplit(":", 1))
    else:
        names = available(kind)
        if type_ not in names:
            raise UserError(f"no {kind[:-1].replace('_', ' ')} is named {type_!r}{suggest(type_, names)}")
        try:
            cls = names[type_].load()
        except ImportError as error:
            raise UserError(f"{type_} ({names[type_].value}) cannot be imported: {error}") from error
    base = BASES[kind]
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise UserError(f"{type_} is not a {base.__name__}: derive it from harness.core.registry.{base.__name__}")
    return cls


def source_digest(type_: str) -> str | None:
    """SHA-256 of the file behind ``path.py:Class``, so that editing it invalidates its results; else None."""
    if ".py:" not in type_:
        return None
    return hashlib.sha256(Path(type_.rsplit(":", 1)[0]).read_bytes()).hexdigest()


def suggest(word: str, choices: Any) -> str:
    """A trailing hint for an error line: near matches of ``word``, or all choices where they are few."""
    choices = sorted(choices)
    near = difflib.get_close_matches(word, choices, n=3)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; there is {', '.join(choices[:12])}" if choices else ""


def _from_file(file: str, name: str) -> type[Any]:
    path = Path(file)
    if not path.is_file():
        raise UserError(f"{file}: no such file")
    module_name = f"bonbench_file_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise UserError(f"{file} cannot be imported: {type(error).__name__}: {error}") from error
    classes = {n: v for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, Component)}
    classes |= {v.registered_name: v for v in classes.values() if v.__dict__.get("registered_name")}
    if name not in classes:
        own = [n for n, v in classes.items() if v.__module__ == module_name]
        raise UserError(f"{file} has no component {name}{suggest(name, own)}")
    return classes[name]
