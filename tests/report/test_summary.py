"""The sentences of the summary say what their numbers are averages of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from results_folder import GENERATORS, write_results

from harness.analysis.choosers import AVERAGE, PASS_AT_1
from harness.analysis.evaluation import Evaluation
from harness.report.summary import summary
from harness.report.text import percent
from harness.storage.results import load_results


def test_generators_without_a_common_problem_are_named(tmp_path: Path) -> None:
    evaluation = Evaluation.of(load_results(write_results(tmp_path, {})))
    assert summary(evaluation, None)[0].startswith("Averaged over 2 generators and n = 4 and 8, a response")
    accuracies = evaluation.accuracies
    of_each = {key: values for key, values in accuracies.rows.items() if key.generator != AVERAGE}
    apart = replace(accuracies, rows=of_each)
    (line,) = summary(Evaluation(evaluation.results, apart), None)
    assert line.startswith(f"With the responses of {GENERATORS[0]}, averaged over n = 4 and 8, a response")
    first = apart.values(GENERATORS[0], PASS_AT_1, 8)
    assert first is not None and f"right in {percent(first.mean())} % of the cases" in line
