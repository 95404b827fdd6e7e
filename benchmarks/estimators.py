"""What a large report asks of the estimators: every n, many reward models, voting and intervals.

``python benchmarks/estimators.py`` makes 500 problems of 64 samples with the scores of 20 reward models, computes
best-of-n, pass@n, majority and weighted voting at every n with their 95 % intervals, and fails beyond 10 s of processor
time or 2 GiB.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from harness.analysis.estimators import expected_best_of_n, expected_votes, pass_at_n
from harness.analysis.inference import Bootstrap

T = TypeVar("T")
SECONDS, MEMORY = 10.0, 2 << 30


def timed(name: str, work: Callable[[], T]) -> T:
    started = time.process_time()
    result = work()
    print(f"{name:<10}{time.process_time() - started:6.2f} s")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=500, help="(default: %(default)s)")
    parser.add_argument("--samples", type=int, default=64, help="per problem (default: %(default)s)")
    parser.add_argument("--reward-models", type=int, default=20, help="(default: %(default)s)")
    options = parser.parse_args()
    shape = (options.problems, options.samples)
    rng = np.random.default_rng(0)
    correct = rng.random(shape) < rng.random((options.problems, 1))
    # Wrong answers of very different frequency, as a language model's are; a few responses without any.
    classes = np.where(correct, 0, np.minimum(rng.geometric(0.25, shape), 40))
    classes[rng.random(shape) < 0.02] = -1
    correct &= classes == 0
    scores = [rng.normal(size=shape) + correct for _ in range(options.reward_models)]
    weights = [1 / (1 + np.exp(-s)) for s in scores]
    ns = range(1, options.samples + 1)

    started = time.process_time()
    best = timed("best-of-n", lambda: [expected_best_of_n(s, correct, ns) for s in scores])
    oracle = timed("pass@n", lambda: pass_at_n(correct, ns))
    plain, weighted = timed("voting", lambda: expected_votes(classes, correct, weights, ns, seed=0))
    rows = np.concatenate([oracle, plain, *best, *weighted])
    timed("intervals", lambda: Bootstrap(options.problems, 1000, seed=0).intervals(rows))
    seconds = time.process_time() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{'all':<10}{seconds:6.2f} s of processor time, {memory / 2**20:,.0f} MiB at most, {len(rows):,} rows")
    if seconds > SECONDS or memory > MEMORY:
        sys.exit(f"more than {SECONDS:g} s or {MEMORY / 2**30:g} GiB")


if __name__ == "__main__":
    main()
