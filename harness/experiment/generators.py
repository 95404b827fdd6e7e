"""The generators of an experiment. The responses of some are compared; others only give rollouts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.components import Generator
from harness.core.errors import UserError
from harness.core.params import Mark
from harness.core.records import Problem
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


@dataclass(frozen=True)
class Compared:
    """What is compared: ``n`` responses to each problem of ``sets``, and what is to be known of that, in sentences.

    ``n`` is 0 where no generator is evaluated.
    """

    n: int
    sets: dict[str, list[Problem]]
    notes: list[str]


def compared(
    config: Experiment, evaluated: Sequence[Spec[Generator[Any]]], sets: Mapping[str, list[Problem]], stand_in: bool
) -> Compared:
    """How many responses to which problems are compared.

    Args:
        evaluated: the generators whose responses are compared.
        sets: the problems to evaluate on, by the name of their set.
        stand_in: whether there are nameless problems in the place of unknown ones.

    Raises:
        UserError: where ``sampling.n`` is missing, or larger than the number of recorded responses to a problem that is
            not left out, and where ``evaluation.n`` is larger than the number of responses.
    """
    asked, notes, sizes = config.sampling.n, list[str](), list[int]()
    problems = [problem for of_set in sets.values() for problem in of_set]
    for spec in evaluated:
        available = spec.cls.available_samples(spec.params, None if stand_in else problems)
        if available is None:
            if asked is None:
                raise UserError("sampling.n: missing: say how many responses to sample per problem")
            sizes.append(asked)
            continue
        fewest = min(available.values(), default=0)
        if asked is None:
            if not fewest:
                raise UserError(f"{spec.where} has no responses to some problems: {_unequal(available, spec.where)}")
            if fewest < max(available.values()):
                notes.append(
                    f"n = {fewest}: {_unequal(available, spec.where)}. A sampling.n with sampling.too_few: skip leaves "
                    "out problems that have fewer."
                )
        elif fewest < asked and config.sampling.too_few == "skip" and not stand_in:
            short = [id_ for id_, n in available.items() if n < asked]
            problems = [p for p in problems if p.problem_id not in set(short)]
            notes.append(
                f"Left out for fewer than {asked} responses: {len(short)} of {len(available)} problems "
                f"({_unequal(available, spec.where)})."
            )
            kept = {p.problem_id for p in problems}
            sets = {name: [p for p in of_set if p.problem_id in kept] for name, of_set in sets.items()}
            if empty := next((name for name, of_set in sets.items() if not of_set), None):
                of = f" of {empty}" if len(sets) > 1 else ""
                raise UserError(f"sampling.n: no problem{of} has {asked} responses: {_unequal(available, spec.where)}")
        elif fewest < asked:
            raise UserError(
                f"sampling.n: {asked} wanted, but {_unequal(available, spec.where)}: lower it, leave such problems out "
                "(sampling.too_few: skip), or set evaluate: false for a generator that only gives rollouts"
            )
        sizes.append(asked or fewest)
    n = min(sizes, default=0)
    if n and "n" in config.evaluation.model_fields_set and max(config.evaluation.n) > n:
        raise UserError(
            f"evaluation.n: {max(config.evaluation.n)} is more than the {n} responses per problem; "
            "lower it or raise sampling.n"
        )
    return Compared(n, dict(sets), notes)


_NAMED = 3  # problems that a sentence names


def _unequal(available: Mapping[str, int], where: str) -> str:
    """Which problems have the fewest responses, and how many have how many others."""
    fewest = min(available.values(), default=0)
    short = [repr(id_) for id_, n in available.items() if n == fewest]
    others = Counter(n for n in available.values() if n > fewest)
    more = f" and {len(short) - _NAMED} more" if len(short) > _NAMED else ""
    named = f"problem{'s' if len(short) > 1 else ''} {', '.join(short[:_NAMED])}{more}"
    said = [f"{named} {_have(len(short), fewest)} of {where}"]
    said += [f"{count} problem{'s' if count > 1 else ''} {_have(count, n)}" for n, count in sorted(others.items())]
    return "; ".join(said[: _NAMED + 1]) + ("; …" if len(said) > _NAMED + 1 else "")


def _have(problems: int, n: int) -> str:
    return f"{'have' if problems > 1 else 'has'} {n} response{'s' if n != 1 else ''}"
