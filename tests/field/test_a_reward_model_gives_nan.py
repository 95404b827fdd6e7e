"""A reward model gives NaN for a response: the scores are stored as good ones, and the report fails for every reward
model, again and again (OpenRLHF/OpenRLHF#528, huggingface/trl#3236)."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from results_folder import write_results, write_rows
from tiny_models import make_model
from transformers import AutoModelForCausalLM

from bonbench.generators.decoding import check_sampling
from bonbench.reward_models.implicit import ImplicitParams, ImplicitPRM
from bonbench.reward_models.lm.logits import check_head, target_logprobs
from harness.analysis.compare import compare
from harness.analysis.compute_accuracies import compute_accuracies
from harness.analysis.evaluation import Evaluation
from harness.cli import main
from harness.core.components import RewardModel, TokenScorer
from harness.core.errors import UserError
from harness.core.params import ComponentParams
from harness.core.records import Problem, Response, Solution, StepScores, TokenLogprobs
from harness.engine import tasks
from harness.report.summary import summary
from harness.storage.arrow import to_records, to_table
from harness.storage.results import load_results
from harness.streams.benchmarks.processbench import ProcessBench
from harness.streams.benchmarks.scoring import load, scored
from harness.streams.score import score_file
from harness.streams.scorer import Scorer

NAN, INF = math.nan, math.inf
PROBLEMS = to_table(Problem, [Problem("p", "1 + 1?", "2")])
RESPONSES = to_table(Response, [Response("p", "g", i, text) for i, text in enumerate(("2", "3", "4"))])


def test_recorded_scores_cost_their_own_model_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the file to the report."""
    rows = []
    for i in range(4):
        scores = [{"good": [0.1 * k], "bad": [NAN if i == k else 0.5]} for k in (1, 2)]
        samples = [{"text": str(k), "step_scores": of} for k, of in enumerate(scores, 1)]
        rows.append({"problem_id": f"q{i}", "problem": f"{i} + 1?", "gold": str(i + 1), "samples": samples})
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {"name": "x", "responses": f"{tmp_path}/r.jsonl", "output": f"{tmp_path}/out", "problems_per_shard": 1}
    (tmp_path / "e.yaml").write_text(json.dumps({**config, "evaluation": {"n": [1, 2], "bootstrap": 20}}))
    assert main(["run", str(tmp_path / "e.yaml"), "--local", "--until", "score"]) == 1
    why = "step_scores.bad of sample 0 of problem 'q1' has nan, which is not a finite number"
    assert why in capsys.readouterr().err
    evaluation = Evaluation.of(load_results(tmp_path / "out"))
    assert list(evaluation.choosers.values()) == ["good"]
    [row] = evaluation.left_out
    assert row.reward_model == "bad" and why in row.why
    assert any(line.startswith("bad is left out: ") and why in line for line in summary(evaluation, None))
    with pytest.raises(UserError, match=r"bad is left out: .*problem 'q1'"):
        compare(evaluation.results, "bad", "good")
    assert compare(evaluation.results, "good", "majority").rows


@pytest.mark.parametrize("wrong", [(NAN, 1.0), (0.0, INF), (1e308, 1e308)])
def test_stored_ones_are_left_out_of_the_report(tmp_path: Path, wrong: tuple[float, float]) -> None:
    """Such as an earlier version stored. What is finite may still have a sum that is not."""
    folder = write_results(tmp_path, evaluation={"n": [1, 8], "aggregation": "sum", "bootstrap": 20})
    results = load_results(folder)
    whole = compute_accuracies(results)
    rows = [StepScores(**row) for row in results.scores("ce-2", "strong").to_pylist()]
    rows[5] = replace(rows[5], step_rewards=wrong)
    write_rows(folder / "scores" / "ce-2" / "strong", StepScores, rows)
    left = compute_accuracies(load_results(folder))
    assert list(left.left_out) == ["ce-2"]
    assert f"sample {rows[5].sample} of problem {rows[5].problem_id!r} by strong" in left.left_out["ce-2"]
    assert left.rows.keys() == {key for key in whole.rows if key.chooser.reward_model != "ce-2"}
    assert all(np.array_equal(values, whole.rows[key], equal_nan=True) for key, values in left.rows.items())


class Given(RewardModel[ComponentParams]):
    rewards = (0.5, -0.0, 1e308)

    def score(self, batch: list[Solution]) -> list[StepScores]:  # type: ignore[override]
        return [
            StepScores(s.response.problem_id, s.response.generator, s.response.sample, self.name, (reward,), None, 1)
            for s, reward in zip(batch, self.rewards, strict=True)
        ]


@pytest.mark.parametrize("wrong", [NAN, INF, -INF])
def test_no_reward_model_stores_one(wrong: float) -> None:
    model = Given(ComponentParams(), "mine")
    assert tasks.score(model, PROBLEMS, RESPONSES).table["step_rewards"].to_pylist() == [[0.5], [-0.0], [1e308]]
    model.rewards = (0.5, wrong, NAN)
    with pytest.raises(UserError, match=f"^mine gives sample 1 of problem 'p' a step reward of {wrong}: "):
        tasks.score(model, PROBLEMS, RESPONSES)


MINE = """
from harness import ComponentParams, RewardModel, StepScores

class Mine(RewardModel[ComponentParams]):
    aggregation = "sum"
    def score(self, batch):
        rewards = {"nan": float("nan"), "huge": 1.7e308}
        return [
            StepScores(s.response.problem_id, s.response.generator, s.response.sample, self.name,
                       (rewards.get(s.response.text[-4:].strip(), 0.5),) * 2, None, 1)
            for s in batch
        ]
"""


def test_a_line_costs_itself_alone(tmp_path: Path) -> None:
    """In `bonbench score` and `bonbench benchmark`. What is finite may have a sum that is not."""
    (tmp_path / "mine.py").write_text(MINE)
    scorer = Scorer(f"{tmp_path}/mine.py:Mine")
    texts = ["2", "is nan", "3", "is huge"]
    rows = [{"problem": "1 + 1?", "response": text, "steps": ["a", text], "label": -1} for text in texts]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = score_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl", scorer)
    out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row.get("score") for row in out] == [1.0, None, 1.0, None]
    assert [number for number, _ in done.file.bad_lines] == [2, 4]
    assert "a step reward of nan: " in out[1]["error"] and "a sum of step rewards of inf: " in out[3]["error"]
    said: list[str] = []
    data = load(ProcessBench(), str(tmp_path / "in.jsonl"))
    judged = scored(ProcessBench(), data, scorer, lambda _: None, said.append)
    assert [len(one.answers[0].step_rewards) for one in judged] == [2, 0, 2, 2]
    assert len(said) == 1 and said[0].startswith(f"{tmp_path}/in.jsonl line 2: ") and "a step reward of nan" in said[0]


def test_a_model_of_nothing_but_nan_is_refused_early(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    row = json.dumps({"problem": "1 + 1?", "response": "is nan"}) + "\n"
    (tmp_path / "in.jsonl").write_text(row * 20)
    with pytest.raises(UserError, match=r"a step reward of nan: look for such numbers in its weights"):
        score_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl", Scorer(f"{tmp_path}/mine.py:Mine"))
    assert not (tmp_path / "out.jsonl").exists()


class Pass(TokenScorer[ComponentParams]):
    second = -2.0

    def logprobs(self, batch: list[Solution]) -> list[TokenLogprobs]:  # type: ignore[override]
        return [
            TokenLogprobs(
                "p", "g", s.response.sample, (-1.0, self.second if s.response.sample == 1 else -2.0), (0, 1), 1
            )
            for s in batch
        ]


def test_a_token_pass_keeps_what_a_model_can_mean(tmp_path: Path) -> None:
    """-inf is the logarithm of the probability 0. NaN and inf are of nothing."""
    component = Pass(ComponentParams(), "base")
    for component.second in (NAN, INF):
        with pytest.raises(
            UserError, match=f"^base gives sample 1 of problem 'p' a log-probability of {component.second}"
        ):
            tasks.token_pass(component, PROBLEMS, RESPONSES)
    component.second = -INF
    table = tasks.token_pass(component, PROBLEMS, RESPONSES).table
    assert [record.is_possible for record in to_records(TokenLogprobs, table)] == [True, False, True]
    # A difference of two of them is no number: such a response is left without a score, and it is said why.
    model = ImplicitPRM(ImplicitParams(policy="a", reference="b", too_long="error"), "prm")
    result = tasks.score(model, PROBLEMS, RESPONSES, policy=table, reference=table)
    assert [len(rewards) for rewards in result.table["step_rewards"].to_pylist()] == [1, 0, 1]
    assert "probability 0" in result.meta["unscored_because"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    return make_model(tmp_path_factory.mktemp("model"), width=16, layers=1)


@pytest.mark.parametrize("wrong", [NAN, INF])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_of_a_head_that_are_no_numbers(model: str, wrong: float, dtype: str) -> None:
    lm = AutoModelForCausalLM.from_pretrained(model, dtype=dtype).eval()
    check_head(lm, "mine")
    with torch.no_grad():
        lm.lm_head.weight[7] = wrong
    for check in (check_head, check_sampling):
        with pytest.raises(UserError, match=r"^mine gives logits that are NaN or infinite: "):
            check(lm, "mine")


def test_logits_beyond_the_range_of_floats_are_not_what_a_model_says(model: str) -> None:
    lm = AutoModelForCausalLM.from_pretrained(model, dtype="float32").eval()
    lm.lm_head.bias = torch.nn.Parameter(torch.zeros(lm.config.vocab_size))
    hidden, targets = torch.randn(3, 16), torch.tensor([4, 5, 6])
    with torch.inference_mode():
        before = target_logprobs(lm, hidden, targets)
        lm.lm_head.bias[5] = -INF  # a masked entry of the vocabulary
        masked = target_logprobs(lm, hidden, targets)
        assert masked[1] == -INF and torch.isfinite(masked[[0, 2]]).all() and (masked[[0, 2]] > before[[0, 2]]).all()
        lm.lm_head.bias[5] = INF
        assert target_logprobs(lm, hidden, targets).isnan().all()
