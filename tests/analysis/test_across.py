"""`bonbench compare A/folder:NAME B/folder:NAME`: what two results folders share, and the comparison on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from results_folder import GENERATORS, N_PROBLEMS, REWARD_MODELS, write_results

from harness.analysis.across import InFolder, compare_across
from harness.analysis.compare import compare
from harness.analysis.shared_candidates import shared_candidates
from harness.cli.app import main
from harness.core.errors import UserError
from harness.storage.results import load_results
from harness.storage.shards import read_shard, shard_files, write_shard


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("across") / "ours")


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stored, tmp_path / "ours"))


def rewritten(folder: Path, place: str, column: str, change: Any) -> None:
    """Change a column of the shards of a folder: ``change`` gets the rows and returns the column."""
    for path in shard_files(folder / place):
        table = read_shard(path)
        index = table.schema.get_field_index(column)
        values = pa.array(change(table.to_pylist()), table.schema.field(column).type)
        write_shard(path, table.set_column(index, column, values), "key")


def only(folder: Path, keep: Any) -> None:
    """Keep those rows of responses, grades and scores that ``keep`` says."""
    for path in [*folder.glob("responses/*/*"), *folder.glob("grades/*/*"), *folder.glob("scores/*/*/*")]:
        table = read_shard(path)
        write_shard(path, table.filter(pa.array([keep(row) for row in table.to_pylist()], pa.bool_())), "key")


def test_two_copies_of_one_folder_compare_as_one(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "theirs"))
    across = compare_across(InFolder(folder, "ce-4"), InFolder(other, "log-likelihood"))
    within = compare(load_results(folder), "ce-4", "log-likelihood")
    assert across.rows == within.rows and across.problems == within.problems
    assert (across.a, across.b) == (f"{folder}:ce-4", f"{other}:log-likelihood")
    same = compare_across(InFolder(folder, "ce-4"), InFolder(other, "ce-4"), n=8)
    assert all(row.difference.mean == row.difference.low == row.difference.high == 0 for row in same.rows)
    votes = compare_across(InFolder(folder, "majority"), InFolder(other, "ce-4:min"), n=4)
    assert votes.rows == compare(load_results(folder), "majority", "ce-4", n=4).rows


def test_fewer_responses_and_problems_are_what_both_have(folder: Path, tmp_path: Path) -> None:
    """Against a plain reading of the shards: the shared responses, and best-of-n among all of them."""
    other = Path(shutil.copytree(folder, tmp_path / "theirs"))
    only(other, lambda row: row["sample"] % 2 == 1 and row["problem_id"] > "p02")
    rewritten(
        other, "problems/test", "problem", lambda rows: [r["problem"] + "?" * (r["problem_id"] == "p05") for r in rows]
    )
    found = compare_across(InFolder(folder, "ce-2"), InFolder(other, "ce-4"), n=4)
    kept = [f"p{i:02d}" for i in range(3, N_PROBLEMS) if i != 5]
    for row, generator in zip(found.rows, GENERATORS, strict=False):
        grades = pa.concat_tables(map(read_shard, shard_files(folder / "grades" / generator))).to_pylist()
        right = {(g["problem_id"], g["sample"]): g["correct"] for g in grades}
        for side, name in ((row.a, "ce-2"), (row.b, "ce-4")):
            scores = pa.concat_tables(map(read_shard, shard_files(folder / "scores" / name / generator))).to_pylist()
            lowest = {(s["problem_id"], s["sample"]): min(s["step_rewards"]) for s in scores}
            best = [max((1, 3, 5, 7), key=lambda sample, p=p: lowest[p, sample]) for p in kept]
            assert side == pytest.approx(np.mean([right[p, sample] for p, sample in zip(kept, best, strict=True)]))
    assert {row.difference.n_problems for row in found.rows} == {len(kept)}
    assert found.notes[0].startswith(
        "8 problems with responses that both have, of A's 12 and B's 12; 1 of the same name"
    )
    assert "weak: 32 responses, 4 to a problem, of A's 96 and B's 36" in found.notes
    with pytest.raises(UserError, match="n = 5: weak has 4 responses per problem"):
        compare_across(InFolder(folder, "ce-2"), InFolder(other, "ce-4"), n=5)


def test_a_response_with_another_text_is_another_response(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "theirs"))
    rewritten(other, "responses/weak", "text", lambda rows: [r["text"] + "!" * (r["sample"] == 0) for r in rows])
    shared = shared_candidates(load_results(folder), load_results(other))
    assert shared.candidates["weak"].counts.differing == N_PROBLEMS
    assert (shared.candidates["weak"].n, shared.candidates["strong"].n) == (7, 8)
    # One problem lacks more than the others: the most responses are kept where it is left out.
    rewritten(
        other,
        "responses/weak",
        "text",
        lambda rows: [r["text"] + "?" * (r["problem_id"] == "p03" and r["sample"] > 1) for r in rows],
    )
    weak = shared_candidates(load_results(folder), load_results(other)).candidates["weak"]
    assert (weak.n, weak.counts.kept, weak.counts.over) == (7, 7 * (N_PROBLEMS - 1), 1)
    rewritten(other, "responses/weak", "text", lambda rows: ["another" for _ in rows])
    found = compare_across(InFolder(folder, "ce-4"), InFolder(other, "ce-4"), n=4)
    assert {row.generator for row in found.rows} == {"strong"} and "weak: no response that both have" in found.notes


def test_several_problem_sets_keep_their_means(folder: Path, tmp_path: Path) -> None:
    _, last = shard_files(folder / "problems" / "test")
    (folder / "problems" / "other").mkdir()
    shutil.move(last, folder / "problems" / "other" / "part-00000.parquet")
    manifest = json.loads((folder / "manifest.json").read_text()) | {"problem_set": ["test", "other"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    other = Path(shutil.copytree(folder, tmp_path / "theirs"))
    found = compare_across(InFolder(folder, "ce-4"), InFolder(other, "ce-2"), n=4)
    assert found.rows == compare(load_results(folder), "ce-4", "ce-2", n=4).rows
    assert [row.set for row in found.rows[-2:]] == ["test", "other"]
    only(other, lambda row: row["problem_id"] < "p04")
    found = compare_across(InFolder(folder, "ce-4"), InFolder(other, "ce-2"), n=4)
    assert {row.difference.n_problems for row in found.rows} == {
        4
    } and "other: no problem that both have" in found.notes


def test_verdicts_are_those_of_the_first_folder(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "theirs"))
    before = compare_across(InFolder(folder, "ce-4"), InFolder(other, "ce-2"), n=4)
    rewritten(other, "grades/weak", "correct", lambda rows: [not r["correct"] for r in rows])
    after = compare_across(InFolder(folder, "ce-4"), InFolder(other, "ce-2"), n=4)
    assert after.rows == before.rows
    assert any(note.startswith("96 of the responses are right in one folder and wrong") for note in after.notes)


def test_a_problem_that_neither_could_answer_counts_as_wrong(folder: Path, tmp_path: Path) -> None:
    only(folder, lambda row: row["problem_id"] != "p00")
    for generator in GENERATORS:
        path = shard_files(folder / "responses" / generator)[0]
        write_shard(path, read_shard(path), "key", {"unanswered": ["p00"], "unanswered_because": "too long"})
    other = Path(shutil.copytree(folder, tmp_path / "theirs"))
    found = compare_across(InFolder(folder, "ce-4"), InFolder(other, "ce-2"))
    assert found.rows == compare(load_results(folder), "ce-4", "ce-2").rows
    assert found.rows[0].difference.n_problems == N_PROBLEMS


def test_means_over_seeds_across_folders(tmp_path: Path) -> None:
    train = {"method": "DPO", "base": "base", "responses": 4}
    models = {
        name: {"token_passes": {}, "train": {**train, "seed": seed}, "trained_by": name, "seeds_of": "dpo"}
        for seed, name in enumerate(("dpo", "dpo-seed1"))
    }
    folder = write_results(tmp_path / "ours", {**models, "log-likelihood": REWARD_MODELS["log-likelihood"]})
    other = Path(shutil.copytree(folder, tmp_path / "theirs"))
    found = compare_across(InFolder(folder, "dpo"), InFolder(other, "log-likelihood"))
    assert found.rows == compare(load_results(folder), "dpo", "log-likelihood").rows
    assert found.a == f"{folder}:dpo (2 seeds)"
    alone = compare_across(InFolder(folder, "dpo-seed0"), InFolder(other, "dpo-seed1"), n=8)
    assert alone.rows == compare(load_results(folder), "dpo-seed0", "dpo-seed1", n=8).rows


def test_folders_that_share_nothing_are_refused(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "theirs"))
    manifest = json.loads((other / "manifest.json").read_text())
    for generator in GENERATORS:
        rewritten(other, f"responses/{generator}", "text", lambda rows: ["another" for _ in rows])
    with pytest.raises(
        UserError, match="12 problems are in both, and no response of weak, strong \\(192 have the same"
    ):
        compare_across(InFolder(folder, "ce-4"), InFolder(other, "ce-4"))
    renamed = {**manifest, "generators": {"else": manifest["generators"]["weak"]}}
    (other / "manifest.json").write_text(json.dumps(renamed))
    shutil.move(other / "grades" / "weak", other / "grades" / "else")
    with pytest.raises(UserError, match=r"no generator is in both \(weak, strong; else\)"):
        compare_across(InFolder(folder, "ce-4"), InFolder(other, "ce-4"))
    rewritten(other, "problems/test", "problem", lambda rows: ["another" for _ in rows])
    with pytest.raises(UserError, match="no problem is in both; 12 ids stand for other problems there"):
        compare_across(InFolder(folder, "ce-4"), InFolder(other, "ce-4"))
    with pytest.raises(UserError, match=r"no reward model is named 'ce4' in .*theirs.*did you mean ce-4"):
        compare_across(InFolder(folder, "ce-4"), InFolder(other, "ce4"))


def test_the_command_line(stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of folders whose names have colons too, as on Windows."""
    for name in ("run:1", "C:\\theirs"):
        (tmp_path / name).symlink_to(stored)
    assert main(["compare", f"{tmp_path / 'run:1'}:ce-4", f"{tmp_path}/C:\\theirs:ce-2:min", "--n", "4"]) == 0
    shown = capsys.readouterr().out
    assert "A − B" in shown and "12 problems with responses that both have" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{}", "ce-4"], "a results folder, and nothing to compare in it: bonbench compare RESULTS A B, or FOLDER:A"),
        (["{}:ce-4", "ce-2"], "ce-2: FOLDER:NAME is expected"),
        (["{}:ce-4", "{}:"], "which of its reward models?"),
        (["{}:ce-4", "no/folder:ce-2:min"], "no/folder: no results there (no manifest.json)"),
        (["{}:ce-4", "C:\\no\\folder:ce-2"], "C:\\no\\folder: no results there (no manifest.json)"),
        (["{}:ce-4", "no:ce/folder"], "no:ce/folder: FOLDER:NAME is expected"),
        (["{}:ce-4", ":ce-2"], ":ce-2: FOLDER:NAME is expected"),
        (["{}:ce-4", "{}:nobody"], "no reward model is named 'nobody'"),
    ],
)
def test_mistakes_are_one_line(stored: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *(word.replace("{}", str(stored)) for word in words)]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
