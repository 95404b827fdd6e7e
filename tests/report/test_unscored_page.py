"""Responses without a score, and responses that were cut, in the explorer of report.html."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browser import Browser, Page
from report_page import READY, choose, toggle_source
from results_folder import HOSTILE, write_results

from harness.core.records import Response, StepScores
from harness.report.write import write_report
from harness.storage.arrow import to_records, to_table
from harness.storage.shards import read_shard, write_shard

MODEL, READER, OUTCOME, CUTTER = "ce-4", "ce-2", "log-likelihood", "ce-4-alone"
THOUGHT = "<think>\U0001d465 = <b>1</b>?</think>\n"


def changed(row: StepScores) -> StepScores:
    """Samples 0 to 3 unscored; of sample 4 only the first step was read."""
    if row.sample < 4:
        return replace(row, step_rewards=(), step_ends=(), n_tokens=0)
    return replace(row, step_rewards=row.step_rewards[:1], step_ends=row.step_ends[:1]) if row.sample == 4 else row


def thinks_at_five(folder: Path) -> None:
    """Sample 5 thinks before it answers, and another reward model reads answers alone."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["reward_models"][READER]["reads"] = "answer"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for path in folder.glob("responses/*/part-*.parquet"):
        rows = [
            replace(row, text=THOUGHT + row.text if row.sample == 5 else row.text)
            for row in to_records(Response, read_shard(path))
        ]
        write_shard(path, to_table(Response, rows), "key")
    for path in (folder / "scores" / READER).glob("*/part-*.parquet"):
        scores = [
            replace(row, step_ends=tuple(len(THOUGHT) + end for end in row.step_ends or ())) if row.sample == 5 else row
            for row in to_records(StepScores, read_shard(path))
        ]
        write_shard(path, to_table(StepScores, scores), "key")


def cuts_elsewhere(folder: Path) -> None:
    """One reward model has a reward for the whole response; another's first step ends within the formula."""
    for model, ends in ((OUTCOME, (len(HOSTILE),)), (CUTTER, (HOSTILE.index("boxed"), len(HOSTILE)))):
        for path in (folder / "scores" / model).glob("*/part-*.parquet"):
            scores = [
                replace(
                    row,
                    step_rewards=row.step_rewards[: len(ends)],
                    step_ends=tuple(end + len(THOUGHT) * (row.sample == 5) for end in ends),
                )
                for row in to_records(StepScores, read_shard(path))
            ]
            write_shard(path, to_table(StepScores, scores), "key")


@pytest.fixture(scope="module")
def page(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = write_results(
        tmp_path_factory.mktemp("unscored") / "tiny", evaluation={"n": [1, 4, 8], "aggregation": ["min", "mean"]}
    )
    for path in (folder / "scores" / MODEL).glob("*/part-*.parquet"):
        rows = [changed(row) for row in to_records(StepScores, read_shard(path))]
        write_shard(path, to_table(StepScores, rows), "key", {"unscored_because": "too long"})
    thinks_at_five(folder)
    cuts_elsewhere(folder)
    write_report(folder)
    page = chromium.open(folder / "report.html")
    page.wait(READY)
    yield page
    assert page.complaints() == []
    page.close()


def place(page: Page, model: str) -> int:
    """Of a reward model among the choosers, with its lowest step where there are several ways."""
    names: list[str] = page.run("[...document.querySelector('[name=second]').options].slice(1).map(o => o.textContent)")
    return next(i for i, name in enumerate(names) if name in (model, f"{model} (min)"))


def unfold(page: Page, sample: int) -> str:
    """Opens a response; the expression for what is in it."""
    body = f"""document.querySelector('.response[data-sample="{sample}"] .body')"""
    page.run(f"{body}.parentNode.open = true")
    page.wait(f"{body}.childNodes.length > 0")
    return body


def test_the_explorer_shows_them(page: Page) -> None:
    toggle_source(page)
    for aggregation in range(2):  # the page finds the lowest rewards itself, and is told the means
        choose(page, "chooser", place(page, MODEL) + aggregation)
        shown = page.run("[...document.querySelectorAll('.response')].map(r => [r.dataset.sample, r.textContent])")
        assert {int(sample) for sample, _ in shown[:4]} == {4, 5, 6, 7}
        assert [int(sample) for sample, _ in shown[4:]] == [0, 1, 2, 3]  # last, in their order
        assert ["no score" in text for _, text in shown] == [False] * 4 + [True] * 4
    page.run("document.querySelectorAll('.response').forEach(r => { r.open = true })")
    page.wait("document.querySelectorAll('.step').length === 7")
    text = page.run("document.querySelector('.response[data-sample=\"4\"] .body .text:not(.step .text)').textContent")
    assert text == HOSTILE.split("\n")[1]
    choose(page, "chooser", place(page, READER))
    page.run("document.querySelectorAll('.response').forEach(r => { r.open = true })")
    page.wait("document.querySelectorAll('.step').length === 16")
    body = """document.querySelector('.response[data-sample="5"] .body')"""
    shown = page.run(f"[...{body}.querySelectorAll('.text')].map(e => e.textContent)")
    assert shown == [THOUGHT, *(step.strip() for step in HOSTILE.split("\n"))]
    toggle_source(page)


def rows(page: Page, sample: int) -> list[list[tuple[str, int]]]:
    """The cells of the steps' table: text, and over how many rows."""
    body = unfold(page, sample)
    found = page.run(
        f"[...{body}.querySelectorAll('tr.step')].map(r => [...r.cells].map(c => [c.textContent, c.rowSpan]))"
    )
    return [[(text, span) for text, span in row] for row in found]


def test_two_reward_models_that_cut_a_response_otherwise_share_its_text(page: Page) -> None:
    first, second = (step.strip() for step in HOSTILE.split("\n"))
    begin, end = first.split("boxed")
    choose(page, "chooser", place(page, OUTCOME))
    choose(page, "second", place(page, CUTTER))
    # A reward for the whole beside two steps; the formula that the cut goes through stays as it was written.
    (whole, a, text), (b, rest) = rows(page, 6)
    assert (whole[1], a[1], b[1]) == (2, 1, 1)
    assert (text[0], rest[0]) == (begin, "boxed" + end + "\n" + second)
    # Three cuts of two models.
    choose(page, "second", place(page, READER))
    choose(page, "chooser", place(page, CUTTER))
    three = rows(page, 6)
    assert [cells[-1][0] for cells in three] == [begin, "boxed" + end, second]
    assert [[span for _, span in cells[:-1]] for cells in three] == [[1, 2], [2], [1]]


def test_what_one_of_two_reward_models_has_not_read_is_said(page: Page) -> None:
    choose(page, "chooser", place(page, MODEL))
    choose(page, "second", place(page, READER))
    one, two = rows(page, 4)  # the first has read the first step alone
    assert one[0][0] != "not read" and two[0][0] == "not read"
    unscored = unfold(page, 1)  # the first has read nothing: the steps are those of the second
    assert page.run(f"{unscored}.querySelectorAll('li.step').length") == 2
    assert "no score" in page.run(f"{unscored}.parentNode.querySelector('summary').textContent")
    choose(page, "chooser", place(page, OUTCOME))
    thoughts, *steps = rows(page, 5)  # the second does not read them
    assert (thoughts[0][1], thoughts[1], thoughts[2][0]) == (3, ("not read", 1), THOUGHT.strip())
    assert len(steps) == 2
