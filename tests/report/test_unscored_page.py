"""Responses without a score, and responses that were cut, in the explorer of report.html."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from browser import Browser
from report_page import READY, choose, toggle_source
from results_folder import HOSTILE, REWARD_MODELS, write_results

from harness.core.records import Response, StepScores
from harness.report.write import write_report
from harness.storage.arrow import to_records, to_table
from harness.storage.shards import read_shard, write_shard

MODEL, READER = "ce-4", "ce-2"
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


def test_the_explorer_shows_them(chromium: Browser, tmp_path: Path) -> None:
    folder = write_results(tmp_path / "tiny", evaluation={"n": [1, 4, 8], "aggregation": ["min", "mean"]})
    for path in (folder / "scores" / MODEL).glob("*/part-*.parquet"):
        rows = [changed(row) for row in to_records(StepScores, read_shard(path))]
        write_shard(path, to_table(StepScores, rows), "key", {"unscored_because": "too long"})
    thinks_at_five(folder)
    write_report(folder)
    page = chromium.open(folder / "report.html")
    page.wait(READY)
    toggle_source(page)
    for aggregation in range(2):  # the page finds the lowest rewards itself, and is told the means
        choose(page, "chooser", 2 * list(REWARD_MODELS).index(MODEL) + aggregation)
        shown = page.run("[...document.querySelectorAll('.response')].map(r => [r.dataset.sample, r.textContent])")
        assert {int(sample) for sample, _ in shown[:4]} == {4, 5, 6, 7}
        assert [int(sample) for sample, _ in shown[4:]] == [0, 1, 2, 3]  # last, in their order
        assert ["no score" in text for _, text in shown] == [False] * 4 + [True] * 4
    page.run("document.querySelectorAll('.response').forEach(r => { r.open = true })")
    page.wait("document.querySelectorAll('.step').length === 7")
    text = page.run("document.querySelector('.response[data-sample=\"4\"] .body .text:not(.step .text)').textContent")
    assert text == HOSTILE.split("\n")[1]
    choose(page, "chooser", 2 * list(REWARD_MODELS).index(READER))
    page.run("document.querySelectorAll('.response').forEach(r => { r.open = true })")
    page.wait("document.querySelectorAll('.step').length === 16")
    body = """document.querySelector('.response[data-sample="5"] .body')"""
    shown = page.run(f"[...{body}.querySelectorAll('.text')].map(e => e.textContent)")
    assert shown == [THOUGHT, *(step.strip() for step in HOSTILE.split("\n"))]
    assert page.complaints() == []
    page.close()
