"""Examples of problems that are kept apart: no weight is fitted to them, they only tell how the training goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bonbench.reward_models.training.data import Examples, Prepared
from bonbench.reward_models.training.params import TrainingParams
from harness.core.errors import UserError


def split(prepared: Prepared, examples: Examples, params: TrainingParams) -> tuple[Examples, Examples | None]:
    """The examples to learn from, and those of the problems kept apart; None where none is to be.

    Raises:
        UserError: when either has no example.
    """
    if not params.validation:
        return examples, None
    apart = prepared.apart[examples.rows[:, 0]]
    check_apart(apart.tolist(), "examples")
    learnt, held = (replace(examples, rows=examples.rows[of], units=examples.units[of]) for of in (~apart, apart))
    return learnt, held


def check_apart(apart: Sequence[bool], what: str) -> None:
    """Raise :class:`UserError` unless some of the examples, or of the problems they are of, are kept apart, and some
    are not."""
    if all(apart) or not any(apart):
        which, change = ("all", "lower it, or leave it out") if all(apart) else ("none", "raise it")
        of = "of problems that are kept apart" if what == "examples" else "kept apart"
        raise UserError(f"validation: {which} of the {len(apart)} {what} are {of}: {change}")


def about(prepared: Prepared, apart: Examples | None) -> dict[str, object]:
    """Facts about the examples kept apart."""
    if apart is None:
        return {}
    members, problems = np.unique(apart.rows), prepared.problems
    counts = {"n_problems": len({problems[i] for i in members}), "n_responses": len(members)}
    return {"kept_apart": {**counts, "n_examples": len(apart.rows)}}
