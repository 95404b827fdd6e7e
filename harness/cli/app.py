"""The ``bonbench`` command: its verbs, and how it ends. Heavy modules are imported by the verb that uses them."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from harness.cli.exit_codes import ExitCode
from harness.cli.options import Debug
from harness.cli.streams import drop_stdout, make_streams_usable
from harness.cli.verbs.benchmark import benchmark, processbench
from harness.cli.verbs.check_adapter import check_adapter
from harness.cli.verbs.compare import compare
from harness.cli.verbs.copy import copy
from harness.cli.verbs.export import export
from harness.cli.verbs.grade import grade
from harness.cli.verbs.list import list_components
from harness.cli.verbs.plan import plan
from harness.cli.verbs.report import report
from harness.cli.verbs.run import run
from harness.cli.verbs.score import score
from harness.cli.verbs.train import train
from harness.core.ending import ends_when_stopped, stopped
from harness.core.errors import UserError, one_line

_LONGEST = 3000  # characters of a line of error

app = typer.Typer(
    name="bonbench",
    help="Compare reward models by best-of-N: sample, grade, score, report.\n\n"
    "Start with `bonbench run pocket`; every verb explains itself with --help.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (run, train, plan, report, compare, export, grade, score, benchmark, check_adapter):
    app.command()(verb)
app.command()(copy)
app.command("list")(list_components)
app.command(hidden=True)(processbench)


@app.callback(invoke_without_command=True)
def _start(context: typer.Context, debug: Debug = False) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; a user's mistake is one line on stderr. ``sys.exit(main())`` makes it a program.

    Args:
        argv: the words after ``bonbench``; None takes them from ``sys.argv``.

    Returns:
        An :class:`ExitCode`.
    """
    with ends_when_stopped(for_good=argv is None):
        make_streams_usable()
        return _main(list(sys.argv[1:] if argv is None else argv))


def _main(words: list[str]) -> int:
    session: dict[str, Any] = {"debug": False}
    try:
        code = ExitCode(app(words, prog_name="bonbench", standalone_mode=False, obj=session) or ExitCode.DONE)
        sys.stdout.flush()
    except (UserError, typer.TyperException) as error:
        if session["debug"]:
            raise
        _complain(_said(error))
        return ExitCode.MISTAKE
    except BrokenPipeError:  # nobody reads on, as with `| head`
        drop_stdout()
        return ExitCode.FAILED
    except OSError as error:  # a file or a disk is not as it must be, and whoever met that knows no better words
        if session["debug"]:
            raise
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = ": make room, and run the same command again to continue" if is_full else ""
        _complain(f"{_of_the_system(error)}{remedy}")
        drop_stdout()
        return ExitCode.FAILED if is_full else ExitCode.MISTAKE
    return stopped() if code is ExitCode.STOPPED else code


def _complain(text: str) -> None:
    """Say it on stderr, in one line that has no character which a terminal would obey."""
    line = " ".join(part.strip() for part in text.splitlines() if part.strip())
    if len(line) > _LONGEST:  # a file has thousands of columns, and the line names them
        line = f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}"
    print("bonbench:", "".join(c if c.isprintable() else repr(c)[1:-1] for c in line), file=sys.stderr)


def _of_the_system(error: OSError) -> str:
    place = error.filename2 or error.filename
    if not error.strerror:
        return one_line(error)
    return error.strerror if place is None else f"{os.fsdecode(place)}: {error.strerror}"


def _said(error: UserError | typer.TyperException) -> str:
    if not isinstance(error, typer.TyperException):
        return str(error)
    context = getattr(error, "ctx", None)  # a wrong command line knows the verb that it is about
    message = error.format_message().rstrip(".")
    return f"{message}; see {context.command_path} --help" if context else message
