"""What the words of a command line stand for: an experiment, one of its stages or trainings, a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import UserError, suggest
from harness.core.files import no_file
from harness.core.shipped import experiments, located
from harness.core.stages import Until

if TYPE_CHECKING:
    from harness.cost_model.gpus import Gpu
    from harness.engine.executor import Executor
    from harness.engine.graph import Graph, Node, Training
    from harness.engine.outcome import Outcome


def experiment_file(config: Path) -> Path:
    """The file that ``config`` names; where there is no such file, the experiment of that name that BonBench ships.

    Raises:
        UserError: where there is neither.
    """
    file = Path(located(str(config)))
    if file.is_file():
        return file
    shipped = experiments()
    if str(config) in shipped:
        return shipped[str(config)]
    if config.is_dir():
        raise UserError(f"{config} is a folder; give a YAML file or a name{suggest(config.name, shipped)}")
    hint = suggest(config.stem, shipped) if config.stem in shipped or config.name == str(config) == config.stem else ""
    reason = no_file(file)
    raise UserError(f"{config}: {'No such file' if reason == 'no such file' else reason}{hint}")


def copy_experiment(name: str, target: Path) -> Path:
    """Copy the shipped experiment ``name`` to a new file, or into a folder; returns the file.

    Raises:
        UserError: for an unknown name, and for a file that is there already or cannot be written.
    """
    shipped = experiments()
    if name not in shipped:
        raise UserError(f"no experiment is named {name!r}{suggest(name, shipped)}")
    file = target / f"{name}.yaml" if target.is_dir() else target
    try:
        with file.open("xb") as copied:
            copied.write(shipped[name].read_bytes())
    except FileExistsError:
        raise UserError(f"{file}: the file exists already; name another file, or move this one away") from None
    except OSError as error:
        raise UserError(f"{file}: {error.strerror or error}") from None
    return file


def load_graph(
    config: Path,
    overrides: Sequence[str] | None,
    reward_models: Sequence[str] | None = None,
    stand_ins: bool = False,
    evaluation: bool = True,
) -> Graph:
    """The graph of an experiment.

    Args:
        config: a file, or the name of a shipped experiment.
        overrides: what ``--set`` says.
        reward_models: what ``--reward-model`` says.
        stand_ins: let nameless problems stand in for a set that cannot be read but says its size.
        evaluation: whether there must be problems to evaluate on.

    Raises:
        UserError: naming the file, for a mistake in it or in the options.
    """
    from harness.engine.build import build_graph
    from harness.experiment.config import load_experiment
    from harness.experiment.entries import parse_spec

    file = experiment_file(config)
    experiment = load_experiment(file, overrides or ())
    extra = [parse_spec(text) for text in reward_models or ()]
    try:
        return build_graph(experiment, extra, stand_ins, evaluation)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


def compute(graph: Graph, nodes: list[Node], address: str | None, local: bool) -> Outcome:
    """Compute what is missing of an experiment's stages and trainings, and say on stderr what was done.

    Raises:
        UserError: for a mistake that shows only now (resources, an unreadable model, another run in the folder).
    """
    from harness.engine.progress import Board
    from harness.engine.run import run_stages

    executor = _executor(address, local)
    with Board(live=not local) as board:
        for note in graph.notes:
            board.say(note)
        outcome = run_stages(graph, nodes, executor, board)
        for line in outcome.lines(graph.results):
            board.say(line)
    return outcome


def selection_rules(specs: Sequence[str] | None) -> dict[str, dict[str, Any]]:
    """The selection rules that ``--rule`` names: name -> entry.

    Raises:
        UserError: for an unknown one, wrong parameters, or a name that is taken.
    """
    from harness.experiment.entries import parse_spec
    from harness.experiment.selection import selection_entries

    return selection_entries((parse_spec(text, "--rule") for text in specs or ()), "--rule")


def show_report(results: Path, rules: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the report unless it shows what is stored already; print its first table.

    Args:
        rules: the entries of the experiment's selection rules.
    """
    from harness.cli.tables.accuracy import show_accuracy
    from harness.report.freshness import report_is_fresh

    if not report_is_fresh(results):
        from harness.report.write import write_report

        write_report(results, rules=rules)
    show_accuracy(results)


def last_stage(name: str) -> Until:
    """What ``--until`` names.

    Raises:
        UserError: where no stage has that name.
    """
    if name not in list(Until):
        raise UserError(f"--until {name}: no such stage{suggest(name, Until)}")
    return Until(name)


def gpu_named(name: str) -> Gpu:
    """The data sheet of a GPU.

    Raises:
        UserError: where none has that name.
    """
    from harness.cost_model.gpus import GPUS

    if name not in GPUS:
        raise UserError(f"--gpu {name}: not in the table{suggest(name, GPUS)}")
    return GPUS[name]


def one_training(graph: Graph, name: str | None) -> Training:
    """The training of an entry; of the only one that has any, if ``name`` is None.

    Raises:
        UserError: where there is none, or several to choose from.
    """
    trainings = graph.trainings
    if not trainings:
        raise UserError("reward_models: nothing to train: no entry has a train: block")
    if name is None and len(trainings) > 1:
        raise UserError(f"reward_models: several have a train: block: name one of {', '.join(trainings)}")
    if name is not None and name not in trainings:
        raise UserError(f"reward_models: none with a train: block is named {name!r}{suggest(name, trainings)}")
    return trainings[name or next(iter(trainings))]


def _executor(address: str | None, local: bool) -> Executor:
    """What runs an experiment: this process, or Ray.

    Raises:
        UserError: for a cluster and this process at once.
    """
    if not local:
        from harness.engine.ray_executor import RayExecutor

        return RayExecutor(address)
    if address is not None:
        raise UserError("--local: it runs in this process, and --address names a cluster: leave one of them out")
    from harness.engine.local_executor import LocalExecutor

    return LocalExecutor()
