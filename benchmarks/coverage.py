"""How often 95 % intervals have the truth: percentile and BCa, on problem sets drawn from a known population.

``python benchmarks/coverage.py`` draws sets of problems whose accuracies are as those of best-of-n usually are, many
near 0 or 1, makes both intervals as a report does, and counts the sets whose interval has the population's mean.
"""

from __future__ import annotations

import argparse
from typing import get_args

import numpy as np
from rich.console import Console
from rich.table import Table

from harness.analysis.inference import Bootstrap
from harness.core.terms import IntervalMethod

#: A problem's accuracy: Beta(a, b), on average a / (a + b), mostly near 0 or 1 where a and b are below 1.
POPULATIONS = {"half right": (0.3, 0.3), "mostly right": (0.9, 0.1), "mostly wrong": (0.06, 0.94)}
SIZES = (20, 50, 160, 500)


def coverage(a: float, b: float, n_problems: int, sets: int, draws: int) -> dict[str, float]:
    """Share of the sets whose interval has the mean, by method. All sets are rows of one bootstrap."""
    values = np.random.default_rng([n_problems, sets]).beta(a, b, size=(sets, n_problems))
    truth, shares = a / (a + b), {}
    for method in get_args(IntervalMethod):
        intervals = Bootstrap(n_problems, draws, 0, method).intervals(values)
        shares[method] = float(np.mean([i.low <= truth <= i.high for i in intervals]))
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=4000, help="problem sets per cell (default: %(default)s)")
    parser.add_argument("--draws", type=int, default=1000, help="bootstrap draws (default: %(default)s)")
    options = parser.parse_args()
    table = Table(box=None, pad_edge=False)
    for column in ("accuracy", "problems", *get_args(IntervalMethod)):
        table.add_column(column, justify="left" if column == "accuracy" else "right")
    for name, (a, b) in POPULATIONS.items():
        for size in SIZES:
            shares = coverage(a, b, size, options.sets, options.draws)
            mean = f"{name} ({100 * a / (a + b):.0f} %)"
            table.add_row(mean, str(size), *(f"{100 * share:.1f} %" for share in shares.values()))
    Console().print(table)
    error = 100 * (0.95 * 0.05 / options.sets) ** 0.5
    print(f"95 % is aimed at; the standard error of a share is {error:.1f} points.")


if __name__ == "__main__":
    main()
