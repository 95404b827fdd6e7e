"""Two verifiers side by side: counts, examples and rankings, against plain counting over the stored grades."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from results_folder import GENERATORS, write_results, write_rows
from runs import bonbench

from harness.analysis.evaluation import Evaluation
from harness.core.records import Grade
from harness.report.write import write_report
from harness.storage.arrow import to_records
from harness.storage.results import load_results
from harness.storage.shards import read_shard


def stored(folder: Path, kind: str) -> dict[tuple[str, str, int], Grade]:
    rows = [g for path in (folder / kind).rglob("part-*.parquet") for g in to_records(Grade, read_shard(path))]
    return {(g.problem_id, g.generator, g.sample): g for g in rows}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results whose second verifier flips the verdict on every third response of ``weak``, none of ``strong``."""
    folder = write_results(tmp_path_factory.mktemp("two") / "run", second_verifier={"type": "other"})
    for generator in GENERATORS:
        rows = [g for (_, of, _), g in sorted(stored(folder, "grades").items()) if of == generator]
        flipped = [
            Grade(
                g.problem_id, g.generator, g.sample, None if i % 2 else g.extracted, not g.correct, "other",
                int(g.correct),
            )
            if generator == "weak" and i % 3 == 0
            else g
            for i, g in enumerate(rows)
        ]  # fmt: skip
        write_rows(folder / "second-grades" / generator, Grade, flipped)
    return folder


def test_agreement_is_counted(folder: Path) -> None:
    opinion = Evaluation.of(load_results(folder)).second_opinion
    assert opinion is not None
    first, second = stored(folder, "grades"), stored(folder, "second-grades")
    for row in opinion.agreement():
        pairs = [(first[key].correct, second[key].correct) for key in first if key[1] == row.generator]
        assert row.n_responses == len(pairs)
        counts = (row.both_right, row.only_first, row.only_second, row.both_wrong)
        assert counts == tuple(pairs.count(p) for p in ((True, True), (True, False), (False, True), (False, False)))
        assert row.disagreement == pytest.approx(sum(a != b for a, b in pairs) / len(pairs))
    assert [row.generator for row in opinion.agreement()] == list(GENERATORS)
    assert [row.disagreement == 0 for row in opinion.agreement()] == [False, True]


def test_disagreements_are_the_responses_that_were_flipped(folder: Path) -> None:
    opinion = Evaluation.of(load_results(folder)).second_opinion
    assert opinion is not None
    rows = opinion.disagreements()
    agreement = opinion.agreement()[0]
    assert sum(row.responses for row in rows) == agreement.only_first + agreement.only_second
    assert [row.responses for row in rows] == sorted((row.responses for row in rows), reverse=True)
    assert {row.right_for for row in rows} == {"first", "second"}
    assert any(row.second_answer is None for row in rows)


def test_the_ranking_is_that_of_a_run_with_the_other_grades(folder: Path, tmp_path: Path) -> None:
    """The second verifier's numbers are those of the same results with its grades in the place of the first's."""
    evaluation = Evaluation.of(load_results(folder))
    assert evaluation.second_opinion is not None
    swapped = write_results(tmp_path / "run")
    for generator in GENERATORS:
        rows = [g for (_, of, _), g in sorted(stored(folder, "second-grades").items()) if of == generator]
        write_rows(swapped / "grades" / generator, Grade, rows)
    other = Evaluation.of(load_results(swapped))
    rows = {row.row: row for row in evaluation.second_opinion.ranking(list(evaluation.choosers.items()))}
    means = {}
    for chooser, label in other.choosers.items():
        values = other.accuracies.overall(chooser)
        assert values is not None
        assert rows[label].second == other.accuracies.interval(values)
        means[label] = rows[label].second.mean
    assert {label: rows[label].rank_second for label in means} == {
        label: 1 + sum(mean > means[label] for mean in means.values()) for label in means
    }
    assert rows["pass@1"].rank_first is None


def test_the_report_shows_both(folder: Path) -> None:
    write_report(folder)
    with (folder / "tables" / "verifiers.csv").open() as file:
        assert [row["generator"] for row in csv.DictReader(file)] == list(GENERATORS)
    page = (folder / "report.html").read_text()
    assert "Two verifiers" in page and "Where the verifiers disagree" in page


def test_a_run_grades_twice_and_keeps_the_first_verifiers_keys(tmp_path: Path) -> None:
    """Two options of one verifier are two verifiers. The second does not make the first grade again."""
    responses = tmp_path / "responses.jsonl"
    samples = '{"text": "\\\\boxed{10\\\\%}"}, {"text": "\\\\boxed{10}"}'
    responses.write_text(f'{{"problem": "How much?", "gold": "10", "samples": [{samples}]}}\n')
    settings = ("--set", f"responses={responses}", "--set", f"output={tmp_path / 'out'}")
    run = ("run", "replay", "--local", *settings)
    assert bonbench(*run).code == 0
    done = bonbench(*run, "--set", "second_verifier={type: math, percent: value}")
    assert done.code == 0, done.err
    with (tmp_path / "out" / "tables" / "verifiers.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["both_right"], row["only_first"], row["only_second"]) == ("1", "1", "0")
    assert "Nothing to compute" in bonbench(*run).err
