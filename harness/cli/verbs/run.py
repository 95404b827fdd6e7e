"""``bonbench run``."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import Address, Config, Debug, ExtraRewardModels, Local, Set

Until = Annotated[str, typer.Option(metavar="STAGE", help="Stop after sample, grade, train, score or report.")]

Prefetch = Annotated[
    bool,
    typer.Option(
        "--prefetch", help="Only fetch the models and data that the run needs, for machines without a network."
    ),
]


def run(
    config: Config,
    set_: Set = None,
    reward_model: ExtraRewardModels = None,
    until: Until = "report",
    address: Address = None,
    local: Local = False,
    prefetch: Prefetch = False,
    debug: Debug = False,
) -> ExitCode:
    """Compute everything an experiment still lacks, then write its report.

    Results go to results/NAME (or the file's output:). Stop it at any time and run it again: it continues.
    """
    from harness.cli.experiments import compute, last_stage, load_graph, show_report

    last = last_stage(until)
    graph = load_graph(config, set_, reward_model)
    if prefetch:
        from harness.engine.prefetch import prefetch as fetch

        return ExitCode.FAILED if fetch(graph.until(last), typer.echo) else ExitCode.DONE
    outcome = compute(graph, graph.until(last), address, local)
    if last == "report":
        show_report(graph.results, graph.rules)
    return ExitCode.FAILED if outcome.quarantined else ExitCode.DONE
