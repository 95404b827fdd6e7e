"""One problem that a component cannot do costs the others of its shard nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TypeVar

from harness.core.errors import UserError, one_line
from harness.core.incomplete import Incomplete
from harness.engine.failures import breaks_process

Row = TypeVar("Row")
Made = TypeVar("Made")


def spared(
    make: Callable[[list[Row]], list[Made]], rows: Sequence[Row], problem_of: Callable[[Row], str]
) -> list[Made]:
    """``make(rows)``. Where it raises, it is called for one half of the problems and for the other, and so on.

    Args:
        make: makes records of rows. It may raise :class:`~harness.core.incomplete.Incomplete` itself.
        rows: those of a problem are adjacent.
        problem_of: the id of a row's problem.

    Raises:
        Incomplete: with what was made, where some problems fail alone too.
        Exception: what ``make`` raised, where it is a mistake of the user's, where the process can do nothing more, and
            where every problem fails.
    """
    try:
        return make(list(rows))
    except UserError:
        raise
    except Exception as error:
        blocks = [list(block) for _, block in groupby(rows, key=problem_of)]
        if breaks_process(error) or len(blocks) < 2:
            raise
        made, missing = _apart(make, blocks, problem_of)
        if len(missing) == len(blocks):
            raise
        if missing:
            raise Incomplete(made, missing) from error
        return made


def _apart(
    make: Callable[[list[Row]], list[Made]], blocks: Sequence[list[Row]], problem_of: Callable[[Row], str]
) -> tuple[list[Made], dict[str, str]]:
    """What is made of several problems' rows, one half after the other, and why nothing is made of some problems."""
    made: list[Made] = []
    missing: dict[str, str] = {}
    for half in (blocks[: len(blocks) // 2], blocks[len(blocks) // 2 :]):
        try:
            made += make([row for block in half for row in block])
        except Incomplete as part:
            made += part.made
            missing |= part.missing
        except UserError:
            raise
        except Exception as error:
            if breaks_process(error):
                raise
            if len(half) == 1:
                missing[problem_of(half[0][0])] = one_line(error)
            else:
                more, failed = _apart(make, half, problem_of)
                made += more
                missing |= failed
    return made, missing
