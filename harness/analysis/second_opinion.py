"""What a second verifier says: where two verifiers disagree, and what each does to the ranking of reward models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Annotated, Any

import pandas as pd
import pyarrow as pa

from harness.analysis.accuracy import Accuracies
from harness.analysis.choosers import BASELINES, Chooser
from harness.analysis.compute_accuracies import compute_accuracies
from harness.analysis.inference import Difference, Interval
from harness.analysis.rows import Columns, Fraction
from harness.analysis.rule_entries import Rules
from harness.storage.results import Results
from harness.storage.sharded_rows import ShardedRows

_SAME_RESPONSE = ["problem_id", "generator", "sample"]
#: So many kinds of disagreement are listed, the most frequent first.
_LISTED = 50


@dataclass(frozen=True, slots=True)
class AgreementRow:
    """How often two verifiers agree on a generator's responses. ``first`` is the verifier whose grades count."""

    generator: str
    n_responses: int
    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    disagreement: Fraction


@dataclass(frozen=True, slots=True)
class DisagreementRow:
    """Answers to one problem on which two verifiers disagree: what each of them read, and how many responses say so."""

    problem_id: str
    gold: str
    first_answer: str | None
    second_answer: str | None
    right_for: str
    first_reason: str
    second_reason: str
    responses: int


@dataclass(frozen=True, slots=True)
class RankingRow:
    """A chooser's accuracy under each verifier, averaged over generators and sizes, and its rank among reward models.

    ``change`` is the second verifier's accuracy minus the first's, paired over problems. Baselines have no rank.
    """

    row: str
    first: Annotated[Interval, Columns("accuracy_first")]
    second: Annotated[Interval, Columns("accuracy_second")]
    change: Difference
    rank_first: int | None
    rank_second: int | None


@dataclass(frozen=True, eq=False)
class SecondOpinion:
    """The grades of two verifiers side by side, for the responses that both have graded.

    ``results`` have the grades of the first verifier, ``seconds`` those of the second.
    """

    results: Results
    first: Accuracies
    seconds: Results

    @classmethod
    def of(cls, results: Results, first: Accuracies) -> SecondOpinion | None:
        """The second verifier's grades beside those that ``first`` rests on; None without a second verifier."""
        seconds = results.second
        return None if seconds is None else cls(results, first, seconds)

    @cached_property
    def second(self) -> Accuracies:
        """The accuracies by the second verifier's grades."""
        return compute_accuracies(self.seconds, rules=Rules())

    def _both(self, generator: str) -> Iterator[pd.DataFrame]:
        """The grades of a generator's responses by both, for one block of problems after the other."""
        rows = [results.graded(generator) for results in (self.results, self.seconds)]
        for block in self.first.stored[generator].blocks:
            first, second = (_of_block(of_one, block) for of_one in rows)
            yield first.merge(second, on=_SAME_RESPONSE, suffixes=("_first", "_second"))

    def agreement(self) -> list[AgreementRow]:
        """A row for each generator."""
        rows = []
        for generator in self.first.generators:
            counts = Counter[tuple[bool, bool]]()
            for both in self._both(generator):
                counts.update(zip(both["correct_first"], both["correct_second"], strict=True))
            if not counts:
                continue
            only_first, only_second = counts[True, False], counts[False, True]
            rows.append(
                AgreementRow(
                    generator=generator,
                    n_responses=counts.total(),
                    both_right=counts[True, True],
                    only_first=only_first,
                    only_second=only_second,
                    both_wrong=counts[False, False],
                    disagreement=Fraction((only_first + only_second) / counts.total()),
                )
            )
        return rows

    def disagreements(self) -> list[DisagreementRow]:
        """The answers on which the verifiers disagree, those of most responses first."""
        golds = dict(zip(self.results.problems["problem_id"], self.results.problems["answer"], strict=True))
        columns = [
            "problem_id",
            "extracted_first",
            "extracted_second",
            "correct_first",
            "reason_first",
            "reason_second",
        ]
        kinds = Counter[tuple[Any, ...]]()
        for both in chain.from_iterable(self._both(generator) for generator in self.first.generators):
            apart = both[both["correct_first"] != both["correct_second"]][columns].astype(object)
            kinds.update(apart.where(apart.notna(), None).itertuples(index=False, name=None))
        rows = [
            DisagreementRow(
                problem_id=problem_id,
                gold=golds[problem_id],
                first_answer=first,
                second_answer=second,
                right_for="first" if first_right else "second",
                first_reason=first_reason,
                second_reason=second_reason,
                responses=responses,
            )
            for (problem_id, first, second, first_right, first_reason, second_reason), responses in kinds.items()
        ]
        rows.sort(key=lambda row: (-row.responses, row.problem_id, row.first_answer or "", row.second_answer or ""))
        return rows[:_LISTED]

    def ranking(self, labels: Sequence[tuple[Chooser, str]]) -> list[RankingRow]:
        """The baselines, then the choosers with ``labels``, in the order of the first verifier's accuracies."""
        rows = []
        for chooser, label in [*BASELINES.items(), *labels]:
            first, second = self.first.overall(chooser), self.second.overall(chooser)
            if first is not None and second is not None:
                intervals = self.first.interval(first), self.second.interval(second)
                rows.append((chooser, label, *intervals, self.first.difference(second, first)))
        ranked = [row for row in rows if row[0].reward_model]
        first_ranks = _ranks([row[2].mean for row in ranked])
        second_ranks = _ranks([row[3].mean for row in ranked])
        places = {row[0]: ranks for row, *ranks in zip(ranked, first_ranks, second_ranks, strict=True)}
        table = [
            RankingRow(label, first, second, change, *places.get(chooser, (None, None)))
            for chooser, label, first, second, change in rows
        ]
        return sorted(table, key=lambda row: row.rank_first or 0)


def _of_block(rows: ShardedRows, block: slice) -> pd.DataFrame:
    tables = [rows.none]
    for table in rows.within(block.start, block.stop):
        places = rows.index.numbers(table)
        tables.append(table.filter((places >= block.start) & (places < block.stop)))
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame


def _ranks(means: Sequence[float]) -> list[int]:
    """1 for the highest; equal means share the better rank."""
    return [1 + sum(other > mean for other in means) for mean in means]
