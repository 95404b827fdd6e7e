"""Reward models that read the answer or the reasoning of a response: as if there were nothing else, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from reward_checkpoints import TOKENIZERS, make_checkpoint
from tiny_models import make_model

from bonbench.reward_models.implicit import ImplicitParams, ImplicitPRM
from bonbench.reward_models.length import Length
from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer
from bonbench.reward_models.sequence_classifier import SequenceClassifier, SequenceClassifierParams
from bonbench.reward_models.step_token import StepTokenParams, StepTokenPRM
from harness.core.components import RewardModel
from harness.core.errors import UserError
from harness.core.incomplete import Incomplete
from harness.core.params import ReadsParams
from harness.core.records import Problem, Response, Solution, StepScores
from harness.core.registry import find
from harness.core.solution_parts import span_of
from harness.core.steps import step_ends
from harness.engine import tasks
from harness.experiment.entries import build
from harness.experiment.model_files import Artifacts
from harness.storage.arrow import to_records, to_table
from harness.streams.scorer import Scorer

THOUGHT = "<think>\nIs it 4 + 3?\n\nSo 7, or\n8.</think>\n\nStep 1: 3 + 4 = 7\nStep 2: 7 * 2 = 14"
CUT = "<think>Is it 4 + 3?\n\nThen"
PLAIN = "3 + 4 = 7\n7 * 2 = 14"
TEXTS = [THOUGHT, CUT, PLAIN]


def solution(text: str, sample: int = 0, **more: Any) -> Solution:
    response = Response("p", "g", sample, text, finish_reason="stop" if "</think>" in text else "length")
    return Solution(Problem("p", "What is 3 + 4, times 2?", "14"), response, **more)


def solutions(texts: Sequence[str] = TEXTS) -> list[Solution]:
    return [solution(text, i) for i, text in enumerate(texts)]


@pytest.fixture(scope="module")
def prm(tmp_path_factory: pytest.TempPathFactory) -> StepTokenPRM:
    folder = tmp_path_factory.mktemp("prm")
    make_checkpoint(folder, "llama", {"lm_head.weight": (len(TOKENIZERS["llama"]()), 32)})
    return StepTokenPRM(StepTokenParams(model=str(folder)), "prm")


def reading(model: StepTokenPRM, **params: Any) -> StepTokenPRM:
    """The same model with other parameters."""
    other = object.__new__(StepTokenPRM)
    other.__dict__.update(model.__dict__)
    other.params = StepTokenParams(model=model.params.model, **params)
    return other


@pytest.mark.parametrize("steps", ["auto", "lines", {"at_most": 1}, {"characters": 9}])
@pytest.mark.parametrize("reads", ["answer", "reasoning"])
def test_a_part_scores_as_a_response_of_its_own(prm: StepTokenPRM, reads: Any, steps: Any) -> None:
    of_parts = reading(prm, reads=reads, steps=steps)
    assert prm.reward == "PRM"
    for whole, scored in zip(solutions(), of_parts.score_read(solutions()), strict=True):
        span, _ = span_of(whole.response.text, reads)
        if span is None:
            assert scored == StepScores("p", "g", whole.response.sample, "prm", (), (), 0)
            continue
        text = whole.response.text[slice(*span)]
        alone = reading(prm, steps=steps).score_read([solution(text)])[0]
        assert scored.step_rewards == pytest.approx(alone.step_rewards, abs=1e-6)
        assert scored.n_tokens == alone.n_tokens
        assert scored.step_ends == tuple(span[0] + end for end in alone.step_ends or ())
        assert scored.step_ends and scored.step_ends[-1] == span[1]


def test_what_is_not_there_is_not_scored_and_the_reason_says_what(prm: StepTokenPRM) -> None:
    texts = [CUT, "<think>a</think>", "", PLAIN, "a</think>b"]
    reasons = {
        "answer": ["it was cut before its answer", "it has no answer", "it has no answer", None, None],
        "reasoning": [None, None, "it has no reasoning", "it has no reasoning", None],
        "all": [None] * 5,
    }
    for reads, expected in reasons.items():
        model = reading(prm, reads=reads)
        for whole, scored, why in zip(solutions(texts), model.score_read(solutions(texts)), expected, strict=True):
            assert (scored.step_rewards == ()) == (why is not None)
            if why:
                assert model.why_unscored(whole) == why


def test_nothing_is_asked_of_a_model_that_finds_nothing_to_read(prm: StepTokenPRM) -> None:
    model = reading(prm, reads="answer")
    assert [s.step_rewards for s in model.score_read(solutions([CUT, CUT]))] == [(), ()]
    assert StepTokenPRM.count_too_long(replace_limit(model, 60), [solutions([CUT, THOUGHT + " 1" * 9])]) == 1
    assert StepTokenPRM.count_too_long(replace_limit(model, 60), [solutions([CUT * 9])]) == 0


def replace_limit(model: StepTokenPRM, limit: int) -> StepTokenParams:
    """The parameters of a model that reads so many tokens."""
    return model.params.model_copy(update={"max_model_len": limit})


@pytest.fixture(scope="module")
def passes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("passes")
    return {role: make_model(folder / role, seed) for seed, role in enumerate(["policy", "reference"])}


def with_passes(passes: dict[str, str], texts: Sequence[str], **more: Any) -> list[Solution]:
    bare = solutions(texts)
    records = {r: CausalLMScorer(CausalLMParams(model=m, **more)).logprobs(bare) for r, m in passes.items()}
    return [replace(s, logprobs={role: of[i] for role, of in records.items()}) for i, s in enumerate(bare)]


@pytest.mark.parametrize("reads", ["answer", "reasoning", "all"])
@pytest.mark.parametrize("form", ["as-written", "numbered"])
def test_implicit_rewards_of_a_part_are_those_of_its_tokens_in_the_whole(
    passes: dict[str, str], reads: Any, form: str
) -> None:
    """Token by token, with the parts found by hand."""
    whole = with_passes(passes, [THOUGHT, CUT, PLAIN], steps=form)
    more = {} if form == "as-written" else {"steps": form}
    scored = ImplicitPRM(ImplicitParams(**passes, beta=1.0, reads=reads, **more), "rm").score_read(whole)
    answer = THOUGHT.index("Step 1")
    spans = {
        "answer": [(answer, len(THOUGHT)), None, (0, len(PLAIN))],
        "reasoning": [(8, THOUGHT.index("</think>")), (7, len(CUT)), None],
        "all": [(0, len(text)) for text in TEXTS],
    }[reads]
    for one, span, record in zip(whole, spans, scored, strict=True):
        if span is None:
            assert record.step_rewards == ()
            continue
        ends = [span[0] + end for end in step_ends(one.response.text[slice(*span)])]
        assert record.step_ends == tuple(ends)
        for (begin, end), reward in zip(pairwise((span[0], *ends)), record.step_rewards, strict=True):
            by_role = [
                sum(value for value, at in zip(of.logprobs, of.token_ends, strict=True) if begin < at <= end)
                for of in (one.logprobs["policy"], one.logprobs["reference"])
            ]
            assert reward == pytest.approx(by_role[0] - by_role[1], abs=1e-5)


def test_an_answer_that_a_cut_pass_does_not_reach_has_no_score(passes: dict[str, str]) -> None:
    long = "<think>" + "3 + 4 = 7\n" * 400 + "</think>14"
    whole = with_passes(passes, [long, THOUGHT], too_long="truncate")
    for per in ("step", "token"):
        model = ImplicitPRM(ImplicitParams(**passes, reads="answer", too_long="truncate", per=per), "rm")
        cut, read = model.score_read(whole)
        assert cut.step_rewards == () and len(read.step_rewards) > 1
        assert model.why_unscored(whole[0]) == "a model of its token passes does not read as far as its answer"


def test_parts_and_steps_share_the_passes_of_the_whole() -> None:
    def asked(**more: Any) -> Any:
        return ImplicitPRM.token_passes(ImplicitParams(policy="a", reference="b", **more))

    assert asked() == asked(reads="answer", steps="lines") == asked(steps={"at_most": 3}) == asked(steps="auto")
    assert asked(steps="numbered") == asked(steps={"numbered": "auto"}) == asked(steps="numbered", reads="answer")
    of_lines = asked(steps={"numbered": "lines"})
    assert of_lines["policy"] == {"model": "a", "steps": {"numbered": "lines"}}
    assert CausalLMParams.model_validate(of_lines["policy"]).steps == {"numbered": "lines"}


def test_public_implicit_models_read_numbered_paragraphs_however_they_are_cut() -> None:
    def steps(**more: Any) -> Any:
        return ImplicitParams.model_validate({"policy": "PRIME-RL/EurusPRM-Stage2", **more}).steps

    assert steps() == steps(steps="numbered") == "numbered"
    assert steps(steps="lines") == steps(steps={"numbered": "lines"}) == {"numbered": "lines"}
    assert steps(steps="as-written") == "as-written"


def test_numbered_paragraphs_of_a_splitter(passes: dict[str, str]) -> None:
    text = "so 3 + 4 = 7\nand 7 * 2 = 14\n\nThe end"
    entry = {"steps": {"numbered": "lines"}}
    one = with_passes(passes, [text], **entry)
    rewritten = with_passes(passes, ["Step 1: so 3 + 4 = 7\n\nStep 2: and 7 * 2 = 14\n\nStep 3: The end"])[0]
    assert one[0].logprobs["policy"].logprobs == pytest.approx(rewritten.logprobs["policy"].logprobs, abs=1e-5)
    scored = ImplicitPRM(ImplicitParams(**passes, **entry), "rm").score_read(one)[0]
    assert scored.step_ends == (13, 29, len(text))


def test_steps_that_a_data_set_gives_are_kept(prm: StepTokenPRM) -> None:
    at = THOUGHT.index("Step 1")
    given = solution(THOUGHT, given_ends=(10, at + 4, len(THOUGHT)))
    assert reading(prm, steps="lines").score_read([given])[0].step_ends == given.given_ends
    assert reading(prm, reads="answer", steps="lines").score_read([given])[0].step_ends == (at + 4, len(THOUGHT))


def test_outcome_models_read_parts_too(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, "llama", {"score.weight": (1, 32)}, num_labels=1)
    whole = SequenceClassifier(SequenceClassifierParams(model=str(tmp_path)), "orm")
    answer = SequenceClassifier(SequenceClassifierParams(model=str(tmp_path), reads="answer"), "orm")
    at = THOUGHT.index("Step 1")
    scored = answer.score_read(solutions())
    assert scored[0].step_rewards == whole.score_read([solution(THOUGHT[at:])])[0].step_rewards
    assert [s.step_ends for s in scored] == [(len(THOUGHT),), (), (len(PLAIN),)]
    assert [s.step_rewards for s in Length(ReadsParams(reads="answer")).score_read(solutions())] == [
        (float(len(THOUGHT) - at),),
        (),
        (float(len(PLAIN)),),
    ]


class Half(RewardModel[ReadsParams]):
    """Fails at the problem q."""

    Params = ReadsParams

    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        made = [StepScores(s.problem.problem_id, "g", s.response.sample, "", (1.0,), (1,), 1) for s in batch]
        raise Incomplete([record for record in made if record.problem_id == "p"], {"q": "no answer"})


def test_what_is_made_of_the_others_is_kept_with_offsets_into_the_response() -> None:
    batch = [*solutions(), replace(solution(PLAIN), problem=Problem("q", "", ""))]
    batch[-1] = replace(batch[-1], response=replace(batch[-1].response, problem_id="q"))
    with pytest.raises(Incomplete) as error:
        Half(ReadsParams(reads="answer")).score_read(batch)
    at = THOUGHT.index("Step 1")
    assert [record.step_ends for record in error.value.made] == [(at + 1,), (), (1,)]
    assert error.value.missing == {"q": "no answer"}


def test_a_run_stores_the_part_and_the_reasons() -> None:
    problems, texts = to_table(Problem, [solution("").problem]), [CUT, "</think>", THOUGHT]
    responses = to_table(Response, [s.response for s in solutions(texts)])
    result = tasks.score(Length(ReadsParams(reads="answer"), "length"), problems, responses)
    assert result.meta["reads"] == "answer"
    assert result.meta["unscored_because"] == {"it was cut before its answer": 1, "it has no answer": 1}
    assert [bool(record.step_rewards) for record in to_records(StepScores, result.table)] == [False, False, True]
    assert "reads" not in tasks.score(Length(ReadsParams(), "length"), problems, responses).meta


def test_the_command_line_names_parts_and_steps() -> None:
    scored = Scorer("length:reads=answer").score([("p", THOUGHT), ("p", CUT)])
    assert scored[0].scores.step_rewards == (float(len(THOUGHT) - THOUGHT.index("Step 1")),)
    assert scored[1].unscored_because == "it was cut before its answer"


@pytest.mark.parametrize("type_", ["implicit", "step-token", "sequence-classifier", "head-prm"])
def test_what_says_nothing_new_is_in_no_key(tmp_path: Path, type_: str) -> None:
    """Results that are stored have keys from before there were these parameters."""
    make_checkpoint(tmp_path / "m", "llama", {})
    entry = {"type": type_, "model": str(tmp_path / "m")}
    if type_ == "implicit":
        entry = {"type": type_, "policy": str(tmp_path / "m"), "reference": None}

    def params(**more: Any) -> dict[str, Any]:
        found = Artifacts().identity(build("reward_models", "x", {**entry, **more}, "x", {}))["params"]
        assert isinstance(found, dict)
        return found

    plain = params()
    assert "reads" not in plain and plain == params(reads="all")
    assert params(reads="answer") == {**plain, "reads": "answer"}
    if type_ == "sequence-classifier":
        with pytest.raises(UserError, match=r"x\.steps: unknown key"):
            params(steps="lines")
        return
    assert plain.get("steps") == ("as-written" if type_ == "implicit" else None)
    assert params(steps="auto") == plain
    assert params(steps={"at_most": 2})["steps"] == {"at_most": {"k": 2, "of": "auto"}}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"type": "step-token", "model": "o/m", "steps": "line"}, "x.steps: no step splitter is named 'line'"),
        ({"type": "implicit", "policy": "o/m", "reference": None, "steps": {"delimiter": ""}}, "at least 1 character"),
        ({"type": "implicit", "policy": "o/m", "reference": None, "steps": "lines", "per": "token"}, "per: token"),
        ({"type": "implicit", "policy": "o/m", "reference": None, "steps": {"numbered": "x"}}, "named 'x'"),
        ({"type": "head-prm", "model": "o/m", "reads": "thoughts"}, "x.reads"),
        ({"type": "recorded", "path": "x.jsonl", "reads": "answer"}, "x.reads: unknown key"),
    ],
)
def test_mistakes_are_one_line(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        build("reward_models", "x", entry, "x", {})
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_pass_is_not_cut() -> None:
    with pytest.raises(ValidationError, match="a pass reads all tokens"):
        find("token_scorers", "causal-lm").Params.model_validate({"model": "o/m", "steps": "lines"})
