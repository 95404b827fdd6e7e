"""Verifications in a run: stored as a stage of their own, shared, read, counted and charged to who asked for them."""

from __future__ import annotations

import json
import math
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import yaml
from model_server import Reply, completion, serving
from places import MODELS
from results_folder import write_results, write_rows
from runs import bonbench, contents, costs, table

from harness.analysis.ablation_tables import scoring_cost
from harness.analysis.costs import reward_model_costs
from harness.analysis.evaluation import Evaluation
from harness.analysis.verdicts import verdicts
from harness.core.components import Generator
from harness.core.errors import UserError
from harness.core.incomplete import Incomplete
from harness.core.params import ComponentParams
from harness.core.records import LedgerRow, Problem, Response, Sampling, Solution
from harness.core.stages import StageKind
from harness.core.verifications import Verifications
from harness.engine import tasks
from harness.engine.build import build_graph
from harness.engine.graph import Graph
from harness.experiment.config import Experiment
from harness.experiment.entries import build
from harness.storage.arrow import to_records, to_table
from harness.storage.results import load_results
from harness.storage.shards import shard_meta

#: Sample 2 of q is its sample 0 again.
TEXTS = {"p": ["4\n\nAnswer: 4", "Answer: 5", "none"], "q": ["Answer: 6", "Answer: 7", "Answer: 6"]}
YES, NO, HM = r"\boxed{yes}", r"\boxed{no}", "It may be."
REPLIES = {"p#0": [YES, NO], "p#1": [YES, HM], "p#2": [HM, HM], "q#0": [YES, YES], "q#1": [NO, NO]}
#: Of p the judge likes sample 1 best, and sample 0 more than sample 2; q it cannot decide.
REPLIES |= {f"p#{a},{b}": [r"\boxed{A}" if "102".index(str(a)) < "102".index(str(b)) else r"\boxed{B}"] for a, b in
            permutations(range(3), 2)}  # fmt: skip
REPLIES |= {f"q#{a},{b}": ["[[C]]"] for a, b in permutations(range(2), 2)}
REPLIES |= {f"p#all.{k}": [r"\boxed{1, 2, 3}"] for k in (1, 2)} | {f"q#all.{k}": [r"\boxed{2, 1}"] for k in (1, 2)}
REPLIES |= {f"p#0.{k}": [text, text] for k, text in ((1, YES), (2, NO))}
REPLIES |= {f"{id_}.1": REPLIES[id_] for id_ in ("p#1", "p#2", "q#0", "q#1")}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An experiment on recorded responses whose judge's replies are recorded too."""
    lines = [
        {"problem_id": id_, "problem": f"What is {id_}?", "gold": "4", "samples": [{"text": text} for text in texts]}
        for id_, texts in TEXTS.items()
    ]
    (tmp_path / "responses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    replies = [
        {"problem_id": id_, "text": text, "sample": i, "n_prompt_tokens": 10, "n_tokens": 5}
        for id_, texts in REPLIES.items()
        for i, text in enumerate(texts)
    ]
    (tmp_path / "replies.jsonl").write_text("".join(json.dumps(reply) + "\n" for reply in replies))
    experiment = {
        "name": "judged",
        "output": str(tmp_path / "out"),
        "problems": {"test": {"dataset": "responses", "path": str(tmp_path / "responses.jsonl")}},
        "generators": {
            "recorded": {"type": "replay", "path": str(tmp_path / "responses.jsonl")},
            "judge": {"type": "replay", "path": str(tmp_path / "replies.jsonl"), "evaluate": False},
        },
        "reward_models": {
            "plain": {"type": "generative", "generator": "judge", "verifications": 2},
            "graded": {"type": "generative", "generator": "judge", "verifications": 2, "readout": "grade"},
            "pairs": {"type": "generative", "generator": "judge", "preset": "pairwise"},
        },
        "evaluation": {"n": [1, 3], "bootstrap": 10},
    }
    (tmp_path / "judged.yaml").write_text(yaml.safe_dump(experiment))
    return tmp_path / "judged.yaml"


def scores(results: Path, name: str) -> dict[str, list[list[float]]]:
    rows = table(results, f"scores/{name}")
    return {id_: [list(r) for r in rows[rows.problem_id == id_].step_rewards] for id_ in TEXTS}


@pytest.mark.thorough
def test_a_run_with_judges(config: Path) -> None:
    results = config.parent / "out"
    assert bonbench("run", config, "--local", "--until", "score").code == 0
    # The mean of the verdicts that can be read; none for p's sample 2, whose replies cannot be read.
    assert scores(results, "plain") == {"p": [[0.5], [1.0], []], "q": [[1.0], [0.0], [1.0]]}
    assert scores(results, "pairs") == {"p": [[0.5], [1.0], [0.0]], "q": [[0.5], [0.5], [0.5]]}
    assert scores(results, "graded") == {"p": [[], [], []], "q": [[], [], []]}
    # Two entries that ask the same share the replies. Equal responses are asked about once.
    assert sorted(p.name for p in (results / "verifications").iterdir()) == ["judge-judge", "judge-pairwise"]
    assert sorted(table(results, "verifications/judge-judge").problem_id.unique()) == [
        "p#0",
        "p#1",
        "p#2",
        "q#0",
        "q#1",
    ]
    meta = shard_meta(next((results / "scores" / "plain").rglob("*.parquet")))
    assert meta["verdicts"] == {"read": 7, "unreadable": 3}

    before = contents(results)
    raw = yaml.safe_load(config.read_text())
    raw["reward_models"]["steps"] = {"type": "generative", "generator": "judge", "per": "step", "verifications": 2}
    ranks = {"type": "generative", "generator": "judge", "preset": "listwise", "verifications": 2}
    raw["reward_models"]["ranks"] = ranks
    config.write_text(yaml.safe_dump(raw))
    done = bonbench("run", config, "--local", "--until", "score")
    assert done.code == 0 and "Computed 4 shards" in done.out + done.err
    after = contents(results)
    assert all(after[name] == content for name, content in before.items())
    assert scores(results, "steps")["p"] == [[1.0, 0.0], [1.0], []]
    asked = Verifications(generator="judge", template="x", per="group", n=2)
    about = [Solution(Problem("p", "What is p?", ""), Response("p", "g", i, t)) for i, t in enumerate(TEXTS["p"])]
    orders = [[s.response.text for s in question.about] for question in asked.questions(about)]
    expected = [[sum((2 - order.index(text)) / 2 for order in orders) / 2] for text in TEXTS["p"]]
    assert scores(results, "ranks")["p"] == expected

    stored = load_results(results)
    counted = {row.reward_model: row for row in verdicts(stored)}
    plain = counted["plain"]
    assert (plain.replies, plain.read, plain.unreadable, plain.cut_off, plain.too_long) == (10, 7, 3, 0, 0)
    assert plain.share == pytest.approx(0.3) and counted["pairs"].share == 0
    # Each is charged for the replies that it reads, shared or not.
    charged = reward_model_costs(stored).set_index("reward_model")
    tokens = {name: int(charged.loc[name].completion_tokens) for name in ("plain", "graded", "pairs", "steps", "ranks")}
    assert tokens == {"plain": 50, "graded": 50, "pairs": 40, "steps": 60, "ranks": 20}
    assert charged.loc["plain"].prompt_tokens == 50  # a question is read once for its replies
    assert set(costs(results).stage) == {"sample", "grade", "verify", "score"}


def graph(config: Path, **change: Any) -> Graph:
    raw = yaml.safe_load(config.read_text())
    raw["generators"]["own"] = {"type": "transformers", "model": str(MODELS / "middle"), "evaluate": False}
    raw["reward_models"] = {"rm": {"type": "generative", "generator": "own", **change}}
    return build_graph(Experiment.model_validate(raw))


def keys(of: Graph, kind: StageKind) -> list[str]:
    return [shard.key for stage in of.stages if stage.kind is kind for shard in stage.shards]


def test_what_changes_the_replies_and_what_the_scores_alone(config: Path) -> None:
    plain = graph(config)
    other = graph(config, preset="grader", readout="yes-no")
    assert keys(other, StageKind.VERIFY) != keys(plain, StageKind.VERIFY)
    for change in ({"temperature": 1.0}, {"max_tokens": 99}, {"verifications": 2}, {"system": "Judge."}):
        assert keys(graph(config, **change), StageKind.VERIFY) != keys(plain, StageKind.VERIFY)
    for change in ({"readout": "grade"}, {"readout": "grade", "best": 5}):
        assert keys(graph(config, **change), StageKind.VERIFY) == keys(plain, StageKind.VERIFY)
        assert keys(graph(config, **change), StageKind.SCORE) != keys(plain, StageKind.SCORE)
    template = config.parent / "own.jinja"
    template.write_text("{{ problem }} {{ response }}?")
    first = graph(config, question=str(template))
    template.write_text("{{ problem }} {{ response }}!")
    assert keys(graph(config, question=str(template)), StageKind.VERIFY) != keys(first, StageKind.VERIFY)


def test_a_judge_is_a_generator_a_model_or_an_entry(config: Path) -> None:
    model = str(MODELS / "middle")
    inline = {"type": "openai", "model": "big", "system_prompt": "Judge."}
    for generator, type_ in (("own", "transformers"), (model, "transformers"), (inline, "openai")):
        stage = next(s for s in graph(config, generator=generator).stages if s.kind is StageKind.VERIFY)
        assert stage.spec.type_ == type_
    # Where a server is does not matter, what is asked there does.
    moved = graph(config, generator={**inline, "base_url": "http://other:8000/v1"})
    assert keys(moved, StageKind.VERIFY) == keys(graph(config, generator=inline), StageKind.VERIFY)
    assert keys(moved, StageKind.SCORE) == keys(graph(config, generator=inline), StageKind.SCORE)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"generator": "owm"}, "'owm' is no model folder, no hub id and no name in this experiment; did you mean own"),
        ({"generator": None}, "generator or model: one of them is needed"),
        ({"model": "own"}, "generator or model: one of them is needed"),
        ({"readout": "first-token"}, "say model instead of generator"),
        ({"generator": None, "model": "own", "readout": "yes-no"}, "say generator instead of model"),
        ({"per": "step", "readout": "labels"}, "per: labels is not about single steps"),
        ({"verifications": 4, "temperature": 0}, "temperature: 0 gives the same reply 4 times"),
        ({"readout": "grade", "best": 0}, "best: 0 is the worst grade too"),
        ({"question": "no.jinja"}, "no.jinja: no such file"),
        ({"preset": "thinkprm", "generator": {"type": "openai", "model": "x"}}, "cannot go on from the beginning"),
        ({"generator": {"type": "openai"}}, "generator.model: missing"),
        ({"generator": {"model": "x"}}, "generator: type: missing"),
        ({"preset": "judgd"}, "preset: input should be 'judge'"),
    ],
)
def test_mistakes_in_an_entry(config: Path, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=r"reward_models\.rm") as refused:
        graph(config, **change)
    assert complaint in str(refused.value) and "\n" not in str(refused.value)


def test_a_trained_verifier_may_answer_in_words(config: Path) -> None:
    """It is the generator of the replies, and who reads them carries the cost of its training."""
    raw = yaml.safe_load(config.read_text())
    raw["problems"]["train"] = {"dataset": "pocket", "split": "train", "limit": 4}
    raw["generators"]["own"] = {"type": "transformers", "model": str(MODELS / "middle"), "evaluate": False}
    raw["rollouts"] = {"generator": "own", "n": 2}
    raw["reward_models"] = {
        "verifier": {"type": "generative", "train": {"base": "own", "answer_yes": "+", "answer_no": "-"}},
        "in-words": {"type": "generative", "generator": "verifier", "max_tokens": 1},
    }
    made = build_graph(Experiment.model_validate(raw))
    training = made.trainings["verifier"]
    params = made.reward_models["verifier"].params
    assert params.model == str(training.folder) and (params.answer_yes, params.answer_no) == ("+", "-")
    assert made.verifications["in-words"].trained == [training]
    assert [made.trained_by(made.reward_models[name]) for name in ("verifier", "in-words")] == [training, training]


def test_a_solvers_words_around_problems_are_not_put_around_questions(config: Path) -> None:
    raw = yaml.safe_load(config.read_text())
    solver = {"type": "transformers", "model": str(MODELS / "middle"), "user_template": "Solve: {problem}"}
    raw["generators"] |= {"solver": solver, "asks": {**solver, "evaluate": False}}
    raw["sampling"] = {"n": 3}
    raw["reward_models"] = {"rm": {"type": "generative", "generator": "solver"}}
    with pytest.raises(UserError, match="solver says its user_template around every prompt"):
        build_graph(Experiment.model_validate(raw))
    raw["reward_models"]["rm"]["generator"] = "asks"  # an entry of the judge's own may say what it likes
    judge = build_graph(Experiment.model_validate(raw)).verifications["rm"].spec
    assert judge.params.user_template == "Solve: {problem}"


def test_too_few_recorded_replies_fail_in_a_line(config: Path) -> None:
    entry = {"type": "replay", "path": str(config.parent / "replies.jsonl")}
    spec = build("generators", "judge", entry, "judge", {})
    asked = Verifications(generator="judge", template="{{ problem }} {{ response }}", n=3)
    problems = to_table(Problem, [Problem("p", "What is p?", "")])
    responses = to_table(Response, [Response("p", "g", 0, "4")])
    with pytest.raises(UserError, match=r"^judge: 2 replies to question 'p#0' are recorded, 3 wanted$"):
        tasks.verify(spec.cls(spec.params, "judge"), problems, responses, asked, run_seed=0)


class Hosted(Generator[ComponentParams]):
    """Says yes to whatever it is asked, and not what it is."""

    def generate(self, problems: Any, sampling: Sampling, seeds: Any) -> list[Response]:
        return [Response(p.problem_id, self.name, i, YES, 9, 4, "stop") for p in problems for i in range(sampling.n)]


def test_what_a_server_computes_is_not_known(tmp_path: Path) -> None:
    asked = Verifications("judge", "{{ problem }} {{ response }}", n=2)
    problems, responses = [Problem("p", "What is p?", "")], [Response("p", "g", 0, "4")]
    hosted = Hosted(ComponentParams(), "judge")
    result = tasks.verify(hosted, to_table(Problem, problems), to_table(Response, responses), asked, run_seed=0)
    assert (result.prompt_tokens, result.completion_tokens) == (9, 8) and math.isnan(result.flops)
    models = {"hosted": {"verifications": "hosted-judge"}, "own": {"verifications": "own-judge"}}
    folder = write_results(tmp_path / "r", models)
    sampled = LedgerRow("sample", "weak", "m", "cpu", 100, 1000, 0, 1e9, 8.0, 5.0)
    write_rows(folder / "ledger" / "responses" / "weak", LedgerRow, [sampled], 1)
    for what, flops in (("hosted-judge", math.nan), ("own-judge", 25e7)):
        row = LedgerRow("verify", what, "", "", 9, 8, 0, flops, 2.0, 5.0)
        write_rows(folder / "ledger" / "verifications" / what / "weak", LedgerRow, [row], 1)
    results = load_results(folder)
    charged = reward_model_costs(results).set_index("reward_model")
    assert list(charged.completion_tokens) == [8, 8] and list(charged.flops.isna()) == [True, False]
    assert charged.plain_flops.isna().loc["hosted"]
    table4 = scoring_cost(Evaluation.of(results))
    assert table4 is not None
    shares = {row.labels[1]: row.values for row in table4.rows}
    assert shares["own"] == (0.25, 0.25) and shares["hosted"][0] == 0.25 and math.isnan(shares["hosted"][1])


class Failing(Hosted):
    """Fails on the questions that hold a word, until it does not."""

    fails = True

    def generate(self, problems: Any, sampling: Sampling, seeds: Any) -> list[Response]:
        bad = [p.problem_id for p in problems if self.fails and "hard" in p.problem]
        made = super().generate([p for p in problems if p.problem_id not in bad], sampling, seeds)
        if bad:
            raise Incomplete(made, dict.fromkeys(bad, "refused"))
        return made


def test_a_question_that_fails_costs_its_problem_alone() -> None:
    asked = Verifications("judge", "{{ problem }} {{ response }}", n=2)
    problems = to_table(Problem, [Problem("p", "What is p?", ""), Problem("q", "What is q?", "")])
    texts = {"p": ["4", "a hard one"], "q": ["5"]}
    responses = to_table(Response, [Response(p, "g", i, t) for p, ts in texts.items() for i, t in enumerate(ts)])
    judge = Failing(ComponentParams(), "judge")
    first = tasks.verify(judge, problems, responses, asked, run_seed=0)
    assert first.missing == {"p": "question 'p#1': refused"}
    stored = [(r.problem_id, r.sample) for r in to_records(Response, first.table)]
    assert stored == [("p#0", 0), ("p#0", 1), ("q#0", 0), ("q#0", 1)]
    judge.fails = False
    again = tasks.verify(judge, problems, responses, asked, run_seed=0, kept=first.table)
    whole = tasks.verify(judge, problems, responses, asked, run_seed=0)
    assert again.missing == {} and again.table.equals(whole.table)


def test_a_judge_behind_a_server(config: Path) -> None:
    """A question that it refuses costs its problem, until the next run asks again, and for that question alone."""
    refuses = [True]

    def answer(body: dict[str, Any]) -> Reply:
        system, question = (turn["content"] for turn in body["messages"])
        assert system == "Be strict." and "Proposed solution:" in question
        if "Answer: 7" in question and refuses[0]:
            return Reply({"error": "I will not say"}, 400)
        return Reply(completion(YES if "Answer: 5" in question else NO))

    with serving(answer) as server:
        raw = yaml.safe_load(config.read_text())
        judge = {"type": "openai", "model": "served", "base_url": server.url, "tries": 1}
        raw["reward_models"] = {"rm": {"type": "generative", "generator": judge, "system": "Be strict."}}
        config.write_text(yaml.safe_dump(raw))
        results = config.parent / "out"
        done = bonbench("run", config, "--local", "--until", "score")
        assert done.code == 1 and "I will not say" in done.out + done.err
        assert scores(results, "rm") == {"p": [[0.0], [1.0], [0.0]], "q": []}
        refuses[0] = False
        asked = len(server.asked)
        assert bonbench("run", config, "--local", "--until", "score").code == 0
        assert len(server.asked) == asked + 1
        assert scores(results, "rm") == {"p": [[0.0], [1.0], [0.0]], "q": [[0.0]] * 3}


def test_a_model_writes_the_same_replies_whatever_else_is_asked() -> None:
    """And a reply goes on from its beginning; a question that is too long has none."""
    spec = build("generators", "judge", {"type": "transformers", "model": str(MODELS / "weak")}, "judge", {})
    judge = spec.cls(spec.params, "judge")
    problems = [Problem("p", "Compute 3 + 4.", ""), Problem("q", "Compute " + "3 + " * 300 + "4.", "")]
    responses = [Response("p", "g", 0, "Answer: 7"), Response("p", "g", 1, "Answer: 8"), Response("q", "g", 0, "8")]
    asked = Verifications(
        generator="judge",
        template="{{ problem }} {{ response }}",
        n=2,
        temperature=1.0,
        max_tokens=12,
        begins="Step 1: ",
    )

    def replies(some: list[Response]) -> dict[tuple[str, int], Response]:
        result = tasks.verify(judge, to_table(Problem, problems), to_table(Response, some), asked, run_seed=0)
        return {(r.problem_id, r.sample): r for r in to_records(Response, result.table)}

    together = replies(responses)
    assert set(together) == {(f"p#{i}", j) for i in range(2) for j in range(2)}
    assert replies(responses[1:]) == {key: r for key, r in together.items() if key[0] == "p#1"}
    prompt = judge.codec.encode("Compute 3 + 4. Answer: 7", "Step 1: ")
    assert together["p#0", 0].n_prompt_tokens == len(prompt)
    assert len({r.text for r in together.values()}) > 1
