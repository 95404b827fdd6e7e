"""``bonbench train``."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import Address, Config, Debug, Local, Set

Name = Annotated[str | None, typer.Argument(help="The reward model to train, where several are.", metavar="[NAME]")]


def train(
    config: Config,
    name: Name = None,
    set_: Set = None,
    address: Address = None,
    local: Local = False,
    debug: Debug = False,
) -> ExitCode:
    """Train one reward model of an experiment: its rollouts, grades and what else its training needs, no more.

    All is stored where `run` would store it, and reused. Stop it at any time and run it again: it continues.
    """
    from harness.cli.experiments import compute, load_graph, one_training
    from harness.cli.tables.training import show_training

    graph = load_graph(config, set_, evaluation=False)
    training = one_training(graph, name)
    outcome = compute(graph, graph.needed(training), address, local)
    if outcome.quarantined:
        return ExitCode.FAILED
    show_training(training, graph)
    return ExitCode.DONE
