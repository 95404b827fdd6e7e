"""Is A of one results folder better than B of another one? On the problems and responses that both have.

The two are put into one small results folder, which then is compared as any other: same intervals, same rules. The
responses in it are graded as A's folder says, and everything is evaluated as A's experiment says, so that a difference
is one of choosing alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.analysis.compare import Comparison, chooser_of, compare, side
from harness.analysis.rule_entries import Entry, Rules
from harness.analysis.scores import failed_models
from harness.analysis.shared_candidates import Shared, shared_candidates
from harness.core.arrays import Bools, Ints
from harness.core.errors import UserError
from harness.core.stages import StageKind
from harness.storage.manifest import RewardModelFacts, write_manifest
from harness.storage.results import Results, load_results
from harness.storage.shards import read_shard, shard_files, write_shard


@dataclass(frozen=True, slots=True)
class InFolder:
    """What one side is: a name, with its suffixes, of a results folder."""

    folder: Path
    name: str

    def __str__(self) -> str:
        return f"{self.folder}:{self.name}"


def compare_across(
    a: InFolder,
    b: InFolder,
    n: int | None = None,
    strategy: str = "best_of_n",
    rules: Mapping[str, Entry] | None = None,
) -> Comparison:
    """Compare what two results folders have, on the problems and responses that both have.

    Args:
        n, strategy, rules: as for :func:`harness.analysis.compare.compare`.

    Raises:
        UserError: as there, and where the two share no problem or no response.
    """
    ours, theirs = load_results(a.folder), load_results(b.folder)
    mine, other = _Side.of(ours, a.name, strategy, rules, "a"), _Side.of(theirs, b.name, strategy, rules, "b")
    shared = shared_candidates(ours, theirs)
    with TemporaryDirectory(prefix="bonbench-") as temporary:
        folder = Path(temporary)
        differing = _put_together(folder, ours, theirs, (mine, other), shared)
        try:
            found = compare(load_results(folder), mine.name, other.name, n, strategy, rules)
        except UserError as error:
            raise UserError(str(error).replace(temporary, f"{a} against {b}")) from None
    names = [_shown(of, label) for of, label in zip((a, b), (found.a, found.b), strict=True)]
    return replace(found, a=names[0], b=names[1], notes=_notes(ours, theirs, shared, differing))


@dataclass(frozen=True, slots=True)
class _Side:
    """A side in the common folder: what it is called there, and its reward models (name there -> name in its own
    folder) with their facts."""

    run: Results
    name: str
    reward_models: Mapping[str, str]
    facts: Mapping[str, RewardModelFacts]

    @classmethod
    def of(cls, run: Results, name: str, strategy: str, rules: Mapping[str, Entry] | None, prefix: str) -> _Side:
        """From a name on the command line, which must be one of the run's.

        Raises:
            UserError: for a name that the run does not have, and for a reward model whose scoring failed.
        """
        meant = side(run.manifest, name)
        asks = chooser_of(run, meant.name, strategy, Rules.of(run.manifest, rules))
        if not asks.reward_model:
            return cls(run, name, {}, {})
        failed = failed_models(run)
        trainings = [one for one in meant.trainings if one not in failed]
        if not trainings:
            raise UserError(f"{run.folder}: {asks.reward_model} is left out: {failed[asks.reward_model]}")
        first = trainings[0]
        facts = {}
        for one in trainings:
            own = run.manifest.reward_models[one]
            update: dict[str, object] = {
                "aggregation": asks.aggregation,
                "token_passes": {},
                "verifications": None,
                "members": [],
                "trained_by": own.trained_by and f"{prefix}.{one}",
                "seeds_of": f"{prefix}.{first}" if len(trainings) > 1 else None,
            }
            facts[f"{prefix}.{one}"] = own.model_copy(update=update)
        suffixes = [suffix for suffix in meant.name.split(":")[1:] if suffix != asks.aggregation]
        there = {f"{prefix}.{one}": one for one in trainings}
        return cls(run, ":".join([f"{prefix}.{first}", *suffixes]), there, facts)


def _shown(of: InFolder, label: str) -> str:
    """What a side is called: as it was asked for, and of several seeds how many."""
    return f"{of}{label[label.rindex(' (') :]}" if label.endswith(" seeds)") else str(of)


def _put_together(folder: Path, ours: Results, theirs: Results, sides: Sequence[_Side], shared: Shared) -> int:
    """Write a results folder with what both share.

    Returns:
        How many of the responses are right in one run and wrong in the other.
    """
    sets = _kept_sets(ours, shared)
    kept = pa.array(sorted(shared.kept_problems()))
    for name in sets:
        for path in shard_files(ours.folder / "problems" / name):
            table = read_shard(path)
            _write(ours, folder, path, table.filter(pc.is_in(table.column("problem_id"), kept)))
    differing = 0
    for generator, own in shared.candidates.items():
        place = f"{StageKind.GRADE.folder}/{generator}"
        _copy(ours, folder, place, generator, shared)
        (mine, right), (there, right_there) = (_verdicts(run, generator, shared) for run in (ours, theirs))
        _, at, at_there = np.intersect1d(mine, there, assume_unique=True, return_indices=True)
        differing += int((right[at] != right_there[at_there]).sum())
        for one in sides:
            for label, name in one.reward_models.items():
                scores = StageKind.SCORE.folder
                _copy(
                    one.run, folder, f"{scores}/{name}/{generator}", generator, shared, f"{scores}/{label}/{generator}"
                )
        if own.unanswered:
            why = {"unanswered": list(own.unanswered), "unanswered_because": next(iter(own.unanswered.values()))}
            path = shard_files(ours.folder / StageKind.SAMPLE.folder / generator)[0]
            write_shard(folder / path.relative_to(ours.folder), read_shard(path).slice(0, 0), "shared", why)
    manifest = ours.manifest
    rules = {**theirs.manifest.evaluation.selection, **manifest.evaluation.selection}
    write_manifest(
        folder,
        manifest.model_copy(
            update={
                "problem_set": sets if len(sets) > 1 else sets[0],
                "n": max(own.n for own in shared.candidates.values()),
                "evaluation": manifest.evaluation.model_copy(update={"aggregation": None, "selection": rules}),
                "generators": {name: manifest.generators[name] for name in shared.candidates},
                "reward_models": {name: facts for one in sides for name, facts in one.facts.items()},
                "policies": {},
                "second_verifier": None,
                "quarantined": [],
                "shards": {},
            }
        ),
    )
    return differing


def _kept_sets(ours: Results, shared: Shared) -> list[str]:
    """The problem sets with problems that are compared."""
    kept = ours.problems["problem_id"].isin(shared.kept_problems())
    left = set(ours.problems.loc[kept, "set"])
    return [name for name in ours.manifest.problem_sets if name in left]


def _copy(run: Results, folder: Path, place: str, generator: str, shared: Shared, there: str | None = None) -> None:
    """The rows of the kept responses, under their new numbers: ``place`` of a run becomes ``there``."""
    for path in shard_files(run.folder / place):
        table = read_shard(path)
        kept, samples = shared.locate(table, generator)
        if not kept.any():
            continue
        table = table.filter(pa.array(kept))
        column = table.schema.get_field_index("sample")
        table = table.set_column(column, "sample", pa.array(samples).cast(table.schema.field(column).type))
        write_shard(folder / (there or place) / path.name, table, "shared")


def _write(run: Results, folder: Path, path: Path, table: pa.Table) -> None:
    if len(table):
        write_shard(folder / path.relative_to(run.folder), table, "shared")


def _verdicts(run: Results, generator: str, shared: Shared) -> tuple[Ints, Bools]:
    """The codes of the kept responses that a run graded, and whether they are right."""
    codes, correct = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=bool)]
    for path in shard_files(run.folder / StageKind.GRADE.folder / generator):
        table = read_shard(path, ["problem_id", "sample", "correct"])
        kept, _ = shared.locate(table, generator)
        codes.append(shared.codes(table)[kept])
        correct.append(table.column("correct").to_numpy()[kept])
    return np.concatenate(codes), np.concatenate(correct)


def _notes(ours: Results, theirs: Results, shared: Shared, differing: int) -> tuple[str, ...]:
    """What is compared, and what of each folder is left out, why."""
    kept, of_both = len(shared.kept_problems()), (len(ours.problems), len(theirs.problems))
    notes = [f"{kept:,} problems with responses that both have, of A's {of_both[0]:,} and B's {of_both[1]:,}"]
    if shared.retold:
        notes[0] += f"; {shared.retold:,} of the same name have another text"
    if (alike := len(shared.problems)) > kept:
        notes[0] += f"; {alike - kept:,} are the same and share no or too few responses"
    sets = _kept_sets(ours, shared)
    notes += [f"{name}: no problem that both have" for name in ours.manifest.problem_sets if name not in sets]
    for name, own in shared.candidates.items():
        of = own.counts
        note = f"{name}: {of.kept:,} responses, {own.n} to a problem, of A's {of.ours:,} and B's {of.theirs:,}"
        if of.differing:
            note += f"; {of.differing:,} of the same number have another text"
        if of.over:
            note += f"; {of.over:,} are the same and left out, as their problems do not have {own.n} or have more"
        notes.append(note)
    names = [(run, letter) for run, letter in ((ours, "A"), (theirs, "B"))]
    notes += [
        f"{name}: no response that both have"
        if name in ours.manifest.generators and name in theirs.manifest.generators
        else f"{name}: in {letter} only"
        for run, letter in names
        for name in run.manifest.generators
        if name not in shared.candidates
    ]
    if differing:
        notes.append(
            f"{differing:,} of the responses are right in one folder and wrong in the other: A's verdicts count"
        )
    return tuple(dict.fromkeys(notes))
