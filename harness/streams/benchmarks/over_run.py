"""A benchmark over the reward models of a run, one after the other; one that fails costs no other."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.core.errors import UserError, one_line
from harness.data.lines import parse_row, read_lines
from harness.storage.benchmarks import (
    BenchmarkResults,
    Measured,
    answers_file,
    read_benchmark,
    scores_key,
    write_benchmark,
)
from harness.storage.keys import digest
from harness.storage.manifest import Manifest
from harness.streams.benchmarks.base import Benchmark, Judged, Settings
from harness.streams.benchmarks.scoring import Entry, scored
from harness.streams.journal import Journal, identity
from harness.streams.scorer import Ingredients, Scorer

#: From a reward model's name and the number of lines to what is told of finished lines.
Progress = Callable[[str, int], Callable[[int], None]]


@dataclass(frozen=True)
class Lines:
    """The lines of a benchmark's files, by file."""

    by_source: Mapping[str, Sequence[Entry[Any]]]

    @property
    def all(self) -> list[Entry[Any]]:
        return [entry for entries in self.by_source.values() for entry in entries]

    def divided(self, judged: Sequence[Judged[Any]]) -> dict[str, Sequence[Judged[Any]]]:
        """What is said of all lines, by file."""
        rest = iter(judged)
        return {source: [next(rest) for _ in entries] for source, entries in self.by_source.items()}


def measure(
    benchmark: Benchmark[Any],
    lines: Lines,
    folder: Path,
    manifest: Manifest,
    ingredients: Mapping[str, Ingredients],
    left_out: Mapping[str, str],
    threshold: float | None,
    progress: Progress,
    complain: Callable[[str, str], None],
) -> BenchmarkResults:
    """Score a benchmark with reward models of a run, and write its file into the results folder.

    What was scored by an earlier call stays scored, for as long as reward model and lines are the same. The file is
    written after each reward model, so that a kill costs the lines under way.

    Args:
        folder: the results folder.
        ingredients: the reward models to score with.
        left_out: the others, each with the reason.
        threshold: of step rewards, where the user gives one.
        complain: is told, for a reward model, of each solution without a score.
    """
    before = read_benchmark(folder, benchmark.name)
    entries = lines.all
    of_lines = digest(benchmark.name, [identity(entry.row) for entry in entries])
    # Numbers of other lines are not comparable with these.
    known = before.reward_models if before is not None and before.lines == of_lines else {}
    measured: dict[str, Measured] = {}
    why = dict(left_out)

    def result() -> BenchmarkResults:
        return BenchmarkResults(
            benchmark=benchmark.name,
            paper=benchmark.paper,
            sources=[Path(source).name for source in lines.by_source],
            lines=of_lines,
            headlines=list(benchmark.headlines),
            reward_models={n: m for n in manifest.reward_models if (m := measured.get(n) or known.get(n))},
            left_out=why,
        )

    for name, made_of in ingredients.items():
        answers = answers_file(folder, benchmark.name, name)
        advance = progress(name, len(entries))
        try:
            key = digest(made_of.key, of_lines)
            judged = None
            if name in known and known[name].key == key:
                judged = _stored(benchmark, entries, answers)
            if judged is None:
                scorer = Scorer(made_of)
                judged = scored(
                    benchmark,
                    entries,
                    scorer,
                    advance,
                    partial(complain, name),
                    Journal(answers, key),
                    with_rows=False,
                )
                del scorer
                gc.collect()  # the next one needs the memory
            else:
                advance(len(entries))
        except Exception as error:  # of this reward model alone, whatever it is
            why[name] = str(error) if isinstance(error, UserError) else one_line(error)
            known = {other: of for other, of in known.items() if other != name}
            continue
        settings = Settings(threshold, manifest.reward_models[name].score_type)
        numbers = benchmark.numbers(lines.divided(judged), settings)
        measured[name] = Measured(
            key=key,
            of_scores=scores_key(folder, name),
            values=dict(numbers.values),
            n=len(judged),
            unscored=sum(not answer.is_scored for one in judged for answer in one.answers),
            threshold=numbers.threshold,
        )
        write_benchmark(folder, result())
    write_benchmark(folder, result())
    return result()


def _stored(benchmark: Benchmark[Any], entries: Sequence[Entry[Any]], answers: Path) -> list[Judged[Any]] | None:
    """The answers of an earlier call; None where they are not all there, or some solution had no score."""
    if not answers.is_file():
        return None
    try:
        rows = [parse_row(line.content) for line in read_lines(answers)]
        if len(rows) != len(entries):
            return None
        judged = [
            Judged(entry.item, benchmark.recorded(row, entry.item) or ())
            for entry, row in zip(entries, rows, strict=True)
        ]
    except (UserError, ValueError):
        return None
    is_whole = all(one.answers and all(answer.is_scored for answer in one.answers) for one in judged)
    return judged if is_whole else None
