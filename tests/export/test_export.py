"""`bonbench export`: what another team reads back is what was there, and what is not there is said."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from results_folder import GENERATORS, N_PROBLEMS, N_SAMPLES, write_results
from runs import bonbench

from bonbench.generators.hub import HubGenerator, HubGeneratorParams
from bonbench.reward_models.recorded import RecordedParams, RecordedScores
from harness.analysis.compute_accuracies import compute_accuracies
from harness.core.errors import UserError
from harness.core.records import Grade, Problem, Response, Sampling, Solution, StepScores
from harness.data.export_facts import FACTS, as_exported, read_facts
from harness.data.export_folder import ExportFolder
from harness.data.response_files import open_recorded, read_recorded
from harness.engine.build import build_graph
from harness.experiment.config import Experiment
from harness.experiment.model_files import Artifacts
from harness.export import parts
from harness.export.names import safe_names
from harness.export.rows import GeneratorRows, response_scores
from harness.export.shareable import code
from harness.export.write import export
from harness.storage.arrow import to_records, to_table
from harness.storage.results import load_results
from harness.storage.shards import read_shard, shard_files, write_shard

#: Names like those of columns, and one that is the beginning of another.
MODELS: dict[str, dict[str, Any]] = {
    "text": {"aggregation": "mean", "coefficient": 0.3},
    "v0": {"score_type": "probability", "aggregation": "prod"},
    "v0.1": {"score_type": "unbounded", "reward": "ORM", "aggregation": "last", "coefficient": 2.0},
    "score": {"reads": "answer"},
}


def changed(folder: Path, record: type, change: Any, meta: dict[str, Any] | None = None) -> None:
    """Change the records of a folder of results; ``change`` is given all of a shard, with their number."""
    for path in shard_files(folder):
        rows = to_records(record, read_shard(path))
        write_shard(path, to_table(record, list(filter(None, map(change, rows)))), "key", meta)


def squashed(row: StepScores) -> StepScores:
    return replace(row, step_rewards=tuple(1 / (1 + math.exp(-reward)) for reward in row.step_rewards))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generators, four reward models and two verifiers, with all that a column may hold."""
    folder = write_results(
        tmp_path_factory.mktemp("run") / "results",
        MODELS,
        n=N_SAMPLES,
        second_verifier={"type": "judge"},
        config={
            "sampling": {"n": N_SAMPLES, "temperature": 0.7},
            "generators": {"weak": {"model": "/home/me/w", "base_url": "http://10.0.0.1/v1"}, "strong": {}},
        },
        generators={
            "weak": {"type": "replay", "model": "/home/me/`w` | <script>"},
            "strong": {"type": "/home/me/s.py:S"},
        },
        versions={"bonbench": "0", "<b>": "``x``"},
    )

    def response(row: Response) -> Response:
        match row.problem_id, row.sample:
            case "p00", 0:
                return replace(row, text="", token_ids=(), n_tokens=0, finish_reason="length", seed=None)
            case "p00", 1:
                return replace(row, token_ids=(5, 2**40), seed=2**62)
        return replace(row, text=f"{row.text}{row.generator}{row.sample}\x00")

    def score(row: StepScores) -> StepScores:
        match row.problem_id, row.sample:
            case "p01", 0:
                return replace(row, step_rewards=(), step_ends=(), n_tokens=0)
            case "p01", 1:
                return replace(row, step_ends=None)
            case "p01", 2:
                return replace(row, step_rewards=(0.1 + 0.2,), step_ends=(3,), n_tokens=7)
        return row

    changed(folder / "problems" / "test", Problem, lambda p: replace(p, level=None) if p.problem_id == "p03" else p)
    for generator in GENERATORS:
        changed(folder / "responses" / generator, Response, response)
        changed(folder / "scores" / "v0" / generator, StepScores, squashed)
        changed(folder / "scores" / "text" / generator, StepScores, score, {"unscored_because": "it is too long"})
        shutil.copytree(folder / "grades" / generator, folder / "second-grades" / generator)
        changed(
            folder / "second-grades" / generator, Grade, lambda g: replace(g, correct=g.sample % 2 == 0, reason="b")
        )
    return folder


@pytest.fixture(scope="module")
def small_parts() -> Iterator[None]:
    """Groups of rows, and files, that end within the responses to a problem."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "ROWS_PER_GROUP", 7)
        patch.setattr(parts, "GROUPS_PER_FILE", 5)
        yield


@pytest.fixture(scope="module")
def exported(results: Path, small_parts: None) -> Path:
    folder = results.parent / "exported"
    done = bonbench("export", results, "-o", folder, "--license", "cc-by-4.0")
    assert done.code == 0 and "not there" not in done.err, done
    return folder


@pytest.fixture(scope="module")
def again(exported: Path) -> Path:
    """What the card's experiment makes of the folder."""
    (block,) = re.findall(r"```yaml\n(name:.*?)```", (exported / "README.md").read_text(), re.DOTALL)
    (exported / "again.yaml").write_text(block)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(exported)
        done = bonbench("run", "again.yaml", "--local", "--until", "score", "--set", "problems_per_shard=5")
    assert done.code == 0, done.err
    return exported / "results" / "tiny"


def stored(folder: Path, record: type) -> list[Any]:
    return [row for path in shard_files(folder) for row in to_records(record, read_shard(path))]


def test_what_is_read_back_is_what_was_there(results: Path, again: Path) -> None:
    folders = [("problems/test", Problem)]
    folders += [(f"{kind}/{g}", Grade) for kind in ("grades", "second-grades") for g in GENERATORS]
    folders += [(f"responses/{g}", Response) for g in GENERATORS]
    folders += [(f"scores/{model}/{g}", StepScores) for model in MODELS for g in GENERATORS]
    for name, record in folders:
        assert stored(again / name, record) == stored(results / name, record), name
    before, after = load_results(results), load_results(again)
    assert compute_accuracies(after).table() == compute_accuracies(before).table()
    assert list(after.manifest.reward_models) == list(MODELS)
    assert after.unscored("text", "weak") == before.unscored("text", "weak")


def test_what_is_read_back_is_exported_to_the_same_bytes(exported: Path, again: Path, tmp_path: Path) -> None:
    """Though its shards are others. The card and ``export.json`` tell of the run that they are of."""
    export(again, tmp_path / "twice", "unknown", lambda _: None)
    files = sorted(file.relative_to(exported) for file in exported.glob("**/*.parquet") if "results" not in file.parts)
    assert len(files) == 1 + 2 * 3
    for file in files:
        assert (tmp_path / "twice" / file).read_bytes() == (exported / file).read_bytes(), file
    assert read_facts(tmp_path / "twice") == read_facts(exported)


def test_the_files_say_what_is_stored(results: Path, exported: Path) -> None:
    rows = pa.concat_tables(pq.read_table(exported / name) for name in read_facts(exported).generators["weak"].files)
    by_place = {(row["problem_id"], row["sample"]): row for row in rows.to_pylist()}
    assert len(by_place) == N_PROBLEMS * N_SAMPLES
    for grade in stored(results / "grades" / "weak", Grade):
        row = by_place[grade.problem_id, grade.sample]
        assert [row[c] for c in ("extracted", "correct", "answer_class")] == [
            grade.extracted,
            grade.correct,
            grade.answer_class,
        ]
        assert row["second_verifier/correct"] == (grade.sample % 2 == 0)
    how = {"text": lambda r: sum(r) / len(r), "v0": math.prod, "v0.1": lambda r: r[-1], "score": min}
    for model, total in how.items():
        for score in stored(results / "scores" / model / "weak", StepScores):
            row = by_place[score.problem_id, score.sample]
            assert row[f"{model}/step_rewards"] == list(score.step_rewards)
            expected = total(score.step_rewards) if score.step_rewards else None
            assert row[f"{model}/score"] == (None if expected is None else pytest.approx(expected, rel=1e-15))


def test_the_library_of_data_sets_reads_it(
    results: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    assert datasets.load_dataset(str(exported), "problems", split="test")["problem_id"][3] == "p03"
    assert set(datasets.load_dataset(str(exported), split="test")["generator"]) == {"weak"}
    params = HubGeneratorParams(path=str(exported), config="strong", split="test")
    problems = stored(results / "problems" / "test", Problem)[::-1]
    assert HubGenerator.available_samples(params, problems) == {p.problem_id: N_SAMPLES for p in problems}
    made = HubGenerator(params, "strong").generate(problems, Sampling(n=3), {})
    of = {(r.problem_id, r.sample): r for r in stored(results / "responses" / "strong", Response)}
    assert made == [of[p.problem_id, i] for p in problems for i in range(3)]


def test_a_file_alone_is_one_of_flat_responses(results: Path, exported: Path) -> None:
    recorded = read_recorded(exported / "responses" / "weak-00001-of-00003.parquet")
    texts = {(r.problem_id, r.sample): r.text for r in stored(results / "responses" / "weak", Response)}
    assert recorded.counts["weak"]["p05"] == N_SAMPLES
    assert [s.text for s in recorded.samples(Problem("p05", "", ""))] == [texts["p05", i] for i in range(N_SAMPLES)]


def test_the_card_is_no_markup_of_others_and_names_no_place(exported: Path) -> None:
    card = (exported / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == "cc-by-4.0"
    assert [config["config_name"] for config in front["configs"]] == ["problems", *GENERATORS]
    assert "| `weak` | `replay` | `` `w` \\| <script> `` |" in card
    assert "| `strong` | `s.py:S` |" in card
    assert "``` ``x`` ```" in card and "temperature: 0.7" in card
    assert "/home" not in card and "10.0.0.1" not in card
    assert code("a\n# b\u202e") == "`a # b\\u202e`"


def test_a_key_is_of_what_is_read(exported: Path, again: Path, tmp_path: Path) -> None:
    """Neither the card nor results within the folder change it."""
    copy = shutil.copytree(exported, tmp_path / "copy", ignore=shutil.ignore_patterns("results", "README.md", "*.yaml"))
    assert Artifacts().id(str(copy)) == Artifacts().id(str(exported))
    facts = json.loads((copy / FACTS).read_text())
    facts["reward_models"]["v0"]["coefficient"] = 7
    (copy / FACTS).write_text(json.dumps(facts))
    assert Artifacts().id(str(copy)) != Artifacts().id(str(exported))


def test_scores_of_other_generators_are_those_of_the_same_text(results: Path, exported: Path, tmp_path: Path) -> None:
    model = RecordedScores(RecordedParams(path=str(exported), model="text"), "mine")
    assert (model.aggregation, model.score_type, model.coefficient) == ("mean", "log-ratio", 0.3)
    problem = Problem("p02", "", "")
    response = stored(results / "responses" / "strong", Response)[2 * N_SAMPLES + 5]
    (score,) = model.score([Solution(problem, replace(response, generator="theirs"))])
    assert (
        score.step_rewards == stored(results / "scores" / "text" / "strong", StepScores)[2 * N_SAMPLES + 5].step_rewards
    )
    with pytest.raises(UserError, match="no sample 5 of problem 'p02' by weak as it is here"):
        model.score([Solution(problem, replace(response, generator="weak"))])
    with pytest.raises(UserError, match=r"several generators wrote sample 0 of problem 'p00': call .* weak, strong"):
        model.score([Solution(Problem("p00", "", ""), Response("p00", "theirs", 0, ""))])


def test_what_is_not_there_is_said_and_left_out(results: Path, tmp_path: Path) -> None:
    partial = shutil.copytree(results, tmp_path / "partial")
    (partial / "scores" / "v0" / "weak" / "part-00001.parquet").unlink()
    (partial / "grades" / "strong" / "part-00000.parquet").unlink()
    changed(partial / "scores" / "score" / "strong", StepScores, lambda s: None if s.problem_id == "p01" else s)
    changed(partial / "scores" / "text" / "weak", StepScores, lambda s: replace(s, step_rewards=(math.nan, 1.0)))
    changed(partial / "responses" / "weak", Response, lambda r: None if r.problem_id == "p05" else r)
    manifest = json.loads((partial / "manifest.json").read_text())
    manifest["config"]["generators"] |= {"lost": {}, "rollouts": {"evaluate": False}}
    manifest["config"]["reward_models"] = {"text": {}, "gone": {}}
    (partial / "manifest.json").write_text(json.dumps(manifest))
    done = bonbench("export", partial, "-o", tmp_path / "out")
    n = N_PROBLEMS * N_SAMPLES
    said = [line.removeprefix("not there: ") for line in done.err.splitlines() if line.startswith("not there")]
    assert done.code == 1 and said == [
        "lost: no responses",
        "weak: no responses to 1 problems",
        f"strong: no grades of {n // 2} responses",
        "gone: no scores",
        f"text: step rewards of {n - N_SAMPLES} responses are no finite numbers",
        f"v0: no scores of {n // 2} responses",
        f"score: no scores of {N_SAMPLES} responses",
    ]
    assert all(f"- `{line}`" in (tmp_path / "out" / "README.md").read_text() for line in said)
    # What is whole is compared, of the problems that everybody answered; it is graded again.
    entries = as_exported(str(tmp_path / "out"), read_facts(tmp_path / "out"))
    assert list(entries["reward_models"]) == ["v0.1"] and "verifier" not in entries
    graph = build_graph(Experiment.model_validate({"name": "x", "responses": str(tmp_path / "out")}))
    assert [p.problem_id for p in graph.problems["test"]] == [f"p{i:02d}" for i in range(N_PROBLEMS) if i != 5]
    with pytest.raises(UserError, match=rf"{n // 2} responses have no scores of v0"):
        RecordedScores.check(RecordedParams(path=str(tmp_path / "out"), model="v0"))
    rows = pq.read_table(tmp_path / "out" / "responses" / "strong-00000-of-00003.parquet").to_pylist()
    assert {row["problem_id"] for row in rows if row["score/step_rewards"] is None} == {"p01"}


def test_nothing_is_overwritten_and_nothing_is_left_half(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*more: object, to: Path = tmp_path / "out") -> str:
        done = bonbench("export", results, "-o", to, *more)
        assert done.code == 2 and len(done.err.splitlines()) == 1, done
        return done.err

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    (tmp_path / "file").write_text("")
    assert "mine: the folder is not empty, and nothing is overwritten" in refused(to=tmp_path / "mine")
    assert "file: something else is there" in refused(to=tmp_path / "file")
    assert "an id of the hub is expected" in refused("--license", "CC BY")
    assert "hub:OWNER/NAME is expected" in refused("--to", "hub:mine")
    (tmp_path / "out.tmp").mkdir()
    assert "out.tmp: another export is writing there, or was killed" in refused()
    (tmp_path / "out.tmp").rmdir()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert "it is the working directory" in refused(to=Path("."))

    def stop(rows: GeneratorRows) -> Iterator[pa.Table]:
        yield next(whole(rows))
        raise KeyboardInterrupt

    whole = GeneratorRows.tables
    with monkeypatch.context() as patch:
        patch.setattr(GeneratorRows, "tables", stop)
        assert bonbench("export", results, "-o", tmp_path / "empty").code == 2  # the working directory
        monkeypatch.chdir(tmp_path)
        assert bonbench("export", results, "-o", tmp_path / "empty").code == 130
        assert bonbench("export", results, "-o", tmp_path / "new").code == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "mine"]
    assert bonbench("export", results, "-o", tmp_path / "empty").code == 0
    manifest = (
        shutil.copytree(results, tmp_path / "hostile", ignore=shutil.ignore_patterns("*.parquet")) / "manifest.json"
    )
    manifest.write_text(manifest.read_text().replace('"weak"', '"../weak"'))
    done = bonbench("export", tmp_path / "hostile", "-o", tmp_path / "out")
    assert done.code == 2 and "'../weak' cannot name a folder" in done.err


def edited(folder: Path, change: Any, part: int = 0) -> None:
    path = folder / "responses" / f"weak-{part:05d}-of-00003.parquet"
    pq.write_table(change(pq.read_table(path)), path)


DAMAGE: dict[str, tuple[Any, str]] = {
    "a file is lost": (lambda f: next((f / "responses").glob("weak-00001*")).unlink(), "no such file: is the folder"),
    "problems are lost": (lambda f: (f / "problems.parquet").unlink(), "problems.parquet: no such file"),
    "a file is cut": (
        lambda f: (p := next((f / "responses").glob("weak-00000*"))).write_bytes(p.read_bytes()[:-9]),
        "cannot be read: .*is the file complete",
    ),
    "rows are lost": (lambda f: edited(f, lambda t: t.slice(0, 8), 2), "78 responses of weak of 96: "),
    "rows are shuffled": (lambda f: edited(f, lambda t: t.take([1, 0, *range(2, len(t))])), "order of their samples"),
    "a column is lost": (lambda f: edited(f, lambda t: t.drop_columns(["v0/score"])), "no column 'v0/score'"),
    "a text is null": (
        lambda f: edited(f, lambda t: t.set_column(3, "text", pa.nulls(len(t), pa.string()))),
        "the column 'text' has nulls",
    ),
    "samples are words": (
        lambda f: edited(f, lambda t: t.set_column(2, "sample", pa.array(["x"] * len(t)))),
        "cannot be read: ",
    ),
    "a path leads out": (
        lambda f: (f / FACTS).write_text((f / FACTS).read_text().replace("responses/weak-00000", "../weak-00000")),
        "generators.weak.files: '../weak-00000.*no Parquet file of this folder",
    ),
    "the facts are none": (lambda f: (f / FACTS).write_text("[]"), f"{FACTS}: "),
    "it is of a later format": (
        lambda f: (f / FACTS).write_text((f / FACTS).read_text().replace('"format": 1', '"format": 2')),
        "format: input should be 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_folder_that_is_not_as_it_was_written(exported: Path, tmp_path: Path, damage: str) -> None:
    change, says = DAMAGE[damage]
    copy = shutil.copytree(exported, tmp_path / "copy", ignore=shutil.ignore_patterns("results"))
    change(copy)
    with pytest.raises(UserError, match=says) as error:
        folder = open_recorded(copy)
        assert isinstance(folder, ExportFolder)
        for problem in folder.problems:
            folder.samples(problem, "weak")
    assert len(str(error.value).splitlines()) == 1


def test_names_become_files_that_no_system_confuses() -> None:
    names = ["weak", "Weak", "WEAK-2", "é/..", "..", "__hidden", "problems", "con" * 90]
    safe = list(safe_names(names, ["problems"]).values())
    assert len({name.casefold() for name in safe} | {"problems"}) == len(names) + 1
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,110}", name) for name in safe)


def test_scores_of_rewards_in_any_state() -> None:
    rewards = pa.array([None, [], [1.0, 3.0], [math.nan, 1.0], [1e308, 1e308], [2.0]], pa.list_(pa.float64()))
    scores, not_finite = response_scores(rewards, "sum", "unbounded")
    assert scores.to_pylist() == [None, None, 4.0, None, None, 2.0] and not_finite == 1
    assert response_scores(rewards, "prod", "unbounded")[0].null_count == 6
    assert response_scores(rewards.slice(0, 0), "min", "unbounded")[0].to_pylist() == []
    assert response_scores(rewards.slice(2, 1), "mean", "unbounded")[0].to_pylist() == [2.0]


def test_several_sets_are_read_back_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sets that call different problems the same."""
    monkeypatch.chdir(tmp_path)
    texts = {"one": ["1 + 1?", "1 + 2?"], "two": ["2 + 1?", "2 + 2?"], "zero": ["0 + 1?"]}
    rows = []
    for set_, problems in texts.items():
        asked = [{"problem_id": f"p{i}", "problem": text, "gold": str(i)} for i, text in enumerate(problems)]
        Path(f"{set_}.jsonl").write_text(
            "".join(json.dumps({**row, "samples": [{"text": "1"}]}) + "\n" for row in asked)
        )
        for row in asked:
            samples = [{"text": f"\\boxed{{{k}}}", "step_scores": {"prm": [len(rows) / 7 + k / 9]}} for k in range(3)]
            id_ = row["problem_id"] if set_ == "one" else f"{set_}:{row['problem_id']}"
            rows.append({**row, "problem_id": id_, "samples": samples})
    Path("all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    experiment = {
        "name": "sets",
        "responses": "all.jsonl",
        "problems": {name: {"dataset": "responses", "path": f"{name}.jsonl"} for name in texts},
        "evaluation": {"problems": list(texts), "n": [1, 2]},
    }
    Path("sets.yaml").write_text(yaml.safe_dump(experiment))
    assert bonbench("run", "sets.yaml", "--local", "--until", "score").code == 0
    done = bonbench("export", "results/sets", "-o", "out")
    assert done.code == 0, done.err
    Path("again.yaml").write_text("{name: again, responses: out, evaluation: {n: [1, 2]}}")
    done = bonbench("run", "again.yaml", "--local", "--until", "score")
    assert done.code == 0, done.err
    before, after = load_results(Path("results/sets")), load_results(Path("results/again"))
    assert compute_accuracies(after).table() == compute_accuracies(before).table()
    export(Path("results/again"), Path("twice"), "unknown", lambda _: None)
    for name in ("problems.parquet", "responses/recorded-00000-of-00001.parquet"):
        assert Path("twice", name).read_bytes() == Path("out", name).read_bytes()
