"""``bonbench compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import Debug, Rule
from harness.core.errors import UserError

Results = Annotated[
    str, typer.Argument(help="Results folder, e.g. results/pocket; or A itself, as FOLDER:NAME.", metavar="RESULTS")
]
A = Annotated[
    str,
    typer.Argument(
        help="A reward model, NAME:AGGREGATION, NAME:RULE, majority or pass@1; or B as FOLDER:NAME.", metavar="A"
    ),
]
B = Annotated[str | None, typer.Argument(help="Another one.", metavar="[B]")]
N = Annotated[int | None, typer.Option(help="Responses to choose from (default: the report's sizes).")]
Strategy = Annotated[str, typer.Option(help="best_of_n, weighted_best_of_n or a further rule.")]

_FORMS = "bonbench compare RESULTS A B, or FOLDER:A FOLDER:B of two results folders"


def compare(
    results: Results,
    a: A,
    b: B = None,
    n: N = None,
    strategy: Strategy = "best_of_n",
    rule: Rule = None,
    debug: Debug = False,
) -> ExitCode:
    """Is A better than B? Paired difference per generator, n and overall, with a 95 % interval and p.

    Of one results folder, or of two (results/a:ce results/b:ce): then on the problems and responses that both have.
    """
    from rich.console import Console

    from harness.analysis.across import InFolder, compare_across
    from harness.analysis.compare import compare as compared
    from harness.cli.experiments import selection_rules
    from harness.cli.tables.comparison import render
    from harness.storage.results import load_results

    rules = selection_rules(rule)
    if b is None:
        ours, theirs = (InFolder(*_in_folder(text)) for text in (results, a))
        found = compare_across(ours, theirs, n=n, strategy=strategy, rules=rules)
    else:
        found = compared(load_results(Path(results)), a, b, n=n, strategy=strategy, rules=rules)
    Console().print(render(found))
    return ExitCode.DONE


def _in_folder(text: str) -> tuple[Path, str]:
    """The results folder and the name that ``FOLDER:NAME`` says.

    Both may have colons: the folder ends at the last one before which there are results.

    Raises:
        UserError: for a text in another form, and where there are no results.
    """
    ends = [end for end, character in enumerate(text) if character == ":" and end > 0]
    for end in reversed(ends):
        folder, name = Path(text[:end]), text[end + 1 :]
        if (folder / "manifest.json").is_file():
            if name:
                return folder, name
            raise UserError(f"{text}: which of its reward models? Write {text}NAME")
    if (Path(text) / "manifest.json").is_file():
        raise UserError(f"{text}: a results folder, and nothing to compare in it: {_FORMS}")
    # A name has no separator: the folder goes on after the last one.
    last = max(text.rfind("/"), text.rfind("\\"))
    if not (further := [end for end in ends if end > last]):
        raise UserError(f"{text}: FOLDER:NAME is expected: {_FORMS}")
    raise UserError(f"{text[: further[0]]}: no results there (no manifest.json); `bonbench run CONFIG` makes them")
