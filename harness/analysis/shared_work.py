"""What a stage computes for n of a problem's N responses, in FLOPs as the ledger counts them.

Some work serves several responses. A prompt is read once for all the responses that are read after it, and equal
responses are asked about once. It is done if one of them at least is among the n. All other work is of one response.

The totals are the ledger's. The rows of the shards say what of them is shared, and by how many responses.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import comb, isnan, nan
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.analysis.stage_costs import Cost
from harness.core.arrays import Floats, Ints
from harness.core.solution_parts import Reads, span_of
from harness.core.stages import StageKind
from harness.cost_model.shape import ModelShape
from harness.storage.results import Results
from harness.storage.shards import LEDGER, read_shard, shard_files, table_meta

#: The about of a question (``harness.core.verifications``): of a response, or of one of its steps.
_OF_ONE = re.compile(r"(\d+)(\.\d+)?")


class CostUnknown(Exception):
    """Nobody counted what something cost; the message says why."""


@dataclass(frozen=True)
class Work:
    """FLOPs of a stage for all N responses to a problem, a mean over problems, by how many of them need it.

    Attributes:
        flops: float [N + 1]; entry m is what m of the N responses need.
        compares: whether it compares all N responses: then there is none of it for fewer.
    """

    flops: Floats
    compares: bool = False

    def at(self, n: int) -> float:
        """FLOPs per problem for n of the N responses, the expectation over which ones.

        At least one of m is among them with the probability 1 - C(N - m, n) / C(N, n). NaN where all N are compared
        and n is smaller.
        """
        n_samples = len(self.flops) - 1
        if self.compares and n < n_samples:
            return nan
        chances = [1 - comb(n_samples - m, n) / comb(n_samples, n) for m in range(n_samples + 1)]
        return float(self.flops @ np.array(chances))


@dataclass(frozen=True)
class Sampled:
    """A generator's responses: the tokens of each problem's prompt, and the work.

    ``n_problems`` is how many problems it was given, by set, and ``unanswered`` how many of them it left without
    responses.
    """

    n_problems: Mapping[str, int]
    unanswered: Mapping[str, int]
    prompt_tokens: Mapping[str, int]
    work: Work


def sampling(results: Results, generator: str, n_samples: int) -> Sampled:
    """What it took to sample a generator's N responses to each problem.

    Raises:
        CostUnknown: for responses that were recorded or are a server's, and where the ledger is not whole.
    """
    place = StageKind.SAMPLE.folder, generator
    why = f"{generator} is not sampled by a model that runs here"
    total, unanswered, prompts = _PerProblem(n_samples), Counter[str](), dict[str, int]()
    for shard in _shards(results, place, ["problem_id", "n_prompt_tokens"], why):
        groups = _groups(shard.table.column("problem_id"))
        lengths = shard.table.column("n_prompt_tokens").to_numpy()[groups.starts]
        prompts |= dict(zip(groups.ids, lengths.tolist(), strict=True))
        unanswered[shard.of_set] += len(table_meta(shard.table).get("unanswered", ()))
        total.add(shard, _with_prompts(shard, lengths, groups.counts, n_samples), len(groups.ids))
    return Sampled(total.n_problems + unanswered, unanswered, prompts, Work(total.mean(unanswered)))


def token_pass(results: Results, label: str, generator: str, sampled: Sampled, n_samples: int) -> Work:
    """What one model's pass over a generator's responses takes.

    Raises:
        CostUnknown: where the ledger is not whole, or does not know the model.
    """
    place = StageKind.TOKEN_PASS.folder, label, generator
    total, why = _PerProblem(n_samples), f"what the pass of {label} took is not known"
    for shard in _shards(results, place, ["problem_id", "n_prompt_tokens"], why):
        groups, lengths = _groups(shard.table.column("problem_id")), shard.table.column("n_prompt_tokens").to_numpy()
        # What is too long for the model was not read: its prompt has no tokens.
        read = np.add.reduceat((lengths > 0).astype(np.int64), groups.starts)
        prompts = np.maximum.reduceat(lengths, groups.starts)
        total.add(shard, _with_prompts(shard, prompts, read, n_samples), len(groups.ids))
    return Work(total.mean(sampled.unanswered))


def own_scoring(results: Results, reward_model: str, generator: str, sampled: Sampled, n_samples: int) -> Work:
    """What a reward model computes with a model of its own.

    Raises:
        CostUnknown: for scores that were recorded or are a server's, for code that does not say which model it runs,
            and where the ledger is not whole.
    """
    place = StageKind.SCORE.folder, reward_model, generator
    total = _PerProblem(n_samples)
    why = f"{reward_model} does not score with a model of known size that runs here"
    for shard in _shards(results, place, ["problem_id", "n_tokens"], why):
        groups = _groups(shard.table.column("problem_id"))
        scored = np.add.reduceat((shard.table.column("n_tokens").to_numpy() > 0).astype(np.int64), groups.starts)
        prompts = np.array([sampled.prompt_tokens.get(id_, 0) for id_ in groups.ids], dtype=np.int64)
        total.add(shard, _with_prompts(shard, prompts, scored, n_samples), len(groups.ids))
    return Work(total.mean(sampled.unanswered))


def verifying(results: Results, label: str, generator: str, reads: Reads, sampled: Sampled, n_samples: int) -> Work:
    """What it took to answer the questions about a generator's responses. There may be none about a problem.

    Args:
        reads: the part of a response that is asked about: equal parts are asked about once.

    Raises:
        CostUnknown: for replies that were recorded or are a server's, and where the ledger is not whole.
    """
    place = StageKind.VERIFY.folder, label, generator
    total, compares, why = _PerProblem(n_samples), False, f"what {label} took to answer is not known"
    for shard in _shards(results, place, ["problem_id", "n_prompt_tokens", "n_tokens"], why):
        flops, asked = np.zeros(n_samples + 1), dict[tuple[str, int], float]()
        for question, cost in _questions(shard):
            problem_id, _, about = question.rpartition("#")
            if found := _OF_ONE.fullmatch(about):
                response = problem_id, int(found[1])
                asked[response] = asked.get(response, 0.0) + cost
            else:
                compares = True
                flops[n_samples] += cost
        shared_by = _equal_responses(results, generator, shard.name, reads) if asked else {}
        for response, cost in asked.items():
            flops[shared_by.get(response, 1)] += cost
        total.add(shard, flops, 0)
    return Work(total.mean(sampled.n_problems), compares)


def _questions(shard: _Shard) -> Iterator[tuple[str, float]]:
    """The id of each question with the FLOPs of answering it: its prompt is read once for all replies.

    What the ledger has beyond that (replies that are read again, to weigh the answers in them) is shared out in
    proportion.
    """
    groups, tokens = _groups(shard.table.column("problem_id")), shard.table.column("n_tokens").to_numpy()
    prompts = shard.table.column("n_prompt_tokens").to_numpy()
    answers = np.add.reduceat(tokens, groups.starts).tolist()
    positions = np.add.reduceat(tokens * prompts + tokens * (tokens + 1) // 2, groups.starts).tolist()
    read = prompts[groups.starts].tolist()
    costs = [
        shard.shape.forward(prompt) + shard.shape.reading(answer, attended)
        for prompt, answer, attended in zip(read, answers, positions, strict=True)
    ]
    factor = shard.flops / sum(costs) if any(costs) else 1.0
    for question, cost in zip(groups.ids, costs, strict=True):
        yield question, cost * factor


class _Shard(NamedTuple):
    """A shard of a stage in which a model ran: its file, some columns, the model's sizes, and FLOPs in all."""

    name: str
    table: pa.Table
    shape: ModelShape
    flops: float

    @property
    def of_set(self) -> str:
        return _set_of(self.name)


class _PerProblem:
    """FLOPs by how many responses need them, float [N + 1], as a mean over problems: of several sets the mean of the
    sets' means, as accuracies are."""

    def __init__(self, n_samples: int) -> None:
        self._flops: dict[str, Floats] = defaultdict(lambda: np.zeros(n_samples + 1))
        self.n_problems: Counter[str] = Counter()

    def add(self, shard: _Shard, flops: Floats, n_problems: int) -> None:
        self._flops[shard.of_set] += flops
        self.n_problems[shard.of_set] += n_problems

    def mean(self, more_problems: Mapping[str, int]) -> Floats:
        """The mean where each set has some more problems, which took nothing more."""
        means = [
            flops / max(self.n_problems[name] + more_problems.get(name, 0), 1) for name, flops in self._flops.items()
        ]
        return np.asarray(np.mean(means, axis=0))


def _shards(results: Results, place: tuple[str, ...], columns: list[str], why_unknown: str) -> Iterator[_Shard]:
    """The shards of a folder, one at a time, with their costs."""
    for name, flops in whole_ledger(results, *place)["flops"].items():
        table = read_shard(results.folder.joinpath(*place, str(name)), columns)
        if (shape := table_meta(table).get("shape")) is None or isnan(flops):
            raise CostUnknown(why_unknown)
        yield _Shard(str(name), table, ModelShape(**shape), flops)


def whole_ledger(results: Results, *place: str) -> pd.DataFrame:
    """The ledger of a folder of the results: a row per shard, by the name of its file.

    Raises:
        CostUnknown: where a shard has no costs, and where there is none.
    """
    folder = Path(*place)
    names, costs = ([path.name for path in shard_files(root / folder)] for root in _roots(results))
    ledger = results.ledger_of(*place)
    if not names:
        raise CostUnknown(f"{folder} is not among the results")
    if names != costs or len(ledger) != len(names):
        raise CostUnknown(f"the ledger does not have the costs of all of {folder}")
    return ledger.set_axis(names)


def per_problem(results: Results, sampled: Sampled, *place: str) -> Cost:
    """What the work in a folder took, for all N responses to a problem: as FLOPs, a mean over problems.

    Raises:
        CostUnknown: as :func:`whole_ledger`.
    """
    ledger = whole_ledger(results, *place)
    sets = {name: _set_of(str(name)) for name in ledger.index}
    n_sets = len(set(sets.values()))
    problems = [n_sets * max(sampled.n_problems.get(of_set, 0), 1) for of_set in sets.values()]
    return Cost.of_ledger(ledger.assign(wall_s=ledger["wall_s"] / problems, flops=ledger["flops"] / problems))


def _roots(results: Results) -> tuple[Path, Path]:
    return results.folder, results.folder / LEDGER


def _set_of(name: str) -> str:
    """What the shards of one problem set have in their names, before the index."""
    return name.rpartition("-")[0]


class _Groups(NamedTuple):
    """Runs of equal ids in a column: the ids, where they start and how many rows they have, int [runs] each."""

    ids: list[str]
    starts: Ints
    counts: Ints


def _groups(column: pa.ChunkedArray) -> _Groups:
    runs = pc.run_end_encode(column.combine_chunks())
    ends = np.asarray(runs.run_ends, dtype=np.int64)
    starts = np.concatenate([[0], ends])[:-1].astype(np.int64)  # none of a column without rows
    return _Groups(runs.values.to_pylist(), starts, ends - starts)


def _with_prompts(shard: _Shard, prompts: Ints, readers: Ints, n_samples: int) -> Floats:
    """The FLOPs of a shard, by how many responses need them: float [N + 1].

    Args:
        prompts: tokens of each problem's prompt.
        readers: how many responses to each problem are read after it.
    """
    flops = np.zeros(n_samples + 1)
    tokens = np.bincount(readers, prompts, n_samples + 1)
    positions = np.bincount(readers, prompts * (prompts + 1) // 2, n_samples + 1)
    for m in range(1, n_samples + 1):
        flops[m] = shard.shape.reading(int(tokens[m]), int(positions[m]))
    flops[1] += shard.flops - flops.sum()
    return flops


def _equal_responses(results: Results, generator: str, shard: str, reads: Reads) -> dict[tuple[str, int], int]:
    """(problem, sample) -> how many responses to the problem are asked about as one with it, in a shard."""
    shared_by: dict[tuple[str, int], int] = {}
    path = results.folder / StageKind.SAMPLE.folder / generator / shard
    table = read_shard(path, ["problem_id", "sample", "text"])
    groups, samples = _groups(table.column("problem_id")), table.column("sample").to_pylist()
    for id_, start, count in zip(groups.ids, groups.starts.tolist(), groups.counts.tolist(), strict=True):
        parts = [_part(text, reads) for text in table.column("text").slice(start, count).to_pylist()]
        times = Counter(parts)
        shared_by |= {(id_, samples[start + place]): times[part] for place, part in enumerate(parts)}
    return shared_by


def _part(text: str, reads: Reads) -> str | None:
    span, _ = span_of(text, reads)
    return None if span is None else text[slice(*span)]
