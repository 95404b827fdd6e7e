"""Values with conditions: which letters are parameters, and which conditions must agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations

from bonbench.verifiers.equivalence.families import WHOLE
from bonbench.verifiers.equivalence.renaming import renamed, symbols
from bonbench.verifiers.equivalence.verdict import DIFFERENT, Verdict, any_equal, pair_up
from bonbench.verifiers.reading.answers import Answer, Conditioned, Domain, Relation, Residue

Equal = Callable[[Answer, Answer], Verdict]

_MAX_PARAMETERS = 3


def compare(a: Answer, b: Answer, equal: Equal) -> Verdict:
    """Whether two answers, one of them at least with conditions, mean the same.

    A parameter with a domain may have any letter. A condition that just one of the answers has is a remark, except on
    remainders ("if n is even"); where both have some, they must be the same.
    """
    (left, left_conditions), (right, right_conditions) = _parts(a), _parts(b)
    if not _conditions_agree(left_conditions, right_conditions, equal):
        return DIFFERENT
    domains = _parameters(left, left_conditions), _parameters(right, right_conditions)
    return any_equal(
        equal(renamed(left, ours), renamed(right, theirs)) for ours, theirs in _renamings(left, right, *domains)
    )


def _parts(answer: Answer) -> tuple[Answer, tuple[Answer, ...]]:
    return (answer.value, answer.conditions) if isinstance(answer, Conditioned) else (answer, ())


def _conditions_agree(a: Sequence[Answer], b: Sequence[Answer], equal: Equal) -> bool:
    ours, theirs = ([c for c in part if not isinstance(c, Domain)] for part in (a, b))
    if not ours or not theirs:
        return not any(isinstance(c, Residue) for c in (*ours, *theirs))
    return pair_up(ours, theirs, lambda x, y: _same_condition(x, y, equal)).equal


def _same_condition(a: Answer, b: Answer, equal: Equal) -> Verdict:
    """Conditions are about named letters: ``x = 2`` is not the condition ``y = 2``."""
    if not isinstance(a, Relation | Residue) or not isinstance(b, Relation | Residue):
        return equal(a, b)
    return equal(a, b) if symbols(a) == symbols(b) else DIFFERENT


def _parameters(value: Answer, conditions: Sequence[Answer]) -> dict[str, str]:
    """Letter -> kind of its domain, for the letters of ``value`` that have one."""
    used = symbols(value)
    return {
        name: "R" if condition.kind == "constant" else condition.kind
        for condition in conditions
        if isinstance(condition, Domain) and condition.kind != "all"
        for name in condition.names
        if name in used
    }


def _renamings(
    a: Answer, b: Answer, ours: dict[str, str], theirs: dict[str, str]
) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """(new names in ``a``, new names in ``b``) that may make the parameters the same."""
    kinds = {*ours.values(), *theirs.values()}
    if not kinds & {"Z", "N", "N0", "prime", "Q"}:
        yield {}, {}  # real letters may also be variables
    if not kinds or max(len(ours), len(theirs)) > _MAX_PARAMETERS:
        return
    if not ours or not theirs:
        declared, other = (ours, b) if ours else (theirs, a)
        if isinstance(other, Residue):  # has no letter for its parameter
            yield (_tags(declared), {}) if ours else ({}, _tags(declared))
        for guess in _undeclared(declared, _symbols_of_value(a if ours else b), _symbols_of_value(other)):
            tags = _tags(declared), _tags(declared, guess)
            yield tags if ours else tags[::-1]
        return
    if sorted(ours.values()) != sorted(theirs.values()):
        return
    for order in permutations(theirs):
        if [theirs[name] for name in order] == list(ours.values()):
            yield _tags(ours), _tags(ours, order)


def _symbols_of_value(answer: Answer) -> frozenset[str]:
    """The symbols of ``(k, l) = …`` without those of its name."""
    match answer:
        case Relation((_, value), ("=",)):
            return symbols(value)
    return symbols(answer)


def _undeclared(
    declared: dict[str, str], own_symbols: frozenset[str], other_symbols: frozenset[str]
) -> Iterator[Sequence[str]]:
    """Letters of the answer without domains that may be the parameters, in the order of ``declared``."""
    if declared.keys() <= other_symbols:
        yield list(declared)
        return
    free = sorted(other_symbols - (own_symbols - declared.keys()))
    if len(free) == len(declared):
        yield from permutations(free)


def _tags(declared: dict[str, str], letters: Sequence[str] = ()) -> dict[str, str]:
    """Letter -> the name that parameters of its kind get in both answers."""
    return {
        letter: f"{WHOLE if kind == 'Z' else kind + ' '}{number}"
        for number, (letter, kind) in enumerate(zip(letters or declared, declared.values(), strict=True))
    }
