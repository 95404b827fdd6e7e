"""Published numbers: the transcription, the report drawn from it, and a run laid beside."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from places import ROOT
from results_folder import REWARD_MODELS, write_results

from harness.analysis.choosers import AVERAGE, MAJORITY, Chooser
from harness.analysis.evaluation import Evaluation
from harness.analysis.published_numbers import Published, beside, load_published, published_table1
from harness.analysis.rows import to_frame
from harness.core.errors import UserError
from harness.report.table_texts import beside_markdown
from harness.report.write import write_report
from harness.report.write_published import write_published_report
from harness.storage.results import load_results

PAPER = ROOT / "results" / "paper"


@pytest.fixture(scope="module")
def paper() -> Published:
    return load_published(PAPER)


def test_printed_averages_are_the_means_of_their_rows(paper: Published) -> None:
    """A slip in copying a number would show in its row's average."""
    rows = paper.table1.set_index("method").drop("pass@1")
    assert rows.shape == (14, 10)
    assert rows.iloc[:, :9].mean(axis=1).to_numpy() == pytest.approx(rows["avg"].to_numpy(), abs=0.0501)
    # Figure 3 starts where Table 1 ends.
    for name, (plain, _) in paper.votes().items():
        assert rows.loc[f"Implicit PRM ({name})", "avg"] == plain


def test_every_file_has_a_source_and_every_row_a_counterpart(paper: Published) -> None:
    assert set(paper.index.files) == {path.name for path in PAPER.glob("*.csv")}
    assert set(paper.index.methods) == set(paper.table1["method"]) - {"pass@1"}
    assert {generator for generator, _ in paper.cells} == set(paper.index.generators)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "paper"
    shutil.copytree(PAPER, folder, ignore=shutil.ignore_patterns("tables", "figures", "report.html"))
    write_published_report(folder)
    return folder


def test_table1_is_redrawn_from_the_files(drawn: Path, paper: Published) -> None:
    pd.testing.assert_frame_equal(
        pd.read_csv(drawn / "tables" / "table1.csv").rename(columns={}), paper.table1, check_dtype=False
    )
    lines = (drawn / "tables" / "table1.md").read_text().splitlines()
    dpo = next(line for line in lines if "Implicit PRM (DPO)" in line)
    assert dpo.endswith("| 18.6 | 24.4 | 28.8 | 54.0 | **55.4** | **57.0** | 71.8 | 71.2 | 72.2 | **50.4** |")
    assert "nan" not in "\n".join(lines) and "[" not in dpo  # no intervals were published
    tex = (drawn / "tables" / "table1.tex").read_text()
    assert tex.count(r"\midrule") == 2 and r"\multicolumn{3}{c}{llama-70b}" in tex
    assert published_table1(paper).tied == frozenset()


def test_figures_and_page_are_written(drawn: Path) -> None:
    assert {p.name for p in (drawn / "figures").iterdir()} == {
        f"{stem}.{suffix}" for stem in ("fig2_development_cost", "fig3_majority") for suffix in ("pdf", "png")
    }
    page = (drawn / "report.html").read_text()
    assert "arXiv 2412.01981v1" in page and page.count("data:image/svg+xml") == 2
    assert not re.search(r"https?://|<script", page)
    assert all(f"Table {k}: " in page for k in range(1, 6))
    assert page.count("<b>") == 10 and "<b>50.4</b>" in page  # the best of each column of Table 1


# --- beside --------------------------------------------------------------------------------------------

INDEX = """
title: A paper
source: somewhere
problems: 100
files: {table1.csv: Table 1, figure2.csv: Figure 2, figure3.csv: Figure 3}
generators: {theirs-weak: models/w, strong: models/s}
methods: {Cross-entropy: CE, Elsewhere: DPO, Public: hub/model}
"""
TABLE1 = """method,theirs-weak@4,theirs-weak@8,strong@4,strong@8,avg
pass@1,30.0,30.0,60.0,60.0,
Cross-entropy,40.0,41.0,70.0,71.0,55.5
Elsewhere,1.0,2.0,3.0,4.0,2.5
Public,50.0,51.0,80.0,81.0,65.5
"""


@pytest.fixture
def other(tmp_path: Path) -> Path:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "published.yaml").write_text(INDEX)
    (folder / "table1.csv").write_text(TABLE1)
    (folder / "figure2.csv").write_text("method,responses,of_ce\nDPO,2,0.5\n")
    (folder / "figure3.csv").write_text("method,best_of_n,weighted_best_of_n\nCE,55.5,56.0\nmajority vote,,50.0\n")
    return folder


def run_folder(tmp_path: Path) -> Path:
    generators = {"weak": {"type": "x", "model": "models/w"}, "strong": {"type": "x", "model": "elsewhere"}}
    config = {"reward_models": {"log-likelihood": {"type": "implicit", "model": "hub/model"}}}
    return write_results(tmp_path / "run", REWARD_MODELS, generators=generators, config=config)


def test_a_run_is_laid_beside_by_model_name_and_method(tmp_path: Path, other: Path) -> None:
    results, published = load_results(run_folder(tmp_path)), load_published(other)
    evaluation = Evaluation.of(results)
    accuracies = evaluation.accuracies
    rows_beside = beside(evaluation, published)
    frame = to_frame(rows_beside)
    by_row = frame.groupby("published", sort=False)["reward_model"].unique().map(list).to_dict()
    # CE is the one trained on most; nothing here is DPO; log-likelihood scores with the model of the row Public.
    assert by_row == {
        "pass@1": [""],
        "Cross-entropy": ["ce-4"],
        "Public": ["log-likelihood"],
        "majority vote": [""],
        "CE, voting": ["ce-4"],
    }
    rows = frame.set_index(["published", "generator", "n"])
    method = Chooser("best_of_n", "ce-4", "min")
    ours = accuracies.values("weak", method, 8)
    assert ours is not None
    line = rows.loc[("Cross-entropy", "theirs-weak", 8)]
    assert (line["ours"], line["theirs"]) == (pytest.approx(100 * ours.mean()), 41.0)
    assert line["difference"] == pytest.approx(100 * ours.mean() - 41.0)
    assert line["ours_low"] <= line["ours"] <= line["ours_high"]
    averages = frame[frame["generator"] == AVERAGE].set_index("published")
    assert averages.loc["Cross-entropy", "ours"] == pytest.approx(100 * accuracies.overall(method).mean())  # type: ignore[union-attr]
    assert averages.loc["majority vote", "ours"] == pytest.approx(100 * accuracies.overall(MAJORITY).mean())  # type: ignore[union-attr]
    assert "pass@1" not in averages.index  # no average of it was published
    text = beside_markdown(rows_beside, published.index)
    assert f"| Cross-entropy | ce-4 | theirs-weak | 8 | {line['ours']:.1f} |" in text


def test_an_average_needs_all_of_its_columns(tmp_path: Path, other: Path) -> None:
    (other / "published.yaml").write_text(INDEX.replace("strong: models/s", "third: models/s"))
    (other / "table1.csv").write_text(TABLE1.replace("strong@", "third@"))
    results = load_results(run_folder(tmp_path))
    frame = to_frame(beside(Evaluation.of(results), load_published(other)))
    assert set(frame["generator"]) == {"theirs-weak"}


def test_the_report_writes_it_when_asked(tmp_path: Path, other: Path) -> None:
    folder = run_folder(tmp_path)
    assert {"beside_paper.csv", "beside_paper.md"} <= {p.name for p in write_report(folder, other)}
    found = pd.read_csv(folder / "tables" / "beside_paper.csv")
    assert np.allclose(found["ours"] - found["theirs"], found["difference"])
    # Two methods at two generators and two n with averages, pass@1 once per generator, two averages of voting.
    assert len(found) == 2 * (2 * 2 + 1) + 2 + 2


@pytest.mark.parametrize(
    ("breaks", "message"),
    [
        (lambda f: (f / "published.yaml").unlink(), "no published numbers there"),
        (lambda f: (f / "published.yaml").write_text("title: [x"), "not YAML"),
        (lambda f: (f / "published.yaml").write_text(INDEX + "methd: {}\n"), "methd: unknown key.*methods"),
        (lambda f: (f / "figure2.csv").unlink(), "figure2.csv: not a readable table"),
        (
            lambda f: (f / "published.yaml").write_text(INDEX.replace("figure3.csv: Figure 3", "")),
            "figure3.csv missing",
        ),
    ],
)
def test_mistakes_are_named(other: Path, breaks, message: str) -> None:  # type: ignore[no-untyped-def]
    breaks(other)
    with pytest.raises(UserError, match=message):
        load_published(other)


def test_a_run_of_other_generators_has_nothing_to_lay_beside(tmp_path: Path, paper: Published) -> None:
    results = load_results(write_results(tmp_path))
    with pytest.raises(UserError, match="none of its generators is one of mistral-7b, llama-8b, llama-70b"):
        beside(Evaluation.of(results), paper)
