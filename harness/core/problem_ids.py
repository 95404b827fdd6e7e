"""What a problem is called where several sets are evaluated together: no two problems of an experiment share an id.

The problems of the first set keep their ids, so that what is stored of them serves on when another set is added. A
problem of any other set is called ``<set>:<id>``. The name of a set has no colon.
"""

from __future__ import annotations

_BETWEEN = ":"


def id_in_set(of_set: str, problem_id: str) -> str:
    """The id, among several sets, of a problem of a set that is not the first."""
    return f"{of_set}{_BETWEEN}{problem_id}"


def own_id(problem_id: str) -> str | None:
    """The id in its own set of a problem that :func:`id_in_set` may have named; None where it cannot have."""
    return problem_id.partition(_BETWEEN)[2] or None
