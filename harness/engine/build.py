"""The graph of stages that an experiment stands for: which shards, from what, under which keys. Nothing runs here.

    sample -> grade (second-grade)
    rollout -> rollout-grade -> (reference pass) -> (complete -> label, in rounds) -> train (-> train)
    sample (+ train) -> token-pass, verify -> score (-> score)
    (train) -> policy -> policy-grade

:mod:`harness.engine.graph` has the stages and shards, :mod:`harness.engine.layout` makes the shards of each stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from harness.core.components import RewardModel, Verifier
from harness.core.errors import UserError
from harness.core.stages import StageKind
from harness.engine.graph import Graded, Graph, Node
from harness.engine.layout import Layout, Scored
from harness.engine.served import with_served
from harness.experiment.config import Experiment
from harness.experiment.defaults import with_defaults
from harness.experiment.entries import build
from harness.experiment.expansion import expand, members_first
from harness.experiment.generators import check_generators, compared
from harness.experiment.problem_sets import load_problem_sets
from harness.experiment.selection import selection_entries
from harness.experiment.spec import Pool, Spec


def build_graph(
    experiment: Experiment,
    extra: Sequence[tuple[str, Mapping[str, Any]]] = (),
    stand_ins: bool = False,
    evaluation: bool = True,
) -> Graph:
    """Check every entry and lay out the stages.

    Args:
        extra: reward models (name, entry) that are added to those of the experiment.
        stand_ins: let nameless problems stand in for a set that cannot be read but says its size. This is for plans,
            which only count.
        evaluation: whether the experiment must have problems to evaluate on. If not, and it has none, nothing is
            sampled or scored, and the graph has trainings only.

    Raises:
        UserError: for anything in the experiment that cannot work.
    """
    experiment, extra = with_defaults(experiment, extra)
    problems, stood_in, notes = load_problem_sets(experiment, evaluation, stand_ins)
    generators = check_generators(experiment)
    if evaluation and not generators.evaluated:
        raise UserError("generators: none is evaluated, as each says evaluate: false; remove it from one of them")
    sets = experiment.evaluation.sets
    asked = {name: problems[name] for name in sets if name in problems}
    evaluated = generators.evaluated if asked else []
    what = compared(
        experiment,
        [generators.specs[name] for name in evaluated],
        asked,
        stand_in=not set(sets).isdisjoint(stood_in),
    )
    n, asked = what.n, what.sets
    problems |= asked
    verifier = build("verifiers", "verifier", experiment.verifier, "verifier", {}, Pool(num_cpus=0))
    second_verifiers = _second_verifiers(experiment)
    entries = expand(experiment, extra)
    rules = selection_entries(experiment.evaluation.selection.items())
    layout = Layout(experiment, problems, generators, verifier)

    trained_on = [layout.rollout_sets(name, entries.reward_models[name]["train"]) for name in entries.trained]
    rollouts = [layout.rollouts(set_) for set_ in chain.from_iterable(trained_on)]
    samples = [layout.sampling(StageKind.SAMPLE, name, generators.specs[name], asked, n) for name in evaluated]
    grades = [layout.grading(StageKind.GRADE, sampled) for sampled in samples]
    second_grades = [layout.grading(StageKind.SECOND_GRADE, s, by) for by in second_verifiers for s in samples]
    reward_models = dict(entries.reward_models)
    trainings = []
    for name in entries.trained:
        training = layout.training(name, reward_models[name])
        trainings.append(training)
        reward_models[name] = layout.with_trained(reward_models[name], training)
    specs: dict[str, Spec[RewardModel[Any]]] = {}
    policies: dict[str, Graded] = {}
    scores: dict[str, Scored] = {}
    if evaluated:
        for name, entry in reward_models.items():
            spec = build("reward_models", name, entry, f"reward_models.{name}", layout.models, asks=layout.asks)
            specs[name] = with_served(spec, experiment.folder)
        of = {name: spec.cls.members(spec.params) for name, spec in specs.items()}
        for name in members_first(of):
            members = {member: scores[member].stage for member in of[name]}
            scores[name] = layout.scoring(specs[name], samples, members)
        policies = {name: layout.policy(name, entry, asked, n) for name, entry in experiment.policies.models.items()}
    nodes = _in_order(
        # Rollouts come first: trainings wait for them.
        *rollouts,
        samples,
        grades,
        second_grades,
        *([*training.after, training] for training in trainings),
        *([*score.reads, score.stage] for score in scores.values()),
        *policies.values(),
    )
    for node in nodes:
        node.spec = layout.artifacts.pinned(node.spec)
    return Graph(
        experiment=experiment,
        problems=problems,
        generators=generators.specs,
        evaluated=evaluated,
        reward_models=specs,
        policies={name: policy.responses.spec for name, policy in policies.items()},
        passes={name: {role: pass_.who for role, pass_ in score.passes.items()} for name, score in scores.items()},
        verifications={name: stage for name, score in scores.items() if (stage := score.verifications)},
        n=n,
        nodes=nodes,
        stand_ins=stood_in,
        rules=rules,
        notes=[*notes, *what.notes],
        seeds_of=entries.seeds_of,
    )


def _second_verifiers(experiment: Experiment) -> list[Spec[Verifier[Any]]]:
    """The second verifier, where there is one. It grades what is evaluated, and nothing else."""
    if experiment.second_verifier is None:
        return []
    return [build("verifiers", "second-verifier", experiment.second_verifier, "second_verifier", {}, Pool(num_cpus=0))]


def _in_order(*groups: Sequence[Node]) -> list[Node]:
    """The nodes of all groups, each once, where it comes first."""
    return list(dict.fromkeys(chain.from_iterable(groups)))
