"""``bonbench benchmark``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import SPEC, Debug
from harness.core.errors import UserError

if TYPE_CHECKING:
    from harness.streams.benchmarks.base import Benchmark
    from harness.streams.benchmarks.over_run import Lines

Name = Annotated[str, typer.Argument(help="processbench, prmbench, rewardbench2 or rm-bench.", metavar="NAME")]
Sources = Annotated[
    list[str],
    typer.Argument(
        help="The benchmark's own file: JSON lines, Parquet, or a list in .json; or owner/name:split of the hub, as "
        "Qwen/ProcessBench:gsm8k.",
        metavar="FILE…",
    ),
]
ScoredBy = Annotated[
    str | None,
    typer.Option(
        "--reward-model",
        metavar="SPEC",
        help=f"Who scores: {SPEC}. Default: the answers that the lines have from an earlier call.",
    ),
]
OfRun = Annotated[
    Path | None,
    typer.Option(
        "--results",
        metavar="RESULTS",
        help="Score with all reward models of a run, e.g. results/pocket. The numbers go into its folder, and its "
        "report lays them beside best-of-N.",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        metavar="REWARD",
        help="Of step rewards. processbench: judge at this one too, beside the tuned one. prmbench: judge at this one "
        "(default: 0.5 for probabilities, else 0).",
    ),
]
Scored = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="OUT.jsonl", help="Write the lines with the answers here; a kill then costs little."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON, as fractions.")]


def benchmark(
    name: Name,
    sources: Sources,
    reward_model: ScoredBy = None,
    results: OfRun = None,
    threshold: Threshold = None,
    output: Scored = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> ExitCode:
    """What does a published benchmark say of a reward model, or of all those of a run?

    processbench: which step is the first wrong one? (F1; process reward models)
    prmbench: which steps are wrong, by nine kinds of error? (PRMScore; process reward models)
    rewardbench2: is the right completion the best of four, and are all right ones above all wrong ones? (Math, Ties)
    rm-bench: is a right response above a wrong one, whatever the style? (math; average, hard)

    bonbench benchmark processbench Qwen/ProcessBench:gsm8k Qwen/ProcessBench:math --reward-model head-prm:model=my/prm
    bonbench benchmark rm-bench total_dataset.json --results results/pocket && bonbench report results/pocket

    With several files, the threshold of processbench is tuned on the first. Exit code 2: some lines were bad, or
    no reward model of the run has a number.
    """
    from harness.streams.benchmarks.over_run import Lines
    from harness.streams.benchmarks.registry import find_benchmark
    from harness.streams.benchmarks.scoring import load

    one = find_benchmark(name)
    _check(one, reward_model, results, threshold, output)
    complaints: list[str] = []
    lines = Lines({source: load(one, source, complaints.append) for source in sources})
    if results is not None:
        return _over_run(one, lines, results, threshold, complaints, as_json)
    return _of_one(one, lines, reward_model, threshold, output, complaints, as_json)


def _check(
    one: Benchmark[Any], reward_model: str | None, results: Path | None, threshold: float | None, output: Path | None
) -> None:
    """Check that the options go together.

    Raises:
        UserError: where they do not.
    """
    if threshold is not None and not math.isfinite(threshold):
        raise UserError(f"--threshold {threshold}: a finite number is expected")
    if threshold is not None and not one.takes_threshold:
        raise UserError(f"--threshold: {one.name} compares scores, and has no threshold: leave it out")
    if results is not None and (reward_model is not None or output is not None):
        other = "--reward-model" if reward_model is not None else "--output"
        raise UserError(f"{other} is for one reward model, --results for those of a run: leave one of them out")
    if output is not None and reward_model is None:
        raise UserError("--output: nothing is scored without a reward model: add --reward-model SPEC")


def processbench(
    sources: Sources, reward_model: ScoredBy = None, threshold: Threshold = None, debug: Debug = False
) -> ExitCode:
    """The earlier name of ``bonbench benchmark processbench``."""
    return benchmark("processbench", sources, reward_model, threshold=threshold)


def _of_one(
    one: Benchmark[Any],
    lines: Lines,
    reward_model: str | None,
    threshold: float | None,
    output: Path | None,
    complaints: list[str],
    as_json: bool,
) -> ExitCode:
    from harness.cli.tables.benchmarks import numbers_json, show_complaints, show_numbers
    from harness.engine.progress import Board
    from harness.storage.keys import digest
    from harness.streams.benchmarks.base import Settings
    from harness.streams.benchmarks.scoring import recorded, scored
    from harness.streams.formats import check_output
    from harness.streams.journal import Journal
    from harness.streams.scorer import Scorer

    settings = Settings(threshold)
    if reward_model is None:
        answers = [recorded(one, entries, source) for source, entries in lines.by_source.items()]
        sets = lines.divided([judged for of_file in answers for judged in of_file])
    else:
        if output is not None:
            check_output(output)  # before a model is loaded
        scorer = Scorer(reward_model)
        settings = Settings(threshold, scorer.model.score_type)
        journal = None if output is None else Journal(output, digest(one.name, scorer.key))
        entries = lines.all
        with Board() as board:
            advance = board.line(one.name, len(entries), "lines").start().advance
            sets = lines.divided(scored(one, entries, scorer, advance, complaints.append, journal))
    numbers = one.numbers(sets, settings)
    if as_json:
        print(numbers_json(one.name, numbers, len(lines.all), complaints))
    else:
        show_numbers(numbers)
        show_complaints(complaints)
    return ExitCode.MISTAKE if complaints else ExitCode.DONE


def _over_run(
    one: Benchmark[Any], lines: Lines, folder: Path, threshold: float | None, complaints: list[str], as_json: bool
) -> ExitCode:
    from harness.cli.run_models import run_models
    from harness.cli.tables.benchmarks import show_complaints, show_results
    from harness.engine.progress import Board
    from harness.report.freshness import mark_report
    from harness.storage.manifest import read_manifest
    from harness.streams.benchmarks.over_run import measure

    manifest = read_manifest(folder)
    if manifest is None:
        raise UserError(f"{folder}: no results of a run are here (manifest.json)")
    if not manifest.reward_models:
        raise UserError(f"{folder}: the run has no reward model with scores")
    ingredients, left_out = run_models(folder, manifest)
    with Board() as board:
        measured = measure(
            one,
            lines,
            folder,
            manifest,
            ingredients,
            left_out,
            threshold,
            lambda name, n: board.line(name, n, "lines").start().advance,
            lambda name, text: complaints.append(f"{name}: {text}"),
        )
    mark_report(folder, None)  # the report does not show these numbers yet
    if as_json:
        print(measured.model_dump_json(indent=1))
    else:
        show_results(measured)
        show_complaints(complaints)
        print(f"bonbench report {folder} lays them beside best-of-N")
    return ExitCode.MISTAKE if complaints or not measured.reward_models else ExitCode.DONE
