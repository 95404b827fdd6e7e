"""What benchmarks say of a run's reward models: ``benchmarks/NAME.json`` in the results folder, a file per benchmark.

Beside it, ``benchmarks/NAME/REWARD_MODEL.jsonl`` has the answers that the numbers are made of, line by line of the
benchmark's file, without its texts.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.core.errors import UserError, first_error
from harness.core.files import replacing
from harness.core.stages import StageKind
from harness.data.documents import read_json
from harness.storage.shards import shard_key

_FOLDER = "benchmarks"


class _Stored(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class Measured(_Stored):
    """What a benchmark says of a reward model.

    Attributes:
        key: of the answers: the reward model and the benchmark's lines.
        of_scores: which scores in the run they stand beside (:func:`scores_key`).
        values: number -> value, as fractions.
        n: items; ``unscored`` of their solutions have no score.
        threshold: at which step rewards were judged, where they were.
    """

    key: str
    of_scores: str
    values: dict[str, float]
    n: int
    unscored: int = 0
    threshold: float | None = None


class BenchmarkResults(_Stored):
    """A benchmark over a run.

    Attributes:
        sources: the names of the benchmark's files.
        lines: a digest of the lines that were asked about.
        headlines: the numbers to lay beside best-of-N.
        reward_models: reward model -> what is said of it.
        left_out: reward model -> why nothing is.
    """

    benchmark: str
    paper: str
    sources: list[str]
    lines: str
    headlines: list[str]
    reward_models: dict[str, Measured] = {}
    left_out: dict[str, str] = {}


def benchmark_file(folder: Path, name: str) -> Path:
    """Where a benchmark's numbers are in a results folder."""
    return folder / _FOLDER / f"{name}.json"


def answers_file(folder: Path, name: str, reward_model: str) -> Path:
    """Where a reward model's answers about a benchmark are."""
    return folder / _FOLDER / name / f"{reward_model}.jsonl"


def write_benchmark(folder: Path, results: BenchmarkResults) -> Path:
    """Write a benchmark's numbers into a results folder; returns the file."""
    file = benchmark_file(folder, results.benchmark)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as path:
        path.write_text(results.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return file


def read_benchmark(folder: Path, name: str) -> BenchmarkResults | None:
    """A benchmark's numbers; None where it has none.

    Raises:
        UserError: for a file that cannot be read.
    """
    file = benchmark_file(folder, name)
    if not file.exists():
        return None
    try:
        return BenchmarkResults.model_validate(read_json(file))
    except ValidationError as error:
        raise UserError(f"{file}: {first_error(error)}; remove it and run `bonbench benchmark` again") from None


def read_benchmarks(folder: Path) -> list[BenchmarkResults]:
    """The numbers of all benchmarks of a run, by name.

    Raises:
        UserError: for a file that cannot be read.
    """
    names = sorted(path.stem for path in (folder / _FOLDER).glob("*.json"))
    return [found for name in names if (found := read_benchmark(folder, name))]


def scores_key(folder: Path, reward_model: str) -> str:
    """What the run's scores of a reward model are made of: the key of the first shard; "" without scores.

    A benchmark's number stands beside scores of the same key only. The reward model may have been trained again since,
    or the name may stand for another one.
    """
    shards = sorted((folder / StageKind.SCORE.folder / reward_model).rglob("part-*.parquet"))
    return (shard_key(shards[0]) or "") if shards else ""
