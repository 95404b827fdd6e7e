"""`bonbench compare`: numbers against the long table, names, and what reaches the terminal."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from plain import plain_best_of_n
from results_folder import GENERATORS, N_PROBLEMS, write_results
from rich.console import Console
from scipy.stats import norm

from harness.analysis.choosers import AVERAGE, Chooser
from harness.analysis.compare import compare
from harness.analysis.compute_accuracies import compute_accuracies
from harness.analysis.power import Power
from harness.analysis.rows import to_frame
from harness.cli.tables.comparison import render
from harness.core.errors import UserError
from harness.storage.results import Results, load_results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return load_results(write_results(tmp_path_factory.mktemp("results") / "tiny"))


@pytest.mark.parametrize("strategy", ["best_of_n", "weighted_best_of_n"])
def test_rows_agree_with_the_long_table(results: Results, strategy: str) -> None:
    found = compare(results, "ce-4", "log-likelihood", n=4, strategy=strategy)
    rows = to_frame(compute_accuracies(results).table())
    table = rows.set_index(["generator", "reward_model", "strategy", "n"])["accuracy"]
    assert [(row.generator, row.n) for row in found.rows] == [(g, 4) for g in (*GENERATORS, AVERAGE)]
    for row in found.rows:
        assert 100 * row.a == pytest.approx(table[row.generator, "ce-4", strategy, 4])
        assert 100 * row.b == pytest.approx(table[row.generator, "log-likelihood", strategy, 4])
        assert row.difference.mean == pytest.approx(row.a - row.b)


def test_swapping_sides_flips_the_sign(results: Results) -> None:
    ab, ba = compare(results, "ce-4", "majority", n=8), compare(results, "majority", "ce-4", n=8)
    for one, other in zip(ab.rows, ba.rows, strict=True):
        a, b = one.difference, other.difference
        assert (a.mean, a.low, a.high) == pytest.approx((-b.mean, -b.high, -b.low))
        assert (a.won, a.lost, a.p_permutation) == (b.lost, b.won, b.p_permutation)


def test_without_n_every_headline_size_is_compared_and_their_mean(results: Results) -> None:
    found = compare(results, "ce-2", "pass@1")
    places = [(row.generator, row.n) for row in found.rows]
    assert places == [*((g, n) for g in (*GENERATORS, AVERAGE) for n in (4, 8)), (AVERAGE, None)]
    *_, at_4, at_8, overall = found.rows
    assert overall.difference.mean == pytest.approx((at_4.difference.mean + at_8.difference.mean) / 2)
    assert overall.a - overall.b == pytest.approx(overall.difference.mean)
    accuracies = compute_accuracies(results)
    ours = accuracies.overall(Chooser("best_of_n", "ce-2", "min"))
    assert ours is not None and overall.a == pytest.approx(ours.mean())


def test_it_says_what_so_many_problems_can_show(results: Results) -> None:
    """The numbers of the average over generators, from the problems' own differences by enumeration."""
    *_, row = compare(results, "ce-4", "log-likelihood", n=4).rows
    plain = {
        name: np.mean([plain_best_of_n(results, name, generator, 4) for generator in GENERATORS], axis=0)
        for name in ("ce-4", "log-likelihood")
    }
    differences = plain["ce-4"] - plain["log-likelihood"]
    shown = (norm.ppf(0.975) + norm.ppf(0.8)) * differences.std(ddof=1) / N_PROBLEMS**0.5
    assert row.power.detectable == pytest.approx(shown)
    assert row.power.needed == math.ceil(N_PROBLEMS * (shown / differences.mean()) ** 2)
    (same, *_) = compare(results, "ce-4", "ce-4", n=4).rows
    assert same.power == Power(None, None)


def test_any_n_is_allowed(results: Results) -> None:
    assert {row.n for row in compare(results, "ce-2", "pass@1", n=3).rows} == {3}  # not a power of two


def test_pass_at_1_has_no_n(results: Results) -> None:
    assert compare(results, "pass@1", "ce-2", n=2).rows[0].a == compare(results, "pass@1", "ce-2", n=8).rows[0].a


def test_problems_that_differ_most_come_first(results: Results) -> None:
    found = compare(results, "ce-4", "pass@1", n=8).problems
    gaps = [abs(p.a - p.b) for p in found]
    assert 0 < len(gaps) <= 5
    assert gaps == sorted(gaps, reverse=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ce4", "majority"), "'ce4'.*did you mean ce-4"),
        (("ce-4", "majorty"), "'majorty'.*did you mean majority"),
        (("ce-4", "majority", 9), "n = 9: weak has 8 responses"),
        (("ce-4", "majority", 0), "n = 0"),
        (("ce-4", "majority", 4, "best-of-n"), "--strategy best-of-n.*best_of_n"),
    ],
)
def test_mistakes_are_named(results: Results, arguments: tuple, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(UserError, match=message):
        compare(results, *arguments)


def test_missing_scores_are_named(tmp_path: Path) -> None:
    folder = write_results(tmp_path)
    for part in (folder / "scores" / "ce-2" / "strong").iterdir():
        part.unlink()
    with pytest.raises(UserError, match="no scores of ce-2 for strong"):
        compare(load_results(folder), "ce-2", "majority")


def test_rendering_fits_one_screen_and_shows_data_as_text(results: Results) -> None:
    console = Console(width=100, height=30, record=True, force_terminal=False)
    console.print(render(compare(results, "ce-4", "log-likelihood")))
    text = console.export_text()
    lines = text.splitlines()
    assert len(lines) <= 30 and max(map(len, lines)) <= 100
    assert lines[0].split() == ["A:", "ce-4", "B:", "log-likelihood"]
    # Nothing of the table is cut: each of its rows ends with its counts.
    assert sum(line.endswith(f"of {N_PROBLEMS}") for line in lines) == 7
    assert "What is <i>" in text  # markup in a problem stays what it is
    assert all(name in text for name in (*GENERATORS, "average", "95 % interval", "shows", "needs", "at n = 8"))
