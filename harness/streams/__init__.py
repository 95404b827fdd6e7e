"""Lines in, lines out: grading, scoring and benchmarks without an experiment."""
