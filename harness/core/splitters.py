r"""Ways to cut a response into steps, by name.

``steps: lines`` names a splitter; ``steps: {delimiter: "\n\n"}`` names one with its option, ``steps: {at_most: {k: 16,
of: lines}}`` with several. A splitter is a class that derives from :class:`StepSplitter`; a Python entry point in the
group ``bonbench.steps`` gives it its name. What a splitter does must not change under one name: the name, and the
options, are in the key of the scores.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from harness.core.errors import UserError, first_error, suggest
from harness.core.plugins import registered
from harness.core.steps import lines, marked_steps, paragraphs, step_ends, tiled

#: What the steps of a response are where nobody says how to cut it (:func:`harness.core.steps.step_ends`).
AUTO = "auto"


class StepSplitter(BaseModel):
    """Cuts a text into steps. Its fields are its options; a single value in an entry is the first of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def ends(self, text: str) -> tuple[int, ...]:
        """End offsets of the steps of ``text``, increasing, the last one ``len(text)``. An empty text has one step."""

    def checked_ends(self, text: str) -> tuple[int, ...]:
        """As :meth:`ends`, checked to tile the text.

        Raises:
            UserError: for offsets that do not.
        """
        ends = self.ends(text)
        if not ends or ends[-1] != len(text) or any(a >= b for a, b in pairwise((0, *ends)) if text):
            raise UserError(
                f"steps: {type(self).__name__} cuts a text of {len(text)} characters at {str(list(ends))[:60]}: "
                "it must give increasing offsets, the last one the length of the text"
            )
        return tuple(ends)


class Auto(StepSplitter):
    """``Step k:`` markers where the text has any, else paragraphs, else lines."""

    def ends(self, text: str) -> tuple[int, ...]:
        return step_ends(text)


class Numbered(StepSplitter):
    """``Step k:`` markers; a text without any is one step."""

    def ends(self, text: str) -> tuple[int, ...]:
        return tiled(text, marked_steps(text))


class Paragraphs(StepSplitter):
    """What blank lines separate."""

    def ends(self, text: str) -> tuple[int, ...]:
        return tiled(text, paragraphs(text))


class Lines(StepSplitter):
    """Lines, without blank ones."""

    def ends(self, text: str) -> tuple[int, ...]:
        return tiled(text, lines(text))


# A mark that ends a sentence, with brackets and quotes after it, before blanks and what may begin a sentence.
_SENTENCE = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'’”)\]}*$]*+\s++(?=[\"'‘“(\[*]*(?:[^\W_a-z]|[$\\]))|[。！？]++[”’」』）]*+\s*+|\n\s*+"
)
_ABBREVIATION = re.compile(
    r"\b(?:e\.g|i\.e|cf|vs|eqs?|figs?|ch|prob|thm|prop|def|ex|approx|resp|mrs?|ms|dr|prof|st)\.\s+$",
    re.IGNORECASE,
)
_ITEM = re.compile(r"[ \t]*(?:\d{1,3}|[A-Za-z])\.[ \t]+")  # a whole line up to there: the number of an item


class Sentences(StepSplitter):
    """Sentences, by the marks that end them and what follows: a blank and a capital, a digit or a formula.

    A line break ends one too. Common abbreviations (e.g., Eq.) and the number of an item in a list do not.
    """

    def ends(self, text: str) -> tuple[int, ...]:
        return tiled(text, (m.end() for m in _SENTENCE.finditer(text) if not _is_short_form(text, m)))


def _is_short_form(text: str, mark: re.Match[str]) -> bool:
    """Whether a mark is a period that ends no sentence."""
    if "\n" in mark[0]:
        return False
    near = text[max(0, mark.start() - 8) : mark.end()]
    line = text.rfind("\n", 0, mark.start()) + 1
    return bool(_ABBREVIATION.search(near) or _ITEM.fullmatch(text, line, mark.end()))


class Delimiter(StepSplitter):
    """What a string separates; it belongs to the step before it. A step has more than delimiters and blanks."""

    text: str = Field(min_length=1, description="what stands between two steps")

    @field_validator("text")
    @classmethod
    def _meant(cls, text: str) -> str:
        if re.fullmatch(r"(?:\\[nrt])+", text):
            raise ValueError(f'a backslash and a letter are no line break: write it in double quotes, "{text}"')
        return text

    def ends(self, text: str) -> tuple[int, ...]:
        starts = (m.end() for m in re.finditer(re.escape(self.text), text))
        return tiled(text, starts, lambda piece: not piece.replace(self.text, "").strip())


class Characters(StepSplitter):
    """Windows of so many characters, shortened to the last blank in their second half. No tokenizer is asked, so that
    the steps are the same for every model: four characters are about a token of English."""

    size: int = Field(ge=1, description="characters of a step at most, blanks after it not counted")

    def ends(self, text: str) -> tuple[int, ...]:
        starts, begin = [], 0
        while begin + self.size < len(text):
            end = begin + self.size
            blank = next((at for at in range(end, begin + self.size // 2, -1) if text[at - 1].isspace()), None)
            begin = end if blank is None else blank
            starts.append(begin)
        return tiled(text, starts)


class AtMost(StepSplitter):
    """The steps of another splitter, neighbours merged where there are more than ``k``, to about equal lengths."""

    k: int = Field(ge=1, description="how many steps there are at most")
    of: Steps = Field(AUTO, description="the steps that are merged")

    def ends(self, text: str) -> tuple[int, ...]:
        ends = splitter(self.of).checked_ends(text)
        if len(ends) <= self.k:
            return ends
        # The part of the text, of k equal ones, in which a step has its middle.
        part = [self.k * (begin + end) // (2 * len(text)) for begin, end in pairwise((0, *ends))]
        return tuple(end for i, end in enumerate(ends) if i + 1 == len(ends) or part[i + 1] != part[i])


def canonical(steps: Any) -> Any:
    """What an entry says of its steps, as plain data that is equal wherever the steps are: a name, or ``{name: {option:
    value}}``.

    Raises:
        ValueError: for no such splitter, or wrong options.
    """
    name, options = _named(steps)
    filled = _made(name, options).model_dump(mode="json")
    return {name: filled} if filled else name


def splitter(steps: Any) -> StepSplitter:
    """The splitter that an entry names."""
    name, options = _named(steps)
    return _cached(name, json.dumps(options, sort_keys=True))


#: A parameter that names a splitter.
Steps = Annotated[str | dict[str, Any], BeforeValidator(canonical)]


@cache
def available() -> dict[str, EntryPoint]:
    """The splitters by name."""
    return registered("bonbench.steps", "step splitter")


def _named(steps: Any) -> tuple[str, Any]:
    """The name of a splitter, and its options: None where there are none, one value, or all by name."""
    if isinstance(steps, str):
        return steps, None
    if isinstance(steps, Mapping) and len(steps) == 1 and isinstance(name := next(iter(steps)), str):
        return name, steps[name]
    raise ValueError('the name of a splitter is expected, or one with its option, such as {delimiter: "\\n\\n"}')


@cache
def _cached(name: str, options: str) -> StepSplitter:
    return _made(name, json.loads(options))


def _made(name: str, options: Any) -> StepSplitter:
    if name not in available():
        raise ValueError(f"no step splitter is named {name!r}{suggest(name, available())}")
    try:
        cls = available()[name].load()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{name} ({available()[name].value}) cannot be imported: {error}") from error
    if not (isinstance(cls, type) and issubclass(cls, StepSplitter)):
        raise ValueError(f"{name} ({available()[name].value}) is no harness.StepSplitter")
    if not isinstance(options, Mapping):
        first = next(iter(cls.model_fields), None)
        if options is not None and first is None:
            raise ValueError(f"{name} has no options: write steps: {name}")
        options = {} if options is None else {first: options}
    try:
        return cls.model_validate(options)
    except ValidationError as error:
        raise ValueError(first_error(error, cls, name)) from None


AtMost.model_rebuild()
