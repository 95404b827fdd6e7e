"""The problem sets of an experiment. A problem must not be both trained on and evaluated on.

Several sets may be evaluated together. A problem that is in two of them counts in both, with responses of its own.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from harness.core.components import Dataset
from harness.core.errors import Unavailable, UserError, suggest
from harness.core.problem_ids import id_in_set
from harness.core.records import Problem
from harness.core.text import mended_records
from harness.experiment.config import Experiment
from harness.experiment.entries import build
from harness.experiment.spec import Spec

_log = logging.getLogger("bonbench.data")

STAND_IN_CHARACTERS = 200  # of a problem that stands in for an unknown one, about the mean of MATH and GSM8K


def load_problem_sets(
    config: Experiment, evaluated: bool, may_stand_in: bool
) -> tuple[dict[str, list[Problem]], list[str], list[str]]:
    """The sets that the experiment names (set -> problems), which of them are stand-ins, and sentences on problems that
    several sets to evaluate on have.

    Of those sets all but the first have their name in the ids of their problems (:mod:`harness.core.problem_ids`).

    Args:
        evaluated: whether the experiment must have problems to evaluate on. If not, they are loaded if it has any.
        may_stand_in: let nameless problems stand in for a set that cannot be read but says its size.

    Raises:
        UserError: for a set that is missing, empty or cannot be read, and for problems that are both trained on and
            evaluated on.
    """
    places = {}
    evaluated_on = config.evaluation.sets
    if evaluated or not config.problems.keys().isdisjoint(evaluated_on):
        places = dict.fromkeys(evaluated_on, "evaluation.problems")
    for name, rollouts in config.rollouts.items():
        places.setdefault(rollouts.problems, f"{rollouts_at(config, name)}.problems")
    sets, stand_ins = {}, []
    for name, where in places.items():
        if name not in config.problems:
            raise UserError(f"{where}: no problem set is named {name!r}{suggest(name, config.problems)}")
        if _holds_sets(config.problems[name]):
            inner = ", ".join(config.problems[name])
            raise UserError(
                f"problems.{name}: a data set is expected: put {inner} under problems: themselves, and list those to "
                f"evaluate on as evaluation.problems: [{inner}]"
            )
        spec: Spec[Dataset[Any]] = build("datasets", name, config.problems[name], f"problems.{name}", {})
        try:
            sets[name] = _whole(name, spec.cls(spec.params, spec.name).load())
        except Unavailable:
            size = spec.cls.declared_size(spec.params) if may_stand_in else None
            if size is None:
                raise
            sets[name] = [Problem(f"{i}", f"{name} {i} ".ljust(STAND_IN_CHARACTERS, "."), "") for i in range(size)]
            stand_ins.append(name)
        if not sets[name]:
            raise UserError(f"problems.{name}: the set is empty")
    _keep_apart(config, sets)
    shared = _shared([(name, sets[name]) for name in evaluated_on if name in sets and name not in stand_ins])
    for name in (name for name in evaluated_on[1:] if name in sets):
        sets[name] = [dataclasses.replace(p, problem_id=id_in_set(name, p.problem_id)) for p in sets[name]]
        # Only the first set's ids are as somebody else made them.
        if taken := {p.problem_id for p in sets[evaluated_on[0]]} & {p.problem_id for p in sets[name]}:
            raise UserError(
                f"problems.{name}: {evaluated_on[0]} has the problem id {min(taken)!r} too, which stands for a problem "
                f"of {name}: give {name} another name"
            )
    return sets, stand_ins, shared


def _holds_sets(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is no data set, but a mapping of some."""
    return bool(entry) and all(isinstance(value, Mapping) for value in entry.values())


def _shared(sets: Sequence[tuple[str, Sequence[Problem]]]) -> list[str]:
    """A sentence for every two sets that have problems in common."""
    sentences = []
    for (one, problems), (other, others) in itertools.combinations(sets, 2):
        theirs = {p.problem for p in others}
        common = [p.problem_id for p in problems if p.problem in theirs]
        if common:
            sentences.append(
                f"{one} and {other} have {len(common)} {'problems' if len(common) > 1 else 'problem'} in common, for "
                f"instance {common[0]!r} of {one}: each set counts "
                f"{'them' if len(common) > 1 else 'it'}, with responses of its own."
            )
    return sentences


def _whole(name: str, problems: list[Problem]) -> list[Problem]:
    """Problems with every half of a character replaced, whatever data set they come from."""
    whole, changed = mended_records(problems)
    if changed:
        _log.warning(
            "problems.%s: %d of %d have half a character (a lone surrogate), read as U+FFFD; the first is %r",
            name, len(changed), len(whole), changed[0].problem_id,
        )  # fmt: skip
    return whole


def rollout_sets(
    config: Experiment, problems: Mapping[str, Sequence[Problem]], generators: Collection[str], asked: Any, where: str
) -> list[str]:
    """The sets of rollouts that a training asks for; the first one if ``asked`` is None.

    Raises:
        UserError: naming ``where``, for a set that does not exist, and for two sets with the same rollouts.
    """
    if not config.rollouts:
        raise UserError("rollouts: missing: training needs {generator: NAME, problems: train, n: 8}")
    names = [next(iter(config.rollouts))] if asked is None else asked
    if not isinstance(names, list) or not names or len(set(map(str, names))) < len(names):
        raise UserError(f"{where}: a list of different sets is expected, for instance [{', '.join(config.rollouts)}]")
    seen: dict[tuple[str, str, str], str] = {}
    for name in names:
        if not isinstance(name, str) or name not in config.rollouts:
            raise UserError(f"{where}: no set of rollouts is named {name!r}{suggest(str(name), config.rollouts)}")
        rollouts = config.rollouts[name]
        generator = rollouts.generator
        for key, value in (("generator", generator), ("completed_by", rollouts.completed_by or generator)):
            if value not in generators:
                at = f"{rollouts_at(config, name)}.{key}"
                raise UserError(f"{at}: no generator is named {value!r}{suggest(value, generators)}")
        for problem in problems[rollouts.problems] if len(names) > 1 else ():
            other = seen.setdefault((generator, problem.problem_id, problem.problem), name)
            if other != name:
                raise UserError(
                    f"{where}: {other} and {name} hold the same responses of {generator} to problem "
                    f"{problem.problem_id!r}: name one of them, with a larger n"
                )
    return names


def rollouts_at(config: Experiment, name: str) -> str:
    """The place of a set of rollouts in the experiment file, for error lines. A single block may have no name."""
    alone = list(config.rollouts) == [config.rollouts[name].generator]
    return "rollouts" if alone else f"rollouts.{name}"


def _keep_apart(config: Experiment, sets: dict[str, list[Problem]]) -> None:
    evaluated_on = config.evaluation.sets
    for test in evaluated_on:
        asked = {p.problem for p in sets.get(test, [])}
        for name, problems in sets.items():
            shared = asked & {p.problem for p in problems}
            if name not in evaluated_on and shared:
                raise UserError(
                    f"problems: {test} and {name} share {len(shared)} problems, for instance {min(shared)!r}; "
                    "what is trained on must not be evaluated on"
                )
    for name, rollouts in config.rollouts.items():
        if rollouts.problems in evaluated_on:
            which = "the set" if len(evaluated_on) == 1 else "a set"
            raise UserError(
                f"{rollouts_at(config, name)}.problems: {rollouts.problems} is {which} of evaluation.problems; train "
                "on another set"
            )
