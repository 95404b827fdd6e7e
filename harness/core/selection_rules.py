"""What a selection rule is: from the scores and the answers of n responses to the chance of choosing each of them.

A rule is a class that derives from :class:`SelectionRule`, or a function. Rules are part of the analysis: they are in
the key of nothing that is stored.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, get_type_hints

import numpy as np
from pydantic import create_model

from harness.core.arrays import Floats, Ints
from harness.core.components import Component, P
from harness.core.errors import UserError, one_line
from harness.core.params import ComponentParams

_ARRAYS = ("scores", "weights", "classes")


class SelectionRule(Component[P]):
    """Chooses among n responses to a problem. A rule says how in :meth:`rank` or in :meth:`choose`.

    Arrays: M sets of n responses each, [M, n]; no set knows of another. ``scores`` float, higher is better, -inf for a
    response without one. ``weights`` float, what a score adds in weighted voting: a probability itself, else
    sigmoid(coefficient * score); 0 without a score. ``classes`` int, 0, 1, ..., equal for equivalent answers of a set,
    -1 for a response without an answer.
    """

    def rank(self, scores: Floats, weights: Floats, classes: Ints) -> Floats | None:
        """A number for each response, float [M, n], of which the rule takes the highest; None where it is no such rule.

        The number of a response must not depend on the others of its set: then what is expected over all subsets of n
        has a closed form.
        """
        return None

    def choose(self, scores: Floats, weights: Floats, classes: Ints) -> Floats:
        """The chance that each response is chosen, or a multiple of it, float [M, n]; all 0 where none is.

        It must not depend on the order of the responses: what ties shares the chances.

        Raises:
            UserError: where the rule says how in neither way.
        """
        raise UserError(f"selection rule {self.name}: it says neither rank nor choose")


def checked_choice(rule: SelectionRule[Any], scores: Floats, weights: Floats, classes: Ints) -> Floats:
    """The chances of :meth:`SelectionRule.choose`, float [M, n]; they add up to 1 in a set, or are all 0 there.

    Raises:
        UserError: where the rule raises, or gives anything but finite numbers of the right shape, none below 0.
    """
    chances = _numbers(rule, rule.choose, scores, weights, classes)
    if (chances < 0).any():
        raise UserError(f"selection rule {rule.name} gave the chance {chances.min():g}: none is below 0")
    highest = chances.max(axis=1, keepdims=True)
    chances = chances / np.where(highest > 0, highest, 1.0)  # at first by the highest: a sum may be beyond the floats
    total = chances.sum(axis=1, keepdims=True)
    return np.asarray(chances / np.where(total > 0, total, 1.0), dtype=np.float64)


def checked_rank(rule: SelectionRule[Any], scores: Floats, weights: Floats, classes: Ints) -> Floats | None:
    """What :meth:`SelectionRule.rank` gives, float [M, n] or None.

    Raises:
        UserError: where the rule raises, or gives neither None nor numbers of the right shape; -inf is one.
    """
    ranks: Floats | None = _numbers(rule, rule.rank, scores, weights, classes, unscored=True)
    return ranks


def _numbers(rule: SelectionRule[Any], method: Callable[..., Any], *arrays: Any, unscored: bool = False) -> Any:
    what = f"selection rule {rule.name}"
    try:
        # The rule gets arrays of its own: it may write into them.
        given = method(*(np.array(array) for array in arrays))
        if given is None and unscored:
            return None
        numbers = np.asarray(given)
        if numbers.dtype.kind not in "fiub":
            raise UserError(f"{what} gave {type(given).__name__} of {numbers.dtype}: an array of numbers is expected")
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{what}: {one_line(error)}") from error
    if numbers.shape != arrays[0].shape:
        raise UserError(f"{what} gave the shape {numbers.shape} for scores of the shape {arrays[0].shape}")
    numbers = numbers.astype(np.float64)
    allowed = np.isfinite(numbers) | (numbers == -np.inf if unscored else False)
    if not allowed.all():
        raise UserError(f"{what} gave {numbers[~allowed][0]}: finite numbers are expected")
    return numbers


def rule_of_function(function: Callable[..., Any], where: str) -> type[SelectionRule[Any]]:
    """A class for a function that is :meth:`SelectionRule.choose`.

    Its parameters ``scores``, ``weights`` and ``classes`` get the arrays, those of them that it has; its others are the
    parameters of an entry.

    Raises:
        UserError: naming ``where``, for a function without scores, with parameters that have no name, or whose
            annotations cannot be read.
    """
    parameters = inspect.signature(function).parameters
    kinds = {p.kind for p in parameters.values()}
    if not kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}:
        raise UserError(f"{where}: a selection rule has parameters with names, no * or /")
    taken = [name for name in _ARRAYS if name in parameters]
    if not taken:
        raise UserError(f"{where}: no selection rule: it takes none of {', '.join(_ARRAYS)}")
    try:
        hints = get_type_hints(function, include_extras=True)
        fields: dict[str, Any] = {
            name: (hints.get(name, Any), ... if p.default is inspect.Parameter.empty else p.default)
            for name, p in parameters.items()
            if name not in taken
        }
        params = create_model(f"{function.__name__}Params", __base__=ComponentParams, **fields)
    except Exception as error:
        raise UserError(f"{where}: its parameters cannot be read: {one_line(error)}") from error

    class OfFunction(SelectionRule[Any]):
        Params: ClassVar[type[ComponentParams]] = params

        def choose(self, scores: Floats, weights: Floats, classes: Ints) -> Floats:
            arrays = dict(zip(_ARRAYS, (scores, weights, classes), strict=True))
            options = {name: getattr(self.params, name) for name in fields}
            return function(**{name: arrays[name] for name in taken}, **options)  # type: ignore[no-any-return]

    OfFunction.__name__, OfFunction.__doc__ = function.__name__, function.__doc__
    return OfFunction
