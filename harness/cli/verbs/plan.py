"""``bonbench plan``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import Config, Debug, ExtraRewardModels, Set
from harness.cost_model.gpus import GPUS

if TYPE_CHECKING:
    from harness.engine.cluster_plan import Cluster

Gpu = Annotated[str, typer.Option(metavar="GPU", help=f"What the GPU-hours are of: {', '.join(GPUS)}.")]
TokensPerResponse = Annotated[
    int, typer.Option(min=1, help="Mean length of a response, where none is stored to measure.")
]
ClusterOption = Annotated[
    str | None,
    typer.Option(metavar="NODESxGPUS", help="Simulate the run on such a cluster: 2x8, or 2x8x64 with 64 CPUs a node."),
]
Price = Annotated[float | None, typer.Option(min=0, help="Price of a reserved GPU-hour, with --cluster.")]
Json = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]


def plan(
    config: Config,
    set_: Set = None,
    reward_model: ExtraRewardModels = None,
    gpu: Gpu = "h100",
    tokens_per_response: TokensPerResponse = 512,
    cluster: ClusterOption = None,
    price: Price = None,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Show what `run` would do: stored and missing shards; tokens, FLOPs, GPU-hours and disk of the missing ones.

    With --cluster also when each stage would run, how long all takes, and how many GPU-hours are reserved for it. Low
    and high are for responses half and twice as long. Runs nothing, loads no model and stays off the network.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's library
    from harness.cli.experiments import gpu_named, load_graph
    from harness.cli.tables.plan import Planned, print_json, show_plan
    from harness.engine.cluster_plan import ClusterPlanner
    from harness.engine.moved_models import moved_models
    from harness.engine.plan import Planner

    sheet = gpu_named(gpu)
    machines = _cluster(cluster, price)
    graph = load_graph(config, set_, reward_model, stand_ins=True)
    planner = Planner(graph, sheet)
    expected = planner.plan(tokens_per_response)
    low, high = planner.low_and_high(tokens_per_response)
    plans, notes = (low, expected, high), [*moved_models(graph), *expected.assumptions]
    title = f"{graph.experiment.name}: {graph.results}"
    if machines is None:
        planned = Planned(title, plans, notes)
    else:
        simulation = ClusterPlanner(graph, planner, machines)
        runs = [simulation.run(one) for one in plans]
        notes = [*simulation.warnings(expected), *notes, *simulation.assumptions()]
        planned = Planned(title, plans, notes, runs, price)
    (print_json if json else show_plan)(planned)
    return ExitCode.DONE


def _cluster(text: str | None, price: float | None) -> Cluster | None:
    """The cluster of the options.

    Raises:
        UserError: for what is none, and for a price without a cluster.
    """
    from harness.core.errors import UserError
    from harness.engine.cluster_plan import Cluster

    if text is None and price is not None:
        raise UserError("--price: it is for the GPUs of a cluster: add --cluster, for instance --cluster 2x8")
    return None if text is None else Cluster.parse(text)
