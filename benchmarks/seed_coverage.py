"""How often 95 % intervals over problems and training seeds have the truth, and intervals over problems alone.

``python benchmarks/seed_coverage.py`` draws experiments in which a method is trained with several seeds. A training is
better or worse than the method as a whole (``seeds``), and better on some problems and worse on others (``both``): the
standard deviations of normal distributions, in points, beside 30 points among problems. It counts the experiments whose
interval has the method's true mean.
"""

from __future__ import annotations

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

from harness.analysis.inference import Bootstrap
from harness.analysis.seeds import BySeed, intervals

AMONG_PROBLEMS = 0.3
#: Standard deviations: of seeds, of problems by seeds.
SPREADS = ((0.0, 0.1), (0.0, 0.3), (0.01, 0.2), (0.03, 0.2), (0.1, 0.2))
N_SEEDS = (2, 3, 5)


def coverage(
    n_seeds: int, of_seeds: float, of_both: float, n_problems: int, experiments: int, draws: int
) -> tuple[float, float, float]:
    """Shares of the experiments whose interval has the mean, over problems alone and over both; the mean width then."""
    rng, bootstrap = np.random.default_rng([n_seeds, n_problems]), Bootstrap(n_problems, draws, 0)
    rows = [
        BySeed(
            rng.normal(0, AMONG_PROBLEMS, n_problems)
            + rng.normal(0, of_seeds, (n_seeds, 1))
            + rng.normal(0, of_both, (n_seeds, n_problems)),
            tuple(range(n_seeds)),
        )
        for _ in range(experiments)
    ]
    alone, both = intervals(bootstrap, [BySeed(row.mean[None]) for row in rows]), intervals(bootstrap, rows)
    inside = [float(np.mean([i.low <= 0 <= i.high for i in found])) for found in (alone, both)]
    return inside[0], inside[1], float(np.mean([i.high - i.low for i in both]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=1000, help="per cell (default: %(default)s)")
    parser.add_argument("--problems", type=int, default=100, help="per experiment (default: %(default)s)")
    parser.add_argument("--draws", type=int, default=400, help="bootstrap draws (default: %(default)s)")
    options = parser.parse_args()
    table = Table(box=None, pad_edge=False)
    for column in ("trainings", "seeds", "both", "over problems", "over problems and seeds", "width"):
        table.add_column(column, justify="right")
    for n_seeds in N_SEEDS:
        for of_seeds, of_both in SPREADS:
            sizes = options.problems, options.experiments, options.draws
            alone, both, width = coverage(n_seeds, of_seeds, of_both, *sizes)
            spreads = (f"{100 * of_seeds:.0f}", f"{100 * of_both:.0f}")
            table.add_row(str(n_seeds), *spreads, f"{100 * alone:.1f} %", f"{100 * both:.1f} %", f"{100 * width:.1f}")
    Console().print(table)
    error = 100 * (0.95 * 0.05 / options.experiments) ** 0.5
    print(f"95 % is aimed at; the standard error of a share is {error:.1f} points. seeds, both, width: in points.")


if __name__ == "__main__":
    main()
