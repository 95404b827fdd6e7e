"""The ``bonbench`` command: thin, one function per verb. Heavy modules are imported where they are used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="bonbench",
    help="Compare reward models by best-of-N: sample, grade, score, report.\n\n"
    "Start with `bonbench run experiments/pocket.yaml`; every verb explains itself with --help.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[Path, typer.Argument(help="Experiment file (YAML).", metavar="CONFIG")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set sampling.n=16. Repeatable."),
]
Extra = Annotated[
    list[str] | None,
    typer.Option(
        "--reward-model",
        metavar="SPEC",
        help="Score one more reward model: NAME, NAME:key=value,… or path.py:Class. Repeatable. "
        "Only its scores are computed; all else is reused.",
    ),
]
ScoredBy = Annotated[
    str, typer.Option("--reward-model", metavar="SPEC", help="NAME, NAME:key=value,… or path.py:Class.")
]
Address = Annotated[str | None, typer.Option(help="Ray cluster to join (host:port or auto). Default: this machine.")]
Results = Annotated[Path, typer.Argument(help="Results folder, e.g. results/pocket.", metavar="RESULTS")]


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    pass  # --debug is read in main(), which also meets errors raised before this runs


@app.command()
def run(
    config: Config,
    set_: Set = None,
    reward_model: Extra = None,
    until: Annotated[
        str, typer.Option(metavar="STAGE", help="Stop after sample, grade, train, score or report.")
    ] = "report",
    address: Address = None,
) -> None:
    """Compute everything an experiment still lacks, then write its report.

    Results go to results/NAME (or the file's output:). Stop it at any time and run it again: it continues.
    """
    from harness.core.errors import UserError, suggest
    from harness.engine.graph import STAGES
    from harness.engine.graph import until as stages_until
    from harness.engine.progress import Board
    from harness.engine.run import run_stages

    if until not in STAGES:
        raise UserError(f"--until {until}: no such stage{suggest(until, STAGES)}")
    graph = _graph(config, set_, reward_model)
    with Board() as board:
        outcome = run_stages(graph, stages_until(graph, until), address, board)
        fresh = _report_is_fresh(graph.results)
        for line in outcome.lines(graph.results):
            board.say(line)
        if until == "report" and not fresh:
            from harness.report.write import write_report

            write_report(graph.results)
            _mark_report(graph.results)
    if until == "report":
        _show(graph.results)
    if outcome.quarantined:
        raise typer.Exit(1)


@app.command()
def train(
    config: Config,
    name: Annotated[
        str | None, typer.Argument(help="The reward model to train, where several are.", metavar="[NAME]")
    ] = None,
    set_: Set = None,
    address: Address = None,
) -> None:
    """Train one reward model of an experiment: its rollouts, grades and what else its training needs, no more.

    All is stored where `run` would store it, and reused. Stop it at any time and run it again: it continues.
    """
    from rich.console import Console

    from harness.cli.trained import costs, one_training, summary
    from harness.engine.graph import needed
    from harness.engine.progress import Board
    from harness.engine.run import run_stages

    graph = _graph(config, set_, None, evaluation=False)
    training = one_training(graph, name)
    with Board() as board:
        outcome = run_stages(graph, needed(training, graph), address, board)
        for line in outcome.lines(graph.results):
            board.say(line)
    if outcome.quarantined:
        raise typer.Exit(1)
    print("\n".join(summary(training, graph)))
    Console(width=max(Console().width, 100)).print(costs(training, graph))


@app.command()
def plan(
    config: Config,
    set_: Set = None,
    reward_model: Extra = None,
    gpu: Annotated[str, typer.Option(help="What the GPU-hours are of: a100, a100-40gb, h100, h200 or l40s.")] = "h100",
    tokens_per_response: Annotated[
        int, typer.Option(min=1, help="Mean length of a response, where none is stored to measure.")
    ] = 512,
) -> None:
    """Show what `run` would do: stored and missing shards; tokens, FLOPs, GPU-hours and disk of the missing ones.

    Runs nothing, loads no model and stays off the network.
    """
    import os

    os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's library
    from rich.console import Console

    from harness.cli.plan_table import render
    from harness.core.errors import UserError, suggest
    from harness.cost_model.gpus import GPUS
    from harness.engine.plan import plan as planned

    if gpu not in GPUS:
        raise UserError(f"--gpu {gpu}: not in the table{suggest(gpu, GPUS)}")
    graph = _graph(config, set_, reward_model, stand_ins=True)
    found = planned(graph, GPUS[gpu], tokens_per_response)
    # Wider than the terminal rather than cut.
    Console(width=max(Console().width, 150)).print(render(found, f"{graph.experiment.name}: {graph.results}"))
    for assumption in found.assumptions:
        print(f"- {assumption}")


@app.command()
def report(
    results: Results,
    beside: Annotated[
        Path | None,
        typer.Option(metavar="PUBLISHED", help="Published numbers to lay this run's beside, e.g. results/paper."),
    ] = None,
    column_width: Annotated[
        float | None, typer.Option(min=2, help="Make figures for a column of so many inches, e.g. 3.25 or 6.75.")
    ] = None,
) -> None:
    """Redraw tables, figures and report.html from stored results, or from published numbers. Loads no model."""
    from harness.analysis.published_numbers import is_published
    from harness.report.write import write_report
    from harness.report.write_published import write_published_report

    if is_published(results):
        write_published_report(results, column_width)
    else:
        write_report(results, beside, column_width)
        _mark_report(results)
    _show(results)


@app.command()
def compare(
    results: Results,
    a: Annotated[str, typer.Argument(help="A reward model, majority or pass@1.", metavar="A")],
    b: Annotated[str, typer.Argument(help="Another one.", metavar="B")],
    n: Annotated[int | None, typer.Option(help="Responses to choose from (default: the report's sizes).")] = None,
    strategy: Annotated[str, typer.Option(help="best_of_n or weighted_best_of_n.")] = "best_of_n",
) -> None:
    """Is A better than B? Paired difference per generator, n and overall, with a 95 % interval and p."""
    from rich.console import Console

    from harness.analysis.compare import compare as compared
    from harness.cli.comparison_table import render
    from harness.storage.results import load_results

    Console().print(render(compared(load_results(results), a, b, n=n, strategy=strategy)))


@app.command()
def grade(
    source: Annotated[Path, typer.Argument(help="JSONL: {pred or response, gold, …} per line.", metavar="IN.jsonl")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the graded lines go.", metavar="OUT.jsonl")],
) -> None:
    """Grade answers: adds extracted, correct and reason to every line, in order. Exit code 2: some lines were bad."""
    from harness.engine.progress import Board
    from harness.experiment.entries import build
    from harness.streams.grade import grade_file

    spec = build("verifiers", "verifier", {"type": "math"}, "verifier", {})
    with Board() as board:
        summary = grade_file(
            source, output, spec.cls(spec.params, "math"), board.line("grade", None, "lines").start().advance
        )
        board.say(str(summary))
    if summary.file.bad_lines:
        raise typer.Exit(2)


@app.command()
def score(
    source: Annotated[Path, typer.Argument(help="JSONL: {problem, response, …} per line.", metavar="IN.jsonl")],
    reward_model: ScoredBy,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the scored lines go.", metavar="OUT.jsonl")],
) -> None:
    """Score solutions: adds step_rewards, step_ends and score to every line, in order. Needs no experiment.

    Stop it at any time and run it again: it continues. Exit code 2: some lines were bad.
    """
    from harness.engine.progress import Board
    from harness.streams.score import score_file
    from harness.streams.scorer import Scoring

    scoring = Scoring(reward_model)
    with Board() as board:
        done = score_file(source, output, scoring, board.line("score", None, "responses").start().advance)
        board.say(f"{done.good} scored{done.complaint()}")
    if done.bad_lines:
        raise typer.Exit(2)


@app.command()
def processbench(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="JSONL: {problem, steps, label} per line; or owner/name:split of the hub, as Qwen/ProcessBench:gsm8k. "
            "The threshold is tuned on the first.",
            metavar="FILE…",
        ),
    ],
    reward_model: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="Who scores the steps. Default: the step_rewards that the lines have."),
    ] = None,
) -> None:
    """Does a process reward model find the first wrong step? F1 by ProcessBench's protocol."""
    from rich.console import Console
    from rich.table import Table

    from harness.engine.progress import Board
    from harness.streams.processbench import evaluate, load, recorded_rewards, step_rewards
    from harness.streams.scorer import Scoring

    subsets = {source: load(source) for source in sources}
    scoring = Scoring(reward_model) if reward_model else None
    with Board() as board:
        rewards = {
            source: step_rewards(data, scoring, board.line(source, len(data), "solutions").start().advance)
            if scoring
            else recorded_rewards(data, source)
            for source, data in subsets.items()
        }
    threshold, results = evaluate([(s, rewards[s], [item.label for item in data]) for s, data in subsets.items()])
    table = Table(box=None, pad_edge=False)
    for column in ("", "solutions", "accuracy, wrong", "accuracy, right", "F1", "F1, own threshold (upper bound)"):
        table.add_column(column, justify="right" if column else "left", overflow="fold")
    for r in results:
        values = (r.accuracies.wrong, r.accuracies.right, r.accuracies.f1, r.best.f1)
        table.add_row(Path(r.name).name, str(r.n), *(f"{100 * value:.1f}" for value in values))
    Console().print(table)
    print(f"threshold {threshold:.6g}, tuned on {sources[0]}")


@app.command("list")
def list_() -> None:
    """Show the registered datasets, generators, verifiers, trainers and reward models."""
    from rich.console import Console
    from rich.table import Table

    from harness.core.registry import BASES, available, find

    for kind in BASES:
        table = Table(title=kind.replace("_", " "), title_justify="left", show_header=False, box=None, padding=(0, 2))
        for name in available(kind):  # type: ignore[arg-type]
            cls = find(kind, name)  # type: ignore[arg-type]
            first_line = (cls.__doc__ or "").strip().splitlines()[0] if cls.__doc__ else ""
            options = ", ".join(cls.Params.model_fields)
            table.add_row(f"[bold]{name}[/bold]", f"{first_line}\n[dim]{options}[/dim]")
        Console().print(table)


def _graph(  # type: ignore[no-untyped-def]
    config: Path,
    overrides: list[str] | None,
    reward_models: list[str] | None,
    stand_ins: bool = False,
    evaluation: bool = True,
):
    from harness.core.errors import UserError
    from harness.engine.build import build_graph
    from harness.experiment.config import load_experiment
    from harness.experiment.entries import parse_spec

    experiment = load_experiment(config, overrides or ())
    extra = [parse_spec(text) for text in reward_models or ()]
    try:
        return build_graph(experiment, extra, stand_ins, evaluation)
    except UserError as error:
        raise UserError(f"{config}: {error}") from None


def _report_is_fresh(results: Path) -> bool:
    from harness.storage.manifest import read_manifest

    manifest, page = read_manifest(results), results / "report.html"
    key = results / ".report-key"
    return bool(manifest and page.exists() and key.exists() and key.read_text() == manifest["results_key"])


def _mark_report(results: Path) -> None:
    from harness.core.files import replacing
    from harness.storage.manifest import read_manifest

    manifest = read_manifest(results)
    if manifest and "results_key" in manifest:
        with replacing(results / ".report-key") as path:
            path.write_text(manifest["results_key"])


def _show(results: Path) -> None:
    """Print Table 1 without its intervals, and where the rest is."""
    source = results / "tables" / "table1.csv"
    if source.exists():
        import pandas as pd
        from rich.console import Console
        from rich.measure import Measurement
        from rich.table import Table

        accuracy = pd.read_csv(source, index_col=0)
        accuracy = accuracy[[c for c in accuracy.columns if not c.endswith(("_low", "_high"))]]
        table = Table(title="Accuracy (%)", title_justify="left", box=None, pad_edge=False)
        table.add_column("")
        for column in accuracy.columns:
            table.add_column(column.replace("@", "\n@"), justify="right")
        for method, values in accuracy.iterrows():
            table.add_row(str(method), *("–" if pd.isna(value) else f"{value:.1f}" for value in values))
        # Wider than the terminal rather than cut.
        wide = Console(width=1000)
        needed = Measurement.get(wide, wide.options, table).maximum
        Console(width=max(Console().width, needed)).print(table)
    print(f"\nReport: {results / 'report.html'}")


def main() -> None:
    """Entry point: a user's mistake is one line on stderr and exit code 2."""
    from harness.core.errors import UserError

    debug = "--debug" in sys.argv
    try:
        app(args=[a for a in sys.argv[1:] if a != "--debug"] or None, standalone_mode=True)
    except UserError as error:
        if debug:
            raise
        print(f"bonbench: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("bonbench: stopped; run the same command again to continue", file=sys.stderr)
        sys.exit(130)
