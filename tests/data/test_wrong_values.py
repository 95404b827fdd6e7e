"""Any value in the place of any other, in any file of a user's: it is taken, or one line says what is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from places import ROOT

from bonbench.generators.replay import ReplayGenerator, ReplayParams
from bonbench.reward_models.recorded import RecordedParams, RecordedScores
from harness.analysis.published_numbers import load_published
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Sampling, Solution, StepScores
from harness.cost_model.known_models import model_sizes
from harness.data.datasets import FileDataset, FileParams, ResponsesDataset, ResponsesParams
from harness.experiment.config import load_experiment
from harness.storage.arrow import to_table
from harness.storage.benchmarks import read_benchmarks
from harness.storage.results import load_results
from harness.streams.benchmarks.base import Settings
from harness.streams.benchmarks.registry import find_benchmark
from harness.streams.benchmarks.scoring import load, recorded
from harness.streams.grade import Grader, grade_file

TABLES = ("table1.csv", "figure2.csv", "figure3.csv")
WRONG: list[Any] = [
    None, True, 0, -1, 2**31, 2**63, 10**400, 0.5, 1e300, float("nan"), float("inf"),
    "", " ", "x", "²", "../../x", "a\0b", "x" * 300,
    [], [None], [0.5], ["x"], [[]], [{}], {}, {"": 0}, {"x": []}, {"x": {"y": [None]}},
]  # fmt: skip


def changed(good: Any) -> Iterator[Any]:
    """``good`` with each of its parts replaced by each wrong value, or taken out."""

    def places(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, part in parts:
            yield (*at, key)
            yield from places(part, (*at, key))

    for *parents, last in places(good):
        for wrong in [*WRONG, ...]:
            whole = copy.deepcopy(good)
            node = whole
            for key in parents:
                node = node[key]
            if wrong is ...:
                del node[last]
            else:
                node[last] = wrong
            yield whole


def lines(path: Path, row: Any) -> Path:
    path.write_text(json.dumps(row) + "\n")
    return path


def problems(folder: Path, row: Any) -> None:
    path = str(lines(folder / "problems.jsonl", row))
    to_table(Problem, FileDataset(FileParams(path=path), "test").load())


def responses(folder: Path, row: Any) -> None:
    path = str(lines(folder / "responses.jsonl", row))
    generator = ReplayGenerator(ReplayParams(path=path), "replayed")
    if "samples" not in row:
        generator.generate([Problem("a", "1 + 1?", "2")], Sampling(n=1), {})
        return
    problems = ResponsesDataset(ResponsesParams(path=path), "test").load()
    to_table(Problem, problems)
    responses = generator.generate(problems, Sampling(n=1), {"a": [0]})
    to_table(Response, responses)
    for entry in (RecordedScores.expand({"path": path}) or {}).values():
        model = RecordedScores(RecordedParams(path=path, model=entry["model"]), "recorded")
        to_table(StepScores, model.score([Solution(*pair) for pair in zip(problems, responses, strict=True)]))


def solutions(name: str) -> Callable[[Path, Any], None]:
    """The lines of a benchmark, with their answers."""
    benchmark = find_benchmark(name)

    def read(folder: Path, row: Any) -> None:
        data = load(benchmark, str(lines(folder / "solutions.jsonl", row)))
        benchmark.numbers({"": recorded(benchmark, data, "")}, Settings())

    return read


def benchmarked(folder: Path, content: Any) -> None:
    (folder / "benchmarks").mkdir()
    (folder / "benchmarks" / "rm-bench.json").write_text(json.dumps(content))
    read_benchmarks(folder)


GRADER = Grader()


def answers(folder: Path, row: Any) -> None:
    grade_file(lines(folder / "answers.jsonl", row), folder / "graded.jsonl", GRADER)


def experiment(folder: Path, content: Any) -> None:
    (folder / "experiment.yaml").write_text(yaml.safe_dump(content))
    load_experiment(folder / "experiment.yaml")


def manifest(folder: Path, content: Any) -> None:
    (folder / "manifest.json").write_text(json.dumps(content))
    load_results(folder)


def published(folder: Path, content: Any) -> None:
    (folder / "published.yaml").write_text(yaml.safe_dump(content))
    for table in TABLES:
        (folder / table).symlink_to(ROOT / "results" / "paper" / table)
    load_published(folder)


def model(folder: Path, content: Any) -> None:
    (folder / "config.json").write_text(json.dumps(content))
    model_sizes(str(folder))


NESTED = {
    "problem_id": "a", "problem": "1 + 1?", "gold": "2", "subject": "sums", "level": 1,
    "samples": [
        {"text": "One.\n\nTwo.", "steps": ["One.", "Two."], "num_tokens": 5, "finish_reason": "stop",
         "step_scores": {"prm": [0.9, 0.2]}},
    ],
}  # fmt: skip
FLAT = {
    "problem_id": "a", "generator": "g", "sample": 0, "text": "2", "n_prompt_tokens": 3, "n_tokens": 1,
    "finish_reason": "stop", "problem": "1 + 1?", "answer": "2",
}  # fmt: skip
FILES: dict[str, tuple[Callable[[Path, Any], None], Any]] = {
    "problems": (
        problems,
        {"problem": "1 + 1?", "answer": "2", "unique_id": "a", "problem_id": "b", "level": "Level 1", "subject": "sums",
         "type": "sums"},
    ),
    "responses": (responses, NESTED),
    "flat responses": (responses, FLAT),
    "processbench": (
        solutions("processbench"), {"problem": "p", "steps": ["a", "b"], "label": 1, "step_rewards": [0.9, 0.1]}
    ),
    "prmbench": (
        solutions("prmbench"),
        {"idx": "redundency_1", "classification": "redundency", "question": "?", "modified_question": "1 + 1?",
         "modified_process": ["a", "b"], "error_steps": [2], "original_question": "1 + 1?", "original_process": ["a"],
         "answers": [{"step_rewards": [0.9, 0.1]}, {"step_rewards": [0.2]}]},
    ),
    "rewardbench2": (
        solutions("rewardbench2"),
        {"id": "tied:1", "subset": "Ties", "prompt": "a prime?", "chosen": ["2", "3"], "rejected": ["4"],
         "answers": [{"score": 1.0}, {"score": 2}, {"score": None, "unscored_because": "too long"}]},
    ),
    "rm-bench": (
        solutions("rm-bench"),
        {"domain": "math", "prompt": "1 + 1?", "chosen": ["2", "2!", "**2**"], "rejected": ["3", "4", "5"],
         "answers": [{"score": float(i), "step_rewards": [0.1]} for i in range(6)]},
    ),
    "numbers of a benchmark": (
        benchmarked,
        {"benchmark": "rm-bench", "paper": "p", "sources": ["a"], "lines": "l", "headlines": ["hard"], "left_out": {},
         "reward_models": {"m": {"key": "k", "of_scores": "s", "values": {"hard": 0.5}, "n": 1, "threshold": None}}},
    ),
    "answers": (answers, {"pred": "1", "gold": "1"}),
    "whole answers": (answers, {"response": "It is 1.", "gold": "1"}),
    "experiment": (
        experiment,
        {"name": "a", "seed": 1, "output": "out", "problems": {"test": {"dataset": "jsonl", "path": "p.jsonl"}},
         "sampling": {"n": 1, "temperature": 1.0, "top_p": 0.9, "max_tokens": 9},
         "generators": {"g": {"type": "replay", "path": "r.jsonl"}}, "reward_models": {"m": {"type": "length"}},
         "rollouts": {"generator": "g", "problems": "test", "n": 2}, "policies": {"n": 1, "models": {"p": {}}},
         "verifier": {"type": "math"}, "problems_per_shard": 4,
         "evaluation": {"problems": "test", "n": [1], "aggregation": "min", "protocol": "subsets", "bootstrap": 9,
                        "interval": "bca"}},
    ),
    "manifest": (
        manifest,
        {"name": "a", "seed": 1, "evaluation": {"n": [1], "aggregation": ["min"], "bootstrap": 9, "interval": "bca",
         "protocol": ["subsets"]}, "generators": {"g": {"type": "replay"}},
         "reward_models": {"m": {"type": "length", "token_passes": {"policy": "p"}, "train": {"x": 1}}},
         "policies": {"p": {"type": "replay", "trained_by": "m"}}, "problem_set": "test",
         "quarantined": [{"stage": "score", "who": "m", "shard": 0, "problem_ids": ["a"]}], "config": {"a": 1}},
    ),
    "published": (
        published,
        {"title": "t", "source": "s", "problems": 5, "files": dict.fromkeys(TABLES, "x"), "generators": {"g": "m"},
         "methods": {"M": "DPO"}},
    ),
    "model": (
        model,
        {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 2, "vocab_size": 9, "intermediate_size": 4,
         "num_key_value_heads": 1, "head_dim": 4, "num_experts": 2, "num_experts_per_tok": 1,
         "moe_intermediate_size": 4, "text_config": {"hidden_size": 8}, "tie_word_embeddings": True,
         "model_type": "llama"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("file", FILES)
def test_any_value_in_any_place(tmp_path: Path, file: str) -> None:
    read, good = FILES[file]
    try:
        read(tmp_path, good)
    except UserError as error:
        assert file == "manifest" and "no problems under problems/test" in str(error)
    complaints = []
    for number, content in enumerate(changed(good)):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            read(folder, content)
        except UserError as error:
            complaints.append(str(error))
        except Exception as error:
            raise AssertionError(f"{content} is met with {type(error).__name__}") from error
    assert not [complaint for complaint in complaints if "\n" in complaint]
    assert complaints or file == "model"
