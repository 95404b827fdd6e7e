"""The table of responses, counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from results_folder import GENERATORS, HOSTILE, N_PROBLEMS, N_SAMPLES, write_results

from harness.core.records import Response
from harness.report.write import write_report
from harness.storage.arrow import to_records, to_table
from harness.storage.shards import read_shard, write_shard

TEXTS = {0: "<think>a\n\nb", 1: "a</think>b", 2: "<think>\n", 3: "<think></think>b\nc\nd"}
TOKENS = {0: 100, 1: 50, 2: 0}  # of sample 2 they are not counted


def test_it_counts_what_was_cut_and_what_thinks(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "tiny", reward_models={})
    for path in folder.glob("responses/strong/part-*.parquet"):
        rows = [
            replace(
                row,
                text=TEXTS.get(row.sample, row.text),
                n_tokens=TOKENS.get(row.sample, 20),
                finish_reason="length" if row.sample in (0, 2) else "stop",
            )
            for row in to_records(Response, read_shard(path))
        ]
        write_shard(path, to_table(Response, rows), "key")
    for path in folder.glob("responses/weak/part-*.parquet"):
        rows = [replace(row, finish_reason="", n_tokens=0) for row in to_records(Response, read_shard(path))]
        write_shard(path, to_table(Response, rows), "key")
    write_report(folder)
    table = pd.read_csv(folder / "tables" / "responses.csv").set_index("generator")
    assert list(table.index) == list(GENERATORS)
    strong, weak = table.loc["strong"], table.loc["weak"]
    n = N_PROBLEMS * N_SAMPLES
    lengths = [len(TEXTS.get(sample, HOSTILE)) for sample in range(N_SAMPLES)]
    assert (strong["responses"], strong["truncated"]) == (n, n * 2 / N_SAMPLES)
    assert (strong["with_reasoning"], strong["cut_in_reasoning"]) == (n * 3 / N_SAMPLES, n * 2 / N_SAMPLES)
    assert strong["mean_tokens"] == pytest.approx((100 + 50 + 20 * (N_SAMPLES - 3)) / (N_SAMPLES - 1))
    assert strong["median_tokens"] == 20
    assert strong["mean_characters"] == pytest.approx(sum(lengths) / N_SAMPLES)
    assert strong["mean_steps"] == (2 + 1 + 1 + 3 + 2 * (N_SAMPLES - 4)) / N_SAMPLES
    assert (strong["median_steps"], strong["max_steps"]) == (2, 3)
    assert math.isnan(weak["truncated"]) and math.isnan(weak["mean_tokens"])
    assert (weak["with_reasoning"], weak["mean_steps"], weak["mean_characters"]) == (0, 2, len(HOSTILE))
    page = (folder / "report.html").read_text()
    assert '<h3 id="responses">Responses</h3>' in page and '<td class="num">–</td>' in page
