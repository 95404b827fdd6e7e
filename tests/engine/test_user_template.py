"""What a chat user's turn says around a problem: inherited, so that samplers and scorers read the same text."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from places import MODELS

from harness.core.errors import UserError
from harness.core.stages import StageKind
from harness.engine.build import build_graph
from harness.engine.graph import Graph
from harness.experiment.config import Experiment

ASK = "{problem}\n\nPut your final answer within \\boxed{}."
OTHER = "Solve: {problem}"
RAW: dict[str, Any] = {
    "name": "x",
    "problems": {
        "test": {"dataset": "pocket", "split": "test", "limit": 2},
        "train": {"dataset": "pocket", "split": "train", "limit": 2},
    },
    "sampling": {"n": 2, "max_tokens": 64},
    "generators": {
        "weak": {"type": "transformers", "model": str(MODELS / "weak")},
        "middle": {"type": "transformers", "model": str(MODELS / "middle"), "user_template": ASK},
    },
    "rollouts": {"generator": "middle", "problems": "train", "n": 4},
    "reward_models": {
        "log-likelihood": {"type": "implicit", "policy": "middle", "reference": None},
        "dpo": {"type": "implicit", "train": {"base": "middle"}},
        "again": {"type": "implicit", "policy": "dpo", "reference": None},
        "second": {"type": "implicit", "train": {"base": "dpo", "objective": "kto", "level": "step"}},
        "orm": {"type": "sequence-classifier", "train": {"base": "middle"}},
        "psv": {"type": "head-prm", "train": {"type": "autopsv", "base": "weak"}},
        "shepherd": {"type": "step-token", "train": {"base": "middle"}},
    },
    "policies": {"models": {"dpo-policy": {"type": "transformers", "model": "dpo"}}},
    "evaluation": {"n": [1, 2]},
}


def graph(change: dict[str, Any] | None = None) -> Graph:
    raw = copy.deepcopy(RAW)
    for path, value in (change or {}).items():
        *parents, last = path.split("/")
        node = raw
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return build_graph(Experiment.model_validate(raw))


def said(g: Graph) -> dict[str, str | None]:
    """What everything in an experiment asks with."""
    asked = {f"train {name}": training.spec.asks.get("user_template") for name, training in g.trainings.items()}
    asked |= {f"score {name}": spec.asks.get("user_template") for name, spec in g.reward_models.items()}
    asked |= {f"sample {name}": spec.asks.get("user_template") for name, spec in g.policies.items()}
    passes = (StageKind.TOKEN_PASS, StageKind.ROLLOUT_PASS)
    return asked | {f"{s.kind} {s.who}": s.spec.asks.get("user_template") for s in g.stages if s.kind in passes}


def test_everything_reads_what_the_generator_of_the_rollouts_read() -> None:
    asked = said(graph())
    assert len(asked) == 5 + 7 + 1 + 4, asked
    assert {*asked.values()} == {ASK}
    # One pass serves all who ask for a model, and has the model's name.
    assert {who for who in asked if "pass" in who} == {
        *(f"token-pass {who}" for who in ("middle", "dpo", "second")),
        "rollout-pass middle",
    }


def test_the_whole_prompt_is_inherited() -> None:
    """A system prompt, worked examples, the day and a raw prompt are as much what the sampler read."""
    example = {"problem": "1 + 1?", "solution": "2"}
    told = {"system_prompt": "Be brief.", "few_shot": [example], "date": "2025-05-01"}
    for more in (told | {"user_template": ASK}, {"template": "Q: {problem}\nA:", "few_shot": [example]}):
        entry = {"type": "transformers", "model": str(MODELS / "middle"), **more}
        g = graph({"generators/middle": entry})
        specs = [*(t.spec for t in g.trainings.values()), *g.reward_models.values(), *g.policies.values()]
        specs += [s.spec for s in g.stages if s.kind in (StageKind.TOKEN_PASS, StageKind.ROLLOUT_PASS)]
        assert len(specs) == 5 + 7 + 1 + 4
        for spec in specs:
            assert spec.asks == more, spec.where
    # An entry says one of them differently, or all of them with a raw prompt.
    change = {"generators/middle/system_prompt": "Be brief."}
    g = graph({**change, "reward_models/orm/train/system_prompt": None, "reward_models/shepherd/template": "{problem}"})
    assert g.trainings["orm"].spec.asks == g.reward_models["orm"].asks == {"user_template": ASK}
    assert g.trainings["shepherd"].spec.asks == {"user_template": ASK, "system_prompt": "Be brief."}
    assert g.reward_models["shepherd"].asks == {"template": "{problem}"}
    chat = graph({"generators/middle": {**entry, "template": "Q: {problem}"}, "reward_models/orm/user_template": OTHER})
    assert chat.reward_models["orm"].asks == {"user_template": OTHER, "few_shot": [example]}


def test_without_one_nobody_has_one() -> None:
    none = {"generators/middle/user_template": None}
    assert {*said(graph(none)).values()} == {None}
    assert {*said(graph({**none, "generators/weak/user_template": ASK})).values()} == {None}


def test_what_an_entry_says_wins() -> None:
    asked = said(graph({"reward_models/dpo/train/user_template": None}))
    bare = {who for who, template in asked.items() if template is None}
    assert bare == {
        *("train dpo", "train second", "score dpo", "score again", "score second", "sample dpo-policy"),
        *("rollout-pass middle", "token-pass dpo", "token-pass second"),
        next(who for who in asked if who.startswith("token-pass middle-")),  # the reference of dpo: another pass
    }
    asked = said(graph({"reward_models/orm/user_template": None, "reward_models/psv/train/user_template": OTHER}))
    assert asked["train orm"] == ASK and asked["score orm"] is None
    assert asked["train psv"] == asked["score psv"] == OTHER
    raw = {"type": "transformers", "model": "dpo", "template": "{problem}"}
    assert said(graph({"policies/models": {"raw": raw}}))["sample raw"] is None


def test_only_a_name_inherits() -> None:
    """A public reward model, or a model that is named by its place, keeps its own convention."""
    by_path = {"type": "implicit", "policy": str(MODELS / "strong"), "reference": "middle"}

    def passes(entry: dict[str, Any]) -> set[str | None]:
        g = graph({"reward_models/public": entry})
        return {said(g)[f"token-pass {who}"] for who in g.passes["public"].values()}

    assert passes(by_path) == {None}, "the reference reads what the policy reads"
    assert passes({**by_path, "user_template": OTHER}) == {OTHER}


def test_a_reward_model_that_knows_no_such_parameter_has_its_passes_asked_alike(tmp_path: Path) -> None:
    adapter = tmp_path / "rm.py"
    adapter.write_text(
        "from harness import ComponentParams, ModelPath, RewardModel\n"
        "class Params(ComponentParams):\n    model: ModelPath\n"
        "class Mean(RewardModel):\n    Params = Params\n"
        "    @classmethod\n    def token_passes(cls, params):\n        return {'model': params.model}\n"
        "    def score(self, batch):\n        return []\n"
    )
    before = graph()
    g = graph({"reward_models/mean": {"type": f"{adapter}:Mean", "model": "middle"}})
    assert [s.who for s in g.stages if s.kind is StageKind.TOKEN_PASS] == [
        s.who for s in before.stages if s.kind is StageKind.TOKEN_PASS
    ]
    assert g.passes["mean"] == {"model": "middle"}


def test_it_is_in_the_keys_and_its_absence_is_not() -> None:
    def keys(change: dict[str, Any]) -> dict[str, str]:
        g = graph(change)
        shards = {f"{s.folder}/{s.index}": s.key for stage in g.stages for s in stage.shards}
        return shards | {name: training.key for name, training in g.trainings.items()}

    absent = {"generators/middle": {"type": "transformers", "model": str(MODELS / "middle")}}
    bare = keys(absent)
    assert bare == keys({"generators/middle/user_template": None})
    g = graph(absent)
    for spec in (*g.generators.values(), *g.reward_models.values(), *(t.spec for t in g.trainings.values())):
        assert "user_template" not in str(g_identity(spec))
    assert keys({})["dpo"] != bare["dpo"]
    orm = keys({"reward_models/orm/user_template": OTHER})
    assert {name for name, key in keys({}).items() if orm[name] != key} == {"scores/orm/weak/0", "scores/orm/middle/0"}
    for spec in (*g.reward_models.values(), *(t.spec for t in g.trainings.values())):
        assert not {"system_prompt", "template", "few_shot", "date"} & g_identity(spec)["params"].keys()


def g_identity(spec: Any) -> dict[str, Any]:
    from harness.experiment.model_files import Artifacts

    planned = dict.fromkeys(map(str, vars(spec.params).values()), "planned")
    return Artifacts(planned=planned).identity(spec)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"generators/middle/template": "Q: {problem}"}, "user_template is for chats, template makes a raw prompt"),
        ({"generators/middle/user_template": "Solve it."}, r"user_template: \{problem\} is missing"),
        ({"reward_models/orm/train/user_template": "Solve."}, r"reward_models\.orm\.train.*\{problem\} is missing"),
        ({"reward_models/orm/user_template": "Solve."}, r"reward_models\.orm.*\{problem\} is missing"),
    ],
)
def test_mistakes(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        graph(change)
