"""The choices on which graders differ, each by name. ``docs/verifier.md`` gives the reasons for the defaults."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Literal

from pydantic import Field, field_validator

from harness.core.params import ComponentParams, Unkeyed


class Policy(ComponentParams):
    """How lenient a comparison is."""

    percent: Literal["equal", "ignore", "value"] = Field(
        "equal", description="equal: 10 % is 10 and is 1/10; ignore: it is 10 only; value: it is 1/10 only"
    )
    units: Literal["ignore", "match"] = Field(
        "ignore",
        description="ignore: units, currencies and the degree sign are dropped; match: where both answers have a unit, "
        "the units must be the same",
    )
    order: Literal["free", "fixed"] = Field(
        "free", description="free: lists without brackets are compared as multisets; fixed: in the order written"
    )
    unsimplified: Literal["accept", "reject"] = Field(
        "accept", description="accept: any form of the value is right; reject: the answer must have the simplest form"
    )
    brackets: Literal["accept", "reject"] = Field(
        "accept", description="accept: 1, 2 is the tuple (1, 2) in the same order; reject: it is not"
    )
    base: Literal["accept", "reject"] = Field(
        "accept", description="accept: a numeral without its base is the same digits with a base; reject: it is not"
    )
    choices: Annotated[Literal["auto", "off"], Unkeyed(("auto",))] = Field(
        "auto",
        description="auto: answers that name an option of a multiple-choice problem, (B) or B) 42, are read as such; "
        "off: a letter is a symbol",
    )
    rounding: Annotated[Literal["reject", "gold"] | float, Unkeyed(("reject",))] = Field(
        "reject",
        description="reject: a rounded value is wrong; gold: a value that rounds to the digits of the gold answer's "
        "decimals is right; a number, such as 0.01: so is a value that differs by this share of the larger one",
    )

    @field_validator("choices", mode="before")
    @classmethod
    def _choices_as_yaml_reads_it(cls, value: object) -> object:
        return "off" if value is False else value

    @field_validator("rounding", mode="before")
    @classmethod
    def _rounding_is_one_of(cls, value: object) -> object:
        if value in ("reject", "gold"):
            return value
        with suppress(TypeError, ValueError):
            share = float(value)  # type: ignore[arg-type]  # 1e-5 is a text in YAML
            if 0 < share < 1:
                return share
        raise ValueError("expected reject, gold or a number between 0 and 1")
