"""``bonbench run``."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import Address, Config, Debug, ExtraRewardModels, Local, Set

Until = Annotated[str, typer.Option(metavar="STAGE", help="Stop after sample, grade, train, score or report.")]


def run(
    config: Config,
    set_: Set = None,
    reward_model: ExtraRewardModels = None,
    until: Until = "report",
    address: Address = None,
    local: Local = False,
    debug: Debug = False,
) -> ExitCode:
    """Compute everything an experiment still lacks, then write its report.

    Results go to results/NAME (or the file's output:). Stop it at any time and run it again: it continues.
    """
    from harness.cli.experiments import choose_executor, last_stage, load_graph
    from harness.engine.progress import Board
    from harness.engine.run import run_stages
    from harness.report.freshness import report_is_fresh

    last = last_stage(until)
    graph = load_graph(config, set_, reward_model)
    executor = choose_executor(address, local)
    with Board(live=not local) as board:
        outcome = run_stages(graph, graph.until(last), executor, board)
        fresh = report_is_fresh(graph.results)
        for line in outcome.lines(graph.results):
            board.say(line)
        if last == "report" and not fresh:
            from harness.report.write import write_report

            write_report(graph.results)
    if last == "report":
        from harness.cli.tables.accuracy import show_accuracy

        show_accuracy(graph.results)
    return ExitCode.FAILED if outcome.quarantined else ExitCode.DONE
