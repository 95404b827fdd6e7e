"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

#: How a component is named on the command line.
SPEC = "NAME, NAME:key=value,…, NAME:{key: value} or path.py:Class; `bonbench list NAME` shows the keys"


def _debug(context: typer.Context, value: bool) -> None:
    if value:
        context.obj["debug"] = True


#: Before or after the verb. It is read before all else, so that other options' errors show their traceback too.
Debug = Annotated[
    bool,
    typer.Option("--debug", callback=_debug, is_eager=True, expose_value=False, help="Show the traceback of an error."),
]
Config = Annotated[
    Path,
    typer.Argument(help="Experiment file (YAML), or an experiment that `bonbench list` shows.", metavar="CONFIG"),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set sampling.n=16. Repeatable."),
]
ExtraRewardModels = Annotated[
    list[str] | None,
    typer.Option(
        "--reward-model",
        metavar="SPEC",
        help=f"Score one more reward model: {SPEC}. Repeatable. Only its scores are computed; all else is reused.",
    ),
]
Rule = Annotated[
    list[str] | None,
    typer.Option("--rule", metavar="SPEC", help=f"Choose by one more selection rule: {SPEC}. Repeatable."),
]
Address = Annotated[str | None, typer.Option(help="Ray cluster to join (host:port or auto). Default: this machine.")]
Local = Annotated[
    bool,
    typer.Option(
        "--local",
        help="Run in this process, without Ray, one thing at a time: the same results. It starts at once, shows lines "
        "instead of live progress, and breakpoint() works in components.",
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="Where the lines go: .jsonl, .jsonl.gz, .json, .csv or .parquet.",
        metavar="OUT.jsonl",
    ),
]
Results = Annotated[Path, typer.Argument(help="Results folder, e.g. results/pocket.", metavar="RESULTS")]
