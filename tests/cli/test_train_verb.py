"""``bonbench train``, then ``run``: recorded and sampled rollouts, a reward model, and it as a policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_models import make_model

from bonbench.generators.transformers import TransformersGenerator, TransformersParams
from harness.cli import main
from harness.cli.exit_codes import ExitCode
from harness.cli.experiments import one_training
from harness.core.errors import UserError
from harness.core.records import LedgerRow, Problem, Response, Sampling, TokenLogprobs
from harness.core.seeds import response_seed
from harness.engine.build import build_graph
from harness.experiment.config import load_experiment
from harness.storage.arrow import to_records
from harness.storage.results import load_results
from harness.storage.shards import read_shard
from harness.storage.trained import trained_facts

CONFIG = """
name: small
output: {folder}/out
problems: {{train: {{dataset: responses, path: {folder}/rollouts.jsonl}}}}
sampling: {{n: 2, max_tokens: 12}}
generators:
  tiny: {{type: transformers, model: {model}}}
  released: {{type: replay, path: {folder}/rollouts.jsonl, evaluate: false}}
rollouts:
  main: {{generator: released, problems: train, n: 4}}
  other: {{generator: tiny, problems: train, n: 2}}
reward_models:
  ce: {{type: implicit, train: {{objective: ce, base: tiny, beta: 0.5, rollouts: [main, other]}}}}
policies: {{n: 3, models: {{trained: {{type: transformers, model: ce}}}}}}
problems_per_shard: 4
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six problems with four recorded responses, half of them right, but for one that has three; and a tiny model."""
    folder = tmp_path_factory.mktemp("train")
    rows = [
        {
            "problem_id": f"r{i}",
            "problem": f"What is {i} + 1?",
            "gold": str(i + 1),
            "samples": [
                {"text": f"Step 1: \\boxed{{{i + 1 + k % 2}}}", "finish_reason": "stop"}
                for k in range(3 if i == 2 else 4)
            ],
        }
        for i in range(6)
    ]
    (folder / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "test.jsonl").write_text(
        '{"problem": "What is 12 + 5?", "answer": "17"}\n{"problem": "2?", "answer": "2"}\n'
    )
    (folder / "small.yaml").write_text(CONFIG.format(folder=folder, model=make_model(folder / "tiny")))
    return folder


def test_train_then_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, out = folder / "small.yaml", folder / "out"
    assert main(["train", str(config), "--local"]) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert f"ce, CE: {out}/trained/ce" in shown
    assert "learnt from: 6 problems, 35 responses, 12 right" in shown  # 23 recorded ones and 12 of the model's
    assert "at the end: loss 0.693" in shown and "reference" in shown
    assert {p.name for p in out.iterdir() if p.is_dir()} == {
        "problems", "rollouts", "rollout-grades", "rollout-passes", "trained", "ledger",
    }  # fmt: skip
    weights = out / "trained" / "ce" / "model.safetensors"
    stamp = weights.stat().st_mtime_ns

    # As if it had been alone: the model's own rollouts, and the reference's reading of all of them.
    ledger = to_records(LedgerRow, read_shard(out / "ledger" / "trained" / "ce" / "part-00000.parquet"))
    sampled = [r for p in (out / "rollouts" / "other").glob("*") for r in to_records(Response, read_shard(p))]
    passes = [t for p in (out / "rollout-passes").rglob("*.parquet") for t in to_records(TokenLogprobs, read_shard(p))]
    assert (len(sampled), len(passes)) == (12, 35)
    spent = {
        item: [r.completion_tokens for r in ledger if r.stage == f"development/{item}"]
        for item in ("collection", "reference")
    }
    assert spent["collection"] == [0, sum(r.n_tokens for r in sampled)]
    assert sum(spent["reference"]) == sum(len(t.logprobs) for t in passes)

    test = f"problems.test={{dataset: jsonl, path: {folder}/test.jsonl}}"
    run = ["run", str(config), "--set", test, "--local"]
    assert main(run) == ExitCode.DONE
    # Of rollouts, grades and passes two shards in each of two sets, and the training. What is new is of one shard each:
    # responses, their grades, two passes, scores, and the policy's responses and grades.
    assert "Computed 7 shards and trainings; 13 were stored already." in capsys.readouterr().err
    assert weights.stat().st_mtime_ns == stamp

    results = load_results(out)
    assert set(results.manifest.generators) == {"tiny"} == set(results.grades.generator)
    assert results.manifest.policies["trained"].trained_by == "ce"
    train = results.manifest.reward_models["ce"].train
    assert train is not None
    assert [(s["generator"], s["problems"], s["responses"]) for s in train["rollouts"]] == [
        ("released", "train", 4), ("tiny", "train", 2),
    ]  # fmt: skip
    grades = results.policy_grades()
    assert list(zip(grades.generator, grades.problem_id, grades["sample"], strict=True)) == [
        ("trained", f"test-{i:05d}", k) for i in range(2) for k in range(3)
    ]
    # The policy said what the trained model says.
    problems = [Problem(f"test-{i:05d}", text, "") for i, text in enumerate(("What is 12 + 5?", "2?"))]
    seeds = {p.problem_id: [response_seed(0, "trained", p.problem_id, k) for k in range(3)] for p in problems}
    generator = TransformersGenerator(TransformersParams(model=str(out / "trained" / "ce")), "trained")
    expected = generator.generate(problems, Sampling(n=3, max_tokens=12), seeds)
    stored = to_records(Response, read_shard(out / "policy-responses" / "trained" / "part-00000.parquet"))
    assert [(r.text, r.seed) for r in stored] == [(r.text, r.seed) for r in expected]

    assert main(run) == ExitCode.DONE
    assert "Nothing to compute" in capsys.readouterr().err


@pytest.mark.thorough
def test_what_is_too_long_costs_its_rollouts_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A problem that the tiny model (512 positions) cannot read, and in each other problem a rollout that it cannot."""
    place = folder / "long"
    place.mkdir()
    texts = ["Step 1: \\boxed{2}", "Step 1: \\boxed{3}", "a\n" + "1 " * 600, "b\nStep 2: \\boxed{2}"]
    problems = {"short": "What is 1 + 1?", "other": "What is 2 + 0?", "long": "What is 1 + 1? " * 200}
    rows = [
        {
            "problem_id": id_,
            "problem": problem,
            "gold": "2",
            "samples": [{"text": text, "finish_reason": "stop"} for text in texts],
        }
        for id_, problem in problems.items()
    ]
    (place / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    raw = CONFIG.format(folder=place, model=folder / "tiny").replace("policies:", "  shepherd: {entry}\npolicies:")
    train = "{base: tiny, rollouts: [main, other], completions: 2, labels: soft}"
    raw = raw.replace("{entry}", f"{{type: step-token, train: {train}}}").replace("n: 4}", "n: 4, completed_by: tiny}")
    config = place / "small.yaml"
    config.write_text(raw)

    assert main(["train", str(config), "ce", "--local"]) == ExitCode.DONE
    done = capsys.readouterr()
    said = " ".join((done.out + done.err).split())
    assert (
        "rollout other: problems whose prompt is longer than the model reads: 1; they will have no responses." in said
    )
    facts = trained_facts(place / "out" / "trained" / "ce")
    assert facts["dropped"]["longer than the reference reads"] == 2 + 4  # two long rollouts, four to the long problem
    assert facts["n_problems"] == 2

    assert main(["train", str(config), "shepherd", "--local"]) == ExitCode.DONE
    done = capsys.readouterr()
    said = " ".join((done.out + done.err).split())
    assert "beginnings of stored rollouts that are longer than the model reads: 2; no training will use their" in said
    dropped = trained_facts(place / "out" / "trained" / "shepherd")["dropped"]
    assert dropped == {"too long to complete": 2, "longer than the model reads": 4}


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("cf", "seed=0", "none with a train: block is named 'cf'; choose from ce"),
        (None, "reward_models.kto={type: implicit, train: {objective: kto, base: tiny}}", "name one of ce, kto"),
        (None, "reward_models={}", "nothing to train: no entry has a train: block"),
    ],
)
def test_which_is_trained(folder: Path, name: str | None, change: str, says: str) -> None:
    graph = build_graph(load_experiment(folder / "small.yaml", [change]), evaluation=False)
    with pytest.raises(UserError, match=says):
        one_training(graph, name)
