"""``bonbench compare``."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import Debug, Results, Rule

A = Annotated[str, typer.Argument(help="A reward model, NAME:AGGREGATION, NAME:RULE, majority or pass@1.", metavar="A")]
B = Annotated[str, typer.Argument(help="Another one.", metavar="B")]
N = Annotated[int | None, typer.Option(help="Responses to choose from (default: the report's sizes).")]
Strategy = Annotated[str, typer.Option(help="best_of_n, weighted_best_of_n or a further rule.")]


def compare(
    results: Results,
    a: A,
    b: B,
    n: N = None,
    strategy: Strategy = "best_of_n",
    rule: Rule = None,
    debug: Debug = False,
) -> ExitCode:
    """Is A better than B? Paired difference per generator, n and overall, with a 95 % interval and p."""
    from rich.console import Console

    from harness.analysis.compare import compare as compared
    from harness.cli.experiments import selection_rules
    from harness.cli.tables.comparison import render
    from harness.storage.results import load_results

    rules = selection_rules(rule)
    Console().print(render(compared(load_results(results), a, b, n=n, strategy=strategy, rules=rules)))
    return ExitCode.DONE
