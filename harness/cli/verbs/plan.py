"""``bonbench plan``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import Config, Debug, ExtraRewardModels, Set
from harness.cost_model.gpus import GPUS

Gpu = Annotated[str, typer.Option(metavar="GPU", help=f"What the GPU-hours are of: {', '.join(GPUS)}.")]
TokensPerResponse = Annotated[
    int, typer.Option(min=1, help="Mean length of a response, where none is stored to measure.")
]


def plan(
    config: Config,
    set_: Set = None,
    reward_model: ExtraRewardModels = None,
    gpu: Gpu = "h100",
    tokens_per_response: TokensPerResponse = 512,
    debug: Debug = False,
) -> ExitCode:
    """Show what `run` would do: stored and missing shards; tokens, FLOPs, GPU-hours and disk of the missing ones.

    Runs nothing, loads no model and stays off the network.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's library
    from harness.cli.experiments import gpu_named, load_graph
    from harness.cli.tables.plan import show_plan
    from harness.engine.plan import plan as planned

    sheet = gpu_named(gpu)
    graph = load_graph(config, set_, reward_model, stand_ins=True)
    show_plan(planned(graph, sheet, tokens_per_response), f"{graph.experiment.name}: {graph.results}")
    return ExitCode.DONE
