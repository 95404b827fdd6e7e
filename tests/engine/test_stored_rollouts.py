"""What a training is given of the stored shards, and that another process can load it."""

from __future__ import annotations

import dataclasses
import math
import pickle
from pathlib import Path

import pytest

from harness.core.records import Grade, GradedSolution, Problem, Response, Solution, StepLabels, TokenLogprobs
from harness.core.registry import find
from harness.engine.graph import Shard, Training
from harness.engine.stored_rollouts import stored_rollouts
from harness.experiment.spec import Pool, Spec
from harness.storage.arrow import to_table
from harness.storage.shards import write_shard

#: By set: two sets that know different problems by one id, and share another. One problem has no rollouts.
PROBLEMS = {
    "main": (Problem("p", "1 + 1", "2"), Problem("q", "1 + 2", "3"), Problem("none", "2 + 2", "4")),
    "other": (Problem("p", "5 + 5", "10"), Problem("q", "1 + 2", "3")),
}


def stored(folder: str, name: str, record: type, rows: list[object]) -> Shard:
    shard = Shard(f"{folder}/{name}", 0, f"{folder}-{name}", PROBLEMS[name], "g")
    write_shard(shard.path(Path("results")), to_table(record, rows), shard.key)
    return shard


@pytest.mark.parametrize("labelled", [False, True])
def test_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labelled: bool) -> None:
    monkeypatch.chdir(tmp_path)
    base = find("trainers", "implicit").Params.model_validate({"base": "m"})
    nothing = {"rollouts": [], "grades": [], "passes": {"reference": []}, "labels": []}
    spec = Spec("trainers", "rm", "implicit", base, Pool(), "train")
    training = Training(who="rm", spec=spec, key="key", folder=tmp_path / "rm", **nothing)  # type: ignore[arg-type]
    expected = []
    for name, problems in PROBLEMS.items():
        answered = [p for p in problems if p.problem_id != "none"]
        who = [(p.problem_id, "g", i) for p in answered for i in range(2)]
        responses = [Response(*of, f"{name}\n{i}", 3, 2, "stop", 5) for i, of in enumerate(who)]
        grades = [Grade(*of, None, i % 2 == 0, "exact", 0) for i, of in enumerate(who)]
        # The last one was not read.
        passes = [TokenLogprobs(*of, (-0.5, -1.0 * i), (1, 2), 3) for i, of in enumerate(who[:-1])]
        passes.append(TokenLogprobs(*who[-1], (), (), 0))
        training.rollouts.append(stored("rollouts", name, Response, [*responses]))
        training.grades.append(stored("grades", name, Grade, [*grades]))
        training.passes["reference"].append(stored("passes", name, TokenLogprobs, [*passes]))
        steps: list[tuple[float, ...] | None] = [None] * len(who)
        if labelled and name == "main":  # of the second problem alone
            labels = [StepLabels(*of, (3, 0), (4, 0)) for of in who[2:]]
            shard = stored("labels", name, StepLabels, [*labels])
            training.labels.append(dataclasses.replace(shard, inputs={"responses": training.rollouts[-1]}))
            steps[2:] = [(0.75, math.nan)] * 2
        known = {p.problem_id: p for p in answered}
        if name == "other":
            known["p"] = dataclasses.replace(known["p"], problem_id="p~2")
        for response, grade, tokens, of_steps in zip(responses, grades, passes, steps, strict=True):
            solution = Solution(known[response.problem_id], response, {"reference": tokens})
            expected.append(GradedSolution(solution, grade.correct, of_steps))

    rollouts = pickle.loads(pickle.dumps(stored_rollouts(training, Path("results"))))
    monkeypatch.chdir("/")  # as a worker, which runs elsewhere
    assert [shard.problem_ids for shard in rollouts.shards] == [["p", "q"], ["p~2", "q"]]
    assert len(rollouts) == 8
    assert repr(list(rollouts)) == repr(expected)  # NaN is not equal to NaN
