"""A results folder → an exported folder (:mod:`harness.data.export_facts`), whole or not at all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.core.errors import UserError
from harness.core.files import naming, put_in_place
from harness.core.records import Problem
from harness.core.stages import StageKind
from harness.data.export_facts import FACTS, PROBLEMS, SECOND, ExportedGenerator, ExportFacts
from harness.data.export_folder import PROBLEM_SCHEMA
from harness.experiment.names import check_name
from harness.export.card import card
from harness.export.names import safe_names
from harness.export.parts import Parts
from harness.export.rows import GeneratorRows, total
from harness.storage.arrow import SCHEMAS
from harness.storage.manifest import Manifest
from harness.storage.results import stored_manifest
from harness.storage.shards import in_columns, read_shard, shard_files

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


@dataclass(frozen=True)
class Exported:
    """What was written: ``lines`` say what is there, ``missing`` what is not, though the experiment has it."""

    folder: Path
    lines: list[str]
    missing: list[str]


def export(results: Path, folder: Path, license_: str, advance: Callable[[int], object]) -> Exported:
    """Write what a results folder holds to a new folder.

    Args:
        license_: the licence that the card names, by the hub's id.
        advance: is told how many responses were written.

    Raises:
        UserError: for results that cannot be read or hold no responses, and for a folder that holds something.
        OSError: where the disk is full.
    """
    if not _LICENSE.fullmatch(license_):
        raise UserError(f"--license {license_}: an id of the hub is expected, such as cc-by-4.0, apache-2.0 or unknown")
    check_free(folder)
    manifest = stored_manifest(results)
    _check_names(results, manifest)
    rows = {
        name: GeneratorRows(results, name, manifest.reward_models, manifest.second_verifier is not None)
        for name in manifest.generators
    }
    rows = {name: of for name, of in rows.items() if of.n_rows}
    if not rows:
        raise UserError(f"{results}: no responses to export: run the experiment")
    with _made_beside(folder.resolve()) as made:
        problem_ids = _write_problems(results, manifest, made)
        names = safe_names(list(rows), taken=["problems"])
        files = {name: _write_responses(of, made, names[name], advance) for name, of in rows.items()}
        facts = ExportFacts(
            name=manifest.name,
            n=max(of.n for of in rows.values()),
            problem_sets=manifest.problem_sets,
            generators={
                name: ExportedGenerator(
                    files=files[name],
                    responses=of.n_rows,
                    unanswered=len(problem_ids - of.problem_ids),
                    ungraded=of.ungraded[""],
                    second_ungraded=of.ungraded[SECOND],
                )
                for name, of in rows.items()
            },
            reward_models={name: total(of, name, list(rows.values())) for name, of in manifest.reward_models.items()},
            second_verifier=manifest.second_verifier is not None,
        )
        missing = _missing(facts, manifest)
        text = card(facts, manifest, names, len(problem_ids), missing, license_)
        (made / "README.md").write_text(text, encoding="utf-8")
        (made / FACTS).write_text(facts.model_dump_json(indent=1) + "\n", encoding="utf-8")
    lines = [
        f"{name}: {of.responses:,} responses in {len(of.files)} file{'s' if len(of.files) > 1 else ''}"
        for name, of in facts.generators.items()
    ]
    return Exported(folder, lines, missing)


def check_free(folder: Path) -> None:
    """Check that a folder may be written: there is none, or an empty one.

    Raises:
        UserError: where something is there.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError(f"{folder}: something else is there: name another folder")
    if folder.exists() and folder.samefile(Path.cwd()):
        raise UserError(f"{folder}: it is the working directory, which cannot be exchanged: name a new folder in it")
    if folder.is_dir() and next(folder.iterdir(), None) is not None:
        raise UserError(f"{folder}: the folder is not empty, and nothing is overwritten: name another one")


@contextmanager
def _made_beside(folder: Path) -> Iterator[Path]:
    """A folder beside ``folder`` that becomes it in the end. Whatever goes wrong, it is removed."""
    temporary = folder.with_name(f"{folder.name}.tmp")
    with naming(temporary):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.mkdir()
        except FileExistsError:
            raise UserError(
                f"{temporary}: another export is writing there, or was killed: wait for it, or remove it"
            ) from None
        try:
            yield temporary
            check_free(folder)
            put_in_place(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _check_names(results: Path, manifest: Manifest) -> None:
    """Refuse names that would lead out of the results: a manifest may come from anywhere."""
    for name in (*manifest.problem_sets, *manifest.generators, *manifest.reward_models):
        try:
            check_name(name)
        except ValueError as error:
            raise UserError(f"{results / 'manifest.json'}: {error}") from None


def _write_problems(results: Path, manifest: Manifest, folder: Path) -> set[str]:
    """Write the problems that are evaluated, in order; returns their ids."""
    tables = []
    for name in manifest.problem_sets:
        for path in shard_files(results / "problems" / name):
            table = read_shard(path)
            with in_columns(path):
                table = table.select(SCHEMAS[Problem].names)
                columns = [*table.columns, pa.array([name] * len(table), pa.string())]
                tables.append(pa.table(columns, names=PROBLEM_SCHEMA.names).cast(PROBLEM_SCHEMA))
    problems = pa.concat_tables([PROBLEM_SCHEMA.empty_table(), *tables])
    if not len(problems):
        raise UserError(f"{results}: no problems under problems/{manifest.problem_sets[0]}; run the experiment again")
    pq.write_table(problems.combine_chunks(), folder / PROBLEMS, compression="zstd", write_page_checksum=True)
    return set(problems["problem_id"].to_pylist())


def _write_responses(rows: GeneratorRows, folder: Path, stem: str, advance: Callable[[int], object]) -> list[str]:
    """Write the responses of a generator; returns the files' paths in the folder."""
    (folder / "responses").mkdir(exist_ok=True)
    with Parts(folder / "responses", stem, rows.schema, rows.n_rows) as parts:
        for table in rows.tables():
            parts.add(table)
            advance(len(table))
    return [f"responses/{name}" for name in parts.names]


def _missing(facts: ExportFacts, manifest: Manifest) -> list[str]:
    """What the experiment has, or was to have, and the folder has not, in sentences."""
    lines = []
    for name, entry in _entries(manifest, "generators").items():
        if name not in facts.generators and (not isinstance(entry, dict) or entry.get("evaluate", True)):
            lines.append(f"{name}: no responses")
    for name, of in facts.generators.items():
        if of.unanswered:
            lines.append(f"{name}: no responses to {of.unanswered:,} problems")
        if of.ungraded:
            lines.append(f"{name}: no grades of {of.ungraded:,} responses")
        if facts.second_verifier and of.second_ungraded:
            lines.append(f"{name}: no grades of the second verifier of {of.second_ungraded:,} responses")
    failed = [entry.who for entry in manifest.quarantined if entry.stage == StageKind.SCORE]
    unmade = [name for name in _entries(manifest, "reward_models") if not _has_scores(name, manifest)]
    lines += [f"{name}: no scores" for name in dict.fromkeys([*failed, *unmade]) if name not in facts.reward_models]
    for name, model in facts.reward_models.items():
        if model.lacking:
            lines.append(f"{name}: no scores of {model.lacking:,} responses")
        if model.not_finite:
            lines.append(f"{name}: step rewards of {model.not_finite:,} responses are no finite numbers")
    return lines


def _entries(manifest: Manifest, part: str) -> dict[str, Any]:
    """The generators or reward models that the experiment asked for."""
    entries = manifest.config.get(part)
    return entries if isinstance(entries, dict) else {}


def _has_scores(entry: str, manifest: Manifest) -> bool:
    """Whether an entry of the experiment, which may stand for several reward models, has scores."""
    config = _entries(manifest, "reward_models")[entry]
    if isinstance(config, dict) and config.get("type") == "recorded":
        return True  # it stands for models that have names of their own
    return any(name == entry or name.startswith(f"{entry}-") for name in manifest.reward_models)
