"""Files of rows in, files of rows or numbers out: grading, scoring and benchmarks without an experiment."""
