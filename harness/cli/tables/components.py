"""What is registered and what BonBench ships, and the parameters of one component."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli.tables.parameters import parameter_rows
from harness.core.components import Component
from harness.core.errors import UserError, suggest
from harness.core.registry import available, find
from harness.core.shipped import experiments
from harness.core.terms import Kind
from harness.experiment.spec import Pool

_KINDS: tuple[Kind, ...] = get_args(Kind)
_IN_ACTORS = ("generators", "verifiers", "token_scorers", "reward_models")


def show_all() -> None:
    """Print the shipped experiments, and every kind's components: name, what it is, its parameters."""
    console = Console()
    console.print(_catalogue("experiments", {name: _comment(file) for name, file in experiments().items()}))
    for kind in _KINDS:
        rows = {}
        for name in available(kind):
            component = find(kind, name)
            rows[name] = Text(_first_line(component)).append(f"\n{', '.join(component.Params.model_fields)}", "dim")
        console.print(_catalogue(kind, rows))


def show_component(name: str) -> None:
    """Print the parameters of the components named ``name``, which may be of several kinds, or a shipped experiment.

    Raises:
        UserError: where nothing has that name.
    """
    kinds = [kind for kind in _KINDS if name in available(kind)]
    shipped = experiments()
    if not kinds and name not in shipped:
        every = {*shipped, *(other for kind in _KINDS for other in available(kind))}
        raise UserError(f"nothing is named {name!r}{suggest(name, every)}")
    console = Console()
    console = Console(width=max(console.width, 100))
    if name in shipped:
        console.print(Text(shipped[name].read_text(encoding="utf-8")))
    for kind in kinds:
        _show_parameters(console, kind, name, find(kind, name))


def _show_parameters(console: Console, kind: Kind, name: str, component: type[Component[Any]]) -> None:
    console.print(Text(f"{_singular(kind)} {name}", "bold").append(f": {_first_line(component)}", "not bold"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("parameter", "type", "default", "meaning"):
        table.add_column(column, overflow="fold", no_wrap=column == "parameter")
    for row in parameter_rows(component.Params):
        table.add_row(*map(Text, row))
    console.print(table)
    if kind in _IN_ACTORS:
        console.print(f"and {', '.join(Pool.model_fields)}: what its actors take (docs/cluster.md)")
    console.print()


def _catalogue(title: str, rows: Mapping[str, Text]) -> Table:
    table = Table(title=title.replace("_", " "), title_justify="left", show_header=False, box=None, padding=(0, 2))
    for name, text in rows.items():
        table.add_row(Text(name, "bold"), text)
    return table


def _singular(kind: Kind) -> str:
    return kind.removesuffix("s").replace("_", " ")


def _first_line(component: type[Component[Any]]) -> str:
    return (component.__doc__ or "").strip().partition("\n")[0].replace("``", "`")


def _comment(file: Path) -> Text:
    """The first line of an experiment file, which is a comment that says what the experiment is."""
    with file.open(encoding="utf-8") as lines:
        return Text(lines.readline().removeprefix("#").strip())
