"""The generators of an experiment. The responses of some are compared; others only give rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.components import Generator, Mark
from harness.core.errors import UserError
from harness.experiment.config import Experiment
from harness.experiment.entries import build
from harness.experiment.spec import Spec


@dataclass(frozen=True)
class Generators:
    """All generators by name. ``evaluated`` are the names of the generators whose responses are compared."""

    specs: dict[str, Spec[Generator[Any]]]
    evaluated: list[str]

    @property
    def models(self) -> dict[str, str]:
        """The models of the generators that have one, by the generator's name."""
        paths = {name: spec.paths(Mark.MODEL).get("model") for name, spec in self.specs.items()}
        return {name: path for name, path in paths.items() if path}

    @property
    def asks(self) -> dict[str, dict[str, Any]]:
        """What the generators say of their prompts, by the generator's name."""
        return {name: spec.asks for name, spec in self.specs.items()}


def check_generators(config: Experiment) -> Generators:
    """Check the generators of an experiment.

    Raises:
        UserError: for an entry that cannot work.
    """
    generators = Generators({}, [])
    for name, entry in config.generators.items():
        where = f"generators.{name}"
        evaluate = entry.get("evaluate", True)
        if not isinstance(evaluate, bool):
            raise UserError(f"{where}.evaluate: true or false is expected (it is {evaluate!r})")
        options = {key: value for key, value in entry.items() if key != "evaluate"}
        generators.specs[name] = build("generators", name, options, where, generators.models)
        if evaluate:
            generators.evaluated.append(name)
    return generators


def responses_per_problem(config: Experiment, evaluated: Sequence[Spec[Generator[Any]]]) -> int:
    """How many responses to each problem are compared; 0 where no generator is evaluated.

    Raises:
        UserError: where ``sampling.n`` is missing, or larger than the number of recorded responses, and where
            ``evaluation.n`` is larger than the number of responses.
    """
    asked, sizes = config.sampling.n, []
    for spec in evaluated:
        available = spec.cls.available_samples(spec.params)
        if available is None and asked is None:
            raise UserError("sampling.n: missing: say how many responses to sample per problem")
        if available is not None and asked is not None and asked > available:
            raise UserError(
                f"sampling.n: {asked} is more than the {available} responses that {spec.where} has to some problem; "
                "lower it, or set evaluate: false for a generator that only gives rollouts"
            )
        sizes.append(asked or available or 0)
    if not sizes:
        return 0
    n = min(sizes)
    if "n" in config.evaluation.model_fields_set and max(config.evaluation.n) > n:
        raise UserError(
            f"evaluation.n: {max(config.evaluation.n)} is more than the {n} responses per problem; "
            "lower it or raise sampling.n"
        )
    return n
