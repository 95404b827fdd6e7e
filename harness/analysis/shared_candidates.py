"""What two results folders have in common: the problems, and of these the responses that are the same in both.

A problem is the same where its id and its text are. A response is the same where generator, number and text are. So a
run that sampled more responses of the same kind shares the first ones with a run that sampled fewer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.core.arrays import Bools, Ints
from harness.core.errors import UserError
from harness.core.stages import StageKind
from harness.storage.results import Results
from harness.storage.shards import read_shard, shard_files

_SAMPLES = 1 << 32  # more than a problem has responses


@dataclass(frozen=True, eq=False)
class Candidates:
    """The responses of a generator that two folders share.

    ``codes`` are those of the responses that are kept, ascending, and ``samples`` their new numbers: each problem has
    ``n`` of them, 0 to n - 1. ``unanswered`` are the shared problems that the generator left without responses in both.
    ``counts`` say what became of the others.
    """

    n: int
    codes: Ints
    samples: Ints
    unanswered: Mapping[str, str]
    counts: Counts


@dataclass(frozen=True, slots=True)
class Counts:
    """Responses: ``ours`` and ``theirs`` in all, those that are ``kept``, those with the same number and another text
    (``differing``), and the shared ones of problems that are left ``over``, as they have less or more than the n."""

    ours: int
    theirs: int
    kept: int
    differing: int
    over: int


@dataclass(frozen=True, eq=False)
class Shared:
    """``problems`` are the ids of the problems that both have, ``retold`` how many ids stand for other texts;
    ``candidates`` are by generator, for those with any."""

    problems: pd.Index
    retold: int
    candidates: Mapping[str, Candidates]

    def locate(self, table: pa.Table, generator: str) -> tuple[Bools, Ints]:
        """Which rows of a table, with ``problem_id`` and ``sample``, are of kept responses of a generator, bool [rows],
        and the new numbers of these."""
        own, codes = self.candidates[generator], self.codes(table)
        places = np.searchsorted(own.codes, codes)
        places[places == len(own.codes)] = 0
        kept: Bools = own.codes[places] == codes
        return kept, own.samples[places[kept]]

    def codes(self, table: pa.Table) -> Ints:
        """A number for the problem and sample of each row, int [rows]; -1 where the problem is not in both."""
        return _codes(self.problems, table)

    def kept_problems(self) -> set[str]:
        """The problems with a kept response, or left without any in both."""
        kept: set[str] = set()
        for own in self.candidates.values():
            kept |= set(self.problems[np.unique(own.codes // _SAMPLES)]) | set(own.unanswered)
        return kept


def shared_candidates(ours: Results, theirs: Results) -> Shared:
    """What two runs share.

    Raises:
        UserError: where there is no response that both have, saying what they have of each other.
    """
    mine = ours.problems[["problem_id", "problem"]]
    both = mine.merge(theirs.problems[["problem_id", "problem"]], on="problem_id", suffixes=("", "_there"))
    same = both["problem"] == both["problem_there"]
    problems = pd.Index(both.loc[same, "problem_id"])
    where = f"{ours.folder} and {theirs.folder}"
    if not len(problems):
        retold = f"; {len(both)} ids stand for other problems there" if len(both) else ""
        raise UserError(f"{where}: no problem is in both{retold}: only runs on the same problems can be compared")
    generators = [name for name in ours.manifest.generators if name in theirs.manifest.generators]
    if not generators:
        of_both = "; ".join(", ".join(run.manifest.generators) for run in (ours, theirs))
        raise UserError(
            f"{where}: no generator is in both ({of_both}): reward models are compared on the same responses"
        )
    found = {name: _shared(ours, theirs, name, problems) for name in generators}
    kept = {name: own for name, own in found.items() if own.n}
    if not kept:
        differing = sum(own.counts.differing for own in found.values())
        why = f"{differing} have the same number and another text" if differing else "their numbers differ"
        raise UserError(
            f"{where}: {len(problems)} problems are in both, and no response of {', '.join(generators)} ({why}): "
            "reward models are compared on the same responses; score one run's with --reward-model"
        )
    return Shared(problems, int((~same).sum()), kept)


def _shared(ours: Results, theirs: Results, generator: str, problems: pd.Index) -> Candidates:
    (mine, my_texts, n_mine), (there, their_texts, n_there) = (
        _texts(run, generator, problems) for run in (ours, theirs)
    )
    codes, at, at_there = np.intersect1d(mine, there, assume_unique=True, return_indices=True)
    same = my_texts[at] == their_texts[at_there]
    shared = codes[same]
    _, first, counts = np.unique(shared // _SAMPLES, return_index=True, return_counts=True)
    # Every problem must have as many: so many that the most responses are kept, of two such numbers the larger.
    n = max(np.unique(counts).tolist(), key=lambda n: (n * int((counts >= n).sum()), n), default=0)
    number = np.arange(len(shared)) - np.repeat(first, counts)
    keep = (number < n) & np.repeat(counts >= n, counts)
    here, others = (run.unanswered(generator) for run in (ours, theirs))
    unanswered = {id_: here[id_] for id_ in problems if id_ in here and id_ in others}
    kept = int(keep.sum())
    of_all = Counts(n_mine, n_there, kept, int((~same).sum()), len(shared) - kept)
    return Candidates(n, shared[keep], number[keep], unanswered, of_all)


def _texts(run: Results, generator: str, problems: pd.Index) -> tuple[Ints, Ints, int]:
    """The codes of a generator's responses to some problems and digests of their texts; and how many it has in all."""
    codes, digests, n = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)], 0
    for path in shard_files(run.folder / StageKind.SAMPLE.folder / generator):
        table = read_shard(path, ["problem_id", "sample", "text"])
        of_shard = _codes(problems, table)
        known, n = of_shard >= 0, n + len(table)
        texts = table.column("text").filter(pa.array(known)).to_pylist()
        codes.append(of_shard[known])
        digests.append(np.array([_digest(text) for text in texts], dtype=np.int64))
    return np.concatenate(codes), np.concatenate(digests), n


def _codes(problems: pd.Index, table: pa.Table) -> Ints:
    places = problems.get_indexer(pd.Index(table.column("problem_id").to_pandas()))
    samples = table.column("sample").to_numpy()
    codes: Ints = np.where(places >= 0, places.astype(np.int64) * _SAMPLES + samples, -1)
    return codes


def _digest(text: str) -> int:
    content = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little", signed=True)
