"""From a results folder to the reward models of its run, with what each of them reads, as the run had them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from harness.core.errors import UserError, first_error
from harness.core.stages import StageKind
from harness.experiment.config import Experiment, PoliciesConfig
from harness.storage.manifest import Manifest

if TYPE_CHECKING:
    from harness.engine.graph import Graph
    from harness.streams.scorer import Ingredients

_AT_FAULT = re.compile(r"reward_models\.([^.:]+)")


def run_models(folder: Path, manifest: Manifest) -> tuple[dict[str, Ingredients], dict[str, str]]:
    """The scored reward models of a run that can score other solutions, and the others, each with the reason.

    Args:
        folder: the results folder, which has the models that the run trained.
        manifest: the folder's.

    Raises:
        UserError: where what the run was made of is not on this machine.
    """
    from harness.streams.scorer import Ingredients

    graph, left_out = _graph(folder, manifest)
    ingredients: dict[str, Ingredients] = {}
    for name in manifest.reward_models:
        if name in left_out:
            continue
        if name not in graph.reward_models:
            left_out[name] = "it was added on the command line, and the folder does not say how"
            continue
        spec = graph.reward_models[name]
        if spec.cls.members(spec.params):
            left_out[name] = "it combines the scores of other reward models, and each is asked alone here"
            continue
        verified = graph.verifications.get(name)
        try:
            ingredients[name] = Ingredients(
                spec=spec,
                passes={r: graph.stage(StageKind.TOKEN_PASS, who).spec for r, who in graph.passes[name].items()},
                asked=spec.cls.verifications(spec.params),
                generator=verified.spec if verified else None,
                where=spec.where,
            )
        except UserError as error:
            left_out[name] = str(error)
    return ingredients, left_out


def _graph(folder: Path, manifest: Manifest) -> tuple[Graph, dict[str, str]]:
    """The graph of the run without the entries that cannot be laid out here, and why these cannot."""
    from harness.engine.build import build_graph

    try:
        # How the run is evaluated is of no account here: default sizes may be more than the responses that there are,
        # and a rule of choice may be gone.
        evaluation = {key: of for key, of in manifest.config.get("evaluation", {}).items() if key == "problems"}
        experiment = Experiment.model_validate({**manifest.config, "evaluation": evaluation})
    except ValidationError as error:
        raise UserError(f"{folder}/manifest.json: config: {first_error(error, Experiment)}") from None
    experiment = experiment.model_copy(update={"output": folder, "policies": PoliciesConfig(), "second_verifier": None})
    left_out: dict[str, str] = {}
    while True:
        try:
            return build_graph(experiment, stand_ins=True), left_out
        except UserError as error:
            found = _AT_FAULT.match(str(error))
            entry = found and _entry_of(found[1], experiment)
            if not entry:
                raise UserError(f"{folder}: the run cannot be laid out on this machine: {error}") from None
            rest = {name: of for name, of in experiment.reward_models.items() if name != entry}
            experiment = experiment.model_copy(update={"reward_models": rest})
            left_out |= {
                name: str(error) for name in manifest.reward_models if name == entry or name.startswith(f"{entry}-")
            }


def _entry_of(label: str, experiment: Experiment) -> str | None:
    """The entry that a label comes from: its own name, or the name of a sweep."""
    names = [name for name in experiment.reward_models if label == name or label.startswith(f"{name}-")]
    return max(names, key=len, default=None)
