"""The written report: which files, the same bytes every time, hostile text as text, what is left out."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from results_folder import write_results

from harness.report.figures.palette import looks
from harness.report.figures.panels import spread
from harness.report.write import write_report

TABLES = [
    "accuracy.csv",
    "costs.csv",
    "answers.csv",
    "responses.csv",
    "breakdown.csv",
    "table1.csv",
    "table1.md",
    "table1.tex",
]
TABLES += ["weighted.csv", "weighted.md", "comparisons.csv", "comparisons.md", "development_cost.csv"]
TABLES += ["findings.csv", "findings.md", "diagnosis.csv", "overoptimisation.csv", "score_curves.csv"]
FIGURES = [
    f"{stem}.{suffix}"
    for stem in ("curves", "fig1_cost_accuracy", "fig3_majority", "fig5_responses", "roc", "overoptimisation")
    for suffix in ("pdf", "png")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_results(tmp_path_factory.mktemp("results") / "tiny")
    write_report(path)
    return path


def digests(folder: Path) -> dict[str, str]:
    written = [*folder.glob("tables/*"), *folder.glob("figures/*"), folder / "report.html"]
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in written}


def test_everything_is_written_and_nothing_else(folder: Path) -> None:
    assert {p.name for p in folder.glob("tables/*")} == set(TABLES)
    assert {p.name for p in folder.glob("figures/*")} == set(FIGURES)
    for name in FIGURES:
        head = (folder / "figures" / name).read_bytes()[:4]
        assert head == (b"%PDF" if name.endswith("pdf") else b"\x89PNG")


def test_a_second_process_writes_the_same_bytes(folder: Path) -> None:
    before = digests(folder)
    code = "import sys, pathlib, harness.report.write; harness.report.write.write_report(pathlib.Path(sys.argv[1]))"
    environment = {**os.environ, "PYTHONHASHSEED": "123", "TZ": "Asia/Tokyo", "SOURCE_DATE_EPOCH": "1"}
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, env=environment)
    assert digests(folder) == before


def test_pdf_fonts_are_embedded_truetype(folder: Path) -> None:
    data = (folder / "figures" / "curves.pdf").read_bytes()
    assert b"/FontFile2" in data and b"/Type3" not in data
    assert b"CreationDate" not in data


class Page(HTMLParser):
    """Tags, their attributes and the visible text of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "link", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"unbalanced </{tag}>"

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text())


def test_page_is_well_formed_and_self_contained(page: Page, folder: Path) -> None:
    assert page.open == []
    assert {tag for tag, _ in page.tags} & {"link", "iframe", "object", "base"} == set()
    sources = [value for _, attrs in page.tags for name, value in attrs.items() if name in ("src", "href")]
    assert [s for s in sources if s and s.startswith("data:image/svg+xml;base64,")]
    assert all(s and s.startswith(("data:", "#")) for s in sources)
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on") or name == "style"]


def test_the_policy_allows_the_page_s_own_script_and_style_alone(page: Page, folder: Path) -> None:
    text = (folder / "report.html").read_text()
    scripts = [attrs for tag, attrs in page.tags if tag == "script"]
    assert [attrs for attrs in scripts if attrs.get("type") != "application/octet-stream"] == [{}]
    (policy,) = (attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy and f"{tag}-src 'sha256-{digest}';" in policy
    assert policy and policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy


def test_text_of_problems_and_responses_is_in_blocks_alone(page: Page, folder: Path) -> None:
    """Compressed, under an id each; tests/test_report_page.py sees what becomes of them."""
    text = (folder / "report.html").read_text()
    assert not [planted for planted in ("alert('x')", "What is", "<b>7", "\u202e") if planted in text]
    stored = [attrs["id"] for tag, attrs in page.tags if tag == "script" and "type" in attrs]
    assert {"curve-data", "explorer-index", "block-0-0"} <= set(stored)
    assert len(stored) == len(set(stored))


def test_page_says_what_the_tables_say(page: Page, folder: Path) -> None:
    text = " ".join(" ".join(page.text).split())
    row = next(line for line in (folder / "tables" / "table1.md").read_text().splitlines() if "| ce-4 |" in line)
    average = re.findall(r"(\d+\.\d)\*{0,2} \[", row)[-1]
    assert f"{average} " in text
    assert "The best reward model by this average is" in text
    for heading in ("Summary", "Costs", "Answers", "Explorer", "How this was made", "Accuracy by subject, n = 8"):
        assert heading in text
    assert "Costs: needs" not in text and "Development cost against accuracy: needs" not in text


def test_untrained_and_unscored_runs_say_what_is_missing(tmp_path: Path) -> None:
    """Without reward models only voting is left; a table from an earlier report does not survive."""
    folder = write_results(tmp_path, reward_models={})
    stale = folder / "tables" / "costs.csv"
    stale.parent.mkdir()
    stale.write_text("old")
    written = {p.name for p in write_report(folder)}
    assert not stale.exists()
    assert {"accuracy.csv", "table1.md", "curves.png", "report.html"} <= written
    assert not written & {"comparisons.csv", "weighted.csv", "costs.csv", "fig3_majority.png", "fig1_cost_accuracy.png"}
    text = " ".join(" ".join(Page((folder / "report.html").read_text()).text).split())
    assert "Left out" in text
    assert "give entries a train: block" in text


def test_quarantined_shards_are_reported(tmp_path: Path) -> None:
    lost = {"stage": "score", "who": "ce-2", "shard": 1, "problem_ids": ["p06", "p07"], "error": "died <3 times>"}
    folder = write_results(tmp_path, quarantined=[lost])
    (folder / "scores" / "ce-2" / "weak" / "part-00001.parquet").unlink()
    write_report(folder)
    text = " ".join(" ".join(Page((folder / "report.html").read_text()).text).split())
    assert "Failed, and missing from the numbers: 1 shard; which" in text
    assert "p06, p07 died <3 times>" in text


def test_what_failed_as_a_whole_is_no_shard(tmp_path: Path) -> None:
    lost = [
        {"stage": "score", "who": "ce-2", "shard": "scores/ce-2", "problem_ids": [], "error": "no weights"},
        {"stage": "train", "who": "a", "shard": "trained/a", "problem_ids": [], "error": "out of memory"},
        {"stage": "train", "who": "b", "shard": "trained/b", "problem_ids": [], "error": "out of memory"},
    ]
    write_report(folder := write_results(tmp_path, quarantined=lost))
    text = " ".join(" ".join(Page((folder / "report.html").read_text()).text).split())
    assert "Failed, and missing from the numbers: 2 trainings, 1 stage; which" in text


# --- figure helpers ------------------------------------------------------------------------------------


def test_labels_are_spread_apart_in_order() -> None:
    placed = spread([5.0, 5.1, 5.2, 9.0], 1.0, 0.0, 10.0)
    assert placed == sorted(placed)
    assert min(b - a for a, b in pairwise(placed)) >= 1.0 - 1e-9
    assert placed[3] == 9.0
    assert spread([0.0, 0.1], 1.0, 0.0, 10.0)[0] >= 0.0


def test_methods_keep_their_look_whoever_else_is_there() -> None:
    few, many = looks(["CE", "DPO"]), looks(["mine", "DPO", "other", "CE", "NCA"])
    assert few["CE"] == many["CE"] and few["DPO"] == many["DPO"]
    assert len(set(many.values())) == 5
