"""The choices on which graders differ, each by name. ``docs/verifier.md`` gives the reasons for the defaults."""

from __future__ import annotations

from typing import Literal

from harness.core.components import ComponentParams


class Policy(ComponentParams):
    """How lenient a comparison is.

    percent: ``equal`` takes 10\\% for 10 and for 1/10, ``ignore`` for 10 only, ``value`` for 1/10 only.
    units: ``ignore`` drops units, currencies and the degree sign; ``match`` wants the same unit where both have one.
    order: ``free`` compares lists without brackets as multisets, ``fixed`` in the order written.
    unsimplified: ``accept`` takes any form of the value; ``reject`` wants an answer that is equal to have the simplest.
    brackets: ``accept`` takes ``1, 2`` for the tuple ``(1, 2)`` in the same order, ``reject`` does not.
    base: ``accept`` takes a numeral without its base subscript for the same digits with one, ``reject`` does not.
    """

    percent: Literal["equal", "ignore", "value"] = "equal"
    units: Literal["ignore", "match"] = "ignore"
    order: Literal["free", "fixed"] = "free"
    unsimplified: Literal["accept", "reject"] = "accept"
    brackets: Literal["accept", "reject"] = "accept"
    base: Literal["accept", "reject"] = "accept"
