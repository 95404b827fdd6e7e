"""How a language model reads the steps of a response: as they are written, or as numbered paragraphs.

The parameter ``steps`` of what scores by token passes says both: the form, and how the response is cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BeforeValidator

from harness.core.splitters import AUTO, StepSplitter, canonical, splitter

AS_WRITTEN, NUMBERED = "as-written", "numbered"


class Form(NamedTuple):
    """``numbered``: whether the steps are rewritten as numbered paragraphs. ``splitter`` cuts them; None: as usual."""

    numbered: bool
    splitter: StepSplitter | None


def form_of(steps: Any) -> Form:
    """What the (valid) parameter ``steps`` says."""
    if steps in (AS_WRITTEN, NUMBERED):
        return Form(steps == NUMBERED, None)
    if NUMBERED in steps:
        return Form(True, splitter(steps[NUMBERED]))
    return Form(False, splitter(steps))


def numbered_too(steps: Any) -> Any:
    """What an entry says of steps, of a model that reads numbered paragraphs unless the entry names a form."""
    return steps if steps in (AS_WRITTEN, NUMBERED) or _is_numbered(steps) else {NUMBERED: steps}


def _form(steps: Any) -> Any:
    """The parameter as plain data, equal wherever the form and the steps are."""
    if steps in (AS_WRITTEN, NUMBERED):
        return steps
    if _is_numbered(steps):
        cut = canonical(steps[NUMBERED])
        return NUMBERED if cut == AUTO else {NUMBERED: cut}
    cut = canonical(steps)
    return AS_WRITTEN if cut == AUTO else cut


def _is_numbered(steps: Any) -> bool:
    return isinstance(steps, Mapping) and list(steps) == [NUMBERED]


def _of_a_pass(steps: Any) -> Any:
    if steps not in (AS_WRITTEN, NUMBERED) and not _is_numbered(steps):
        raise ValueError("a pass reads all tokens, whatever the steps: as-written, numbered or {numbered: ...}")
    return steps


#: The parameter ``steps`` of a reward model that scores by token passes, and of a token pass.
Forms = Annotated[str | dict[str, Any], BeforeValidator(_form)]
FormOfPass = Annotated[Forms, AfterValidator(_of_a_pass)]
