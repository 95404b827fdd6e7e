"""What n of N responses take, against what the engine counts for every subset of n."""

from __future__ import annotations

from itertools import combinations, groupby
from pathlib import Path

import numpy as np
import pytest
from counted_costs import counted, drop_a_ledger, put
from results_folder import write_results

from harness.analysis.shared_work import CostUnknown, own_scoring, sampling, token_pass, verifying
from harness.analysis.shared_work import per_problem as mean_cost
from harness.core.records import Problem, Response, Solution, StepScores, TokenLogprobs
from harness.core.verifications import Verifications
from harness.engine.tasks import Result
from harness.storage.arrow import to_table
from harness.storage.results import Results, load_results
from harness.storage.shards import LEDGER

N = 4
#: Problem -> tokens of its prompt, and texts of its responses; some are equal.
PROBLEMS = {"p#1": (7, "abab"), "q": (3, "aaaa"), "r": (11, "abcd"), "s": (2, "abca")}
TOKENS = {"a": 5, "b": 8, "c": 1, "d": 13}


def rows() -> list[Response]:
    return [
        Response(problem, "weak", sample, text, prompt, TOKENS[text], "stop", 1)
        for problem, (prompt, texts) in PROBLEMS.items()
        for sample, text in enumerate(texts)
    ]


def in_shards(records: list) -> list[list]:  # type: ignore[type-arg]
    """The first problem, and the others."""
    return [[r for r in records if r.problem_id == "p#1"], [r for r in records if r.problem_id != "p#1"]]


def per_problem(n: int, cost_of: object) -> float:
    """The mean over problems, and over all subsets of n responses, of what ``cost_of`` such responses counts."""
    means = []
    for _, own in groupby(rows(), lambda r: r.problem_id):
        subsets = list(combinations(own, n))
        means.append(np.mean([cost_of(list(subset)).flops for subset in subsets]))  # type: ignore[operator]
    return float(np.mean(means))


@pytest.fixture
def results(tmp_path: Path) -> Results:
    folder = write_results(tmp_path / "r", {"rm": {"verifications": "judge"}})
    put(folder, "responses/weak", Response, in_shards(rows()), [sampled(shard) for shard in in_shards(rows())])
    return load_results(folder)


def sampled(responses: list[Response]) -> Result:
    return counted((r.problem_id, r.n_prompt_tokens, r.n_tokens) for r in responses)


def test_a_prompt_is_read_once_for_all_responses(results: Results) -> None:
    found = sampling(results, "weak", N)
    assert found.n_problems == {"part": len(PROBLEMS)}
    for n in range(1, N + 1):
        assert found.work.at(n) == pytest.approx(per_problem(n, sampled))


def is_read(response: Response) -> bool:
    """All responses of q are too long, and one of r."""
    return response.problem_id != "q" and (response.problem_id, response.sample) != ("r", 1)


def passed(responses: list[Response]) -> Result:
    return counted((r.problem_id, r.n_prompt_tokens + 1, r.n_tokens) for r in responses if is_read(r))


def test_a_pass_reads_the_prompts_of_what_is_not_too_long(results: Results) -> None:
    def record(r: Response) -> TokenLogprobs:
        if not is_read(r):
            return TokenLogprobs(r.problem_id, "weak", r.sample, (), (), 0)
        zeros = (0.0,) * r.n_tokens
        return TokenLogprobs(r.problem_id, "weak", r.sample, zeros, (0,) * r.n_tokens, r.n_prompt_tokens + 1)

    shards = in_shards([record(r) for r in rows()])
    put(results.folder, "token-passes/m/weak", TokenLogprobs, shards, [passed(shard) for shard in in_shards(rows())])
    for n in range(1, N + 1):
        assert token_pass(results, "m", "weak", sampling(results, "weak", N), N).at(n) == pytest.approx(
            per_problem(n, passed)
        )


def test_a_reward_models_own_model_reads_what_it_scores(results: Results) -> None:
    def scored(responses: list[Response]) -> Result:
        return counted((r.problem_id, r.n_prompt_tokens, r.n_tokens + 2) for r in responses if is_read(r))

    def record(r: Response) -> StepScores:
        if not is_read(r):
            return StepScores(r.problem_id, "weak", r.sample, "rm", (), (), 0)
        return StepScores(r.problem_id, "weak", r.sample, "rm", (0.5,), (1,), r.n_tokens + 2)

    shards = in_shards([record(r) for r in rows()])
    put(results.folder, "scores/rm/weak", StepScores, shards, [scored(shard) for shard in in_shards(rows())])
    work = own_scoring(results, "rm", "weak", sampling(results, "weak", N), N)
    for n in range(1, N + 1):
        assert work.at(n) == pytest.approx(per_problem(n, scored))


@pytest.mark.parametrize("per", ["response", "step", "pair", "group"])
def test_equal_responses_are_asked_about_once(results: Results, per: str) -> None:
    asked = Verifications("judge", "{{ problem }} {{ response }} {{ step }} {{ responses }}", per=per, n=2)  # type: ignore[arg-type]
    if per in ("pair", "group"):
        asked = Verifications("judge", "{{ problem }} {{ responses }}", per=per, n=2)  # type: ignore[arg-type]
    if per == "response":
        asked = Verifications("judge", "{{ problem }} {{ response }}", n=2)

    def replies(responses: list[Response]) -> list[Response]:
        solutions = [Solution(Problem(r.problem_id, "?", ""), r) for r in responses]
        return [
            Response(question.id, "judge", i, "yes", 20 + TOKENS[question.about[0].response.text], 3 + i)
            for question in asked.questions(solutions)
            for i in range(asked.sampling.n)
        ]

    shards = [replies(shard) for shard in in_shards(rows())]
    put(results.folder, "verifications/judge/weak", Response, shards, [sampled(shard) for shard in shards])
    work = verifying(results, "judge", "weak", "all", sampling(results, "weak", N), N)
    assert work.at(N) == pytest.approx(per_problem(N, lambda some: sampled(replies(some))))
    for n in range(1, N):
        if asked.compares:  # the scores are of all N
            assert np.isnan(work.at(n))
        else:
            assert work.at(n) == pytest.approx(per_problem(n, lambda some: sampled(replies(some))))


def test_replies_that_are_read_again_belong_to_the_work(results: Results) -> None:
    """The ledger of a shard of replies has more than sampling them: the weighing of answers in them."""
    asked = Verifications("judge", "{{ problem }} {{ response }}", n=2)

    def replies(responses: list[Response]) -> list[Response]:
        solutions = [Solution(Problem(r.problem_id, "?", ""), r) for r in responses]
        return [Response(q.id, "judge", i, "yes", 20, 3) for q in asked.questions(solutions) for i in range(2)]

    def weighed(responses: list[Response]) -> Result:
        result = sampled(responses)
        result.flops *= 1.75  # every reply alike
        return result

    shards = [replies(shard) for shard in in_shards(rows())]
    put(results.folder, "verifications/judge/weak", Response, shards, [weighed(shard) for shard in shards])
    work = verifying(results, "judge", "weak", "all", sampling(results, "weak", N), N)
    for n in range(1, N + 1):
        assert work.at(n) == pytest.approx(per_problem(n, lambda some: weighed(replies(some))))


def test_what_nobody_counted_is_not_known(results: Results) -> None:
    nothing = [Result(to_table(Response, [])) for _ in range(2)]
    with pytest.raises(CostUnknown, match="token-passes/m/weak is not among the results"):
        token_pass(results, "m", "weak", sampling(results, "weak", N), N)
    with pytest.raises(CostUnknown, match="ledger does not have the costs of all of responses/strong"):
        sampling(results, "strong", N)
    put(results.folder, "responses/strong", Response, in_shards(rows()), nothing)
    other = load_results(results.folder)
    with pytest.raises(CostUnknown, match="strong is not sampled by a model that runs here"):
        sampling(other, "strong", N)
    put(results.folder, "scores/rm/weak", StepScores, [[], []], nothing)
    with pytest.raises(CostUnknown, match="rm does not score with a model of known size"):
        own_scoring(other, "rm", "weak", sampling(results, "weak", N), N)
    drop_a_ledger(results.folder, "responses/weak")
    with pytest.raises(CostUnknown, match="ledger does not have the costs of all of responses/weak"):
        sampling(other, "weak", N)


def test_a_problem_without_responses_costs_nothing(results: Results) -> None:
    """It may be the only one of its shard, which has no rows then, whatever the stage."""
    costs = [*(sampled(shard) for shard in in_shards(rows())), counted([])]
    before = sampling(results, "weak", N).work.at(N)
    costs[2].meta |= {"unanswered": ["t"], "unanswered_because": "too long"}
    put(results.folder, "responses/weak", Response, [*in_shards(rows()), []], costs)
    results = load_results(results.folder)
    after = sampling(results, "weak", N)
    assert after.n_problems == {"part": 5} and after.work.at(N) == pytest.approx(before * 4 / 5)
    nothing = [counted([])]
    put(results.folder, "token-passes/m/weak", TokenLogprobs, [[]], nothing)
    put(results.folder, "scores/rm/weak", StepScores, [[]], nothing)
    put(results.folder, "verifications/judge/weak", Response, [[]], nothing)
    works = [token_pass(results, "m", "weak", after, N), own_scoring(results, "rm", "weak", after, N)]
    works.append(verifying(results, "judge", "weak", "all", after, N))
    assert [work.at(2) for work in works] == [0.0, 0.0, 0.0]


def test_each_set_of_problems_counts_the_same(results: Results) -> None:
    """The shards of all sets but the first have the name of theirs."""
    first, others = (sampled(shard) for shard in in_shards(rows()))
    for root in (results.folder, results.folder / LEDGER):
        folder = root / "responses" / "weak"
        (folder / "part-00001.parquet").rename(folder / "part-other-set-00000.parquet")
    found = sampling(results, "weak", N)
    assert found.n_problems == {"part": 1, "part-other-set": 3}
    assert found.work.at(N) == pytest.approx((first.flops + others.flops / 3) / 2)
    cost = mean_cost(results, found, "responses", "weak")
    assert cost.model_seconds == pytest.approx((1 + 1 / 3) / 2) and cost.flops == pytest.approx(found.work.at(N))
