"""The rows of the long table of accuracies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from harness.analysis.inference import Interval
from harness.analysis.rows import Columns, Fraction


@dataclass(frozen=True, slots=True)
class AccuracyRow:
    """A row of the long table: an accuracy with its interval."""

    generator: str
    reward_model: str
    strategy: str
    aggregation: str
    protocol: str
    n: int
    accuracy: Annotated[Interval, Columns(low="ci_low", high="ci_high", n_problems="n_problems")]


@dataclass(frozen=True, slots=True)
class SetAccuracyRow(AccuracyRow):
    """A row where there are several problem sets: on the problems of ``set``, or, "average", the mean over sets."""

    set: str


@dataclass(frozen=True, slots=True)
class SeedsAccuracyRow(AccuracyRow):
    """A row of the long table of a run that has methods with several training seeds.

    The accuracy of such a method is the mean over ``seeds`` trainings, and the interval is over problems and seeds.
    ``seed_sd`` is the standard deviation of the trainings' accuracies; NaN for any other row.
    """

    seeds: int
    seed_sd: Fraction


@dataclass(frozen=True, slots=True)
class SetSeedsAccuracyRow(SetAccuracyRow):
    """As :class:`SeedsAccuracyRow`, where there are several problem sets."""

    seeds: int
    seed_sd: Fraction
