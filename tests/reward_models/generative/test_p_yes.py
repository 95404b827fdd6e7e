"""The probability of yes at the verdict of a reply: where that is, against plain `transformers`, stored, charged."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from places import MODELS
from tiny_models import make_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from bonbench.generators.transformers import TransformersGenerator, TransformersParams
from bonbench.generators.weighing import answer_ids, share
from bonbench.reward_models.generative.model import GenerativeRewardModel
from bonbench.reward_models.generative.params import GenerativeParams
from bonbench.reward_models.generative.presets import PRESETS
from bonbench.reward_models.generative.readouts import verdict_place
from harness.core.components import Generator
from harness.core.errors import UserError
from harness.core.records import Problem, Reply, Response, Solution
from harness.core.verifications import Verifications
from harness.core.weighing import MOST_PROBABLE
from harness.cost_model.shape import ModelShape
from harness.engine import tasks
from harness.experiment.entries import build
from harness.experiment.verifying import verifying_generator
from harness.storage.arrow import to_records, to_table
from harness.streams.scorer import Scorer

QUESTIONS = [Problem("a", "What is 3 + 4?", ""), Problem("b", "What is the sum of three and four apples?", "")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    return make_model(tmp_path_factory.mktemp("judge"), width=32)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (r"So \boxed{Yes}", "Yes}"),
        (r"\boxed{No}. Wait: \boxed{ \text{yes} }!", "yes} }!"),
        ("[[ No]]", "No]]"),
        ("Is the solution correct? Yes", "Yes"),
        ("Verdict: **incorrect**", "incorrect**"),
        (" Yes.", "Yes."),
        (r"<think>\boxed{No}</think>It is \boxed{Yes}", "Yes}"),
        (r"<think>\boxed{No}", None),
        ("It may be yes or no", None),
        (r"\boxed{7}", None),
    ],
)
def test_where_the_verdict_is(text: str, verdict: str | None) -> None:
    place = verdict_place(Response("q", "g", 0, text, finish_reason="stop"))
    assert (None if place is None else text[place:]) == verdict
    assert verdict_place(Response("q", "g", 0, f"{text} and", finish_reason="length")) is None


def plain(model: str, question: str, beginning: str) -> torch.Tensor:
    """Log-probabilities [vocabulary] of what comes next, from the string that a person would write."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    text = f"<|bos|><|user|>{question}<|end|><|assistant|>{beginning}"
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
    with torch.inference_mode():
        return AutoModelForCausalLM.from_pretrained(model)(ids).logits[0, -1].double().log_softmax(-1)


def likely_words(model: str, question: str, beginning: str) -> dict[str, list[int]]:
    """The words that are most probable there, each with its tokens among them: in any case, with a blank or without."""
    vocabulary = AutoTokenizer.from_pretrained(model).get_vocab()
    token_of = {id_: token.replace("\u2581", "").replace("\u0120", "").lower() for token, id_ in vocabulary.items()}
    alike: dict[str, list[int]] = {}
    for id_ in plain(model, question, beginning).argsort(descending=True)[:MOST_PROBABLE].tolist():
        alike.setdefault(token_of[id_], []).append(id_)
    return {word: ids for word, ids in alike.items() if word.isalpha()}


def test_it_is_that_of_plain_transformers(model: str) -> None:
    """Of beginnings of several lengths, in one batch and alone. Answers that are improbable are not weighed."""
    begun = [(QUESTIONS[0], ""), (QUESTIONS[1], "3 + 4 = 7\n\n"), (QUESTIONS[0], "What is the sum of three apples? 7")]
    words = [likely_words(model, question.problem, beginning) for question, beginning in begun]
    generator = TransformersGenerator(TransformersParams(model=model), "judge")
    for place, (question, beginning) in enumerate(begun):
        wanted = plain(model, question.problem, beginning).exp()
        (yes, of_yes), (no, of_no) = list(words[place].items())[:2]
        share_of_yes = float(wanted[of_yes].sum() / wanted[of_yes + of_no].sum())
        alone = generator.weigh([question], [beginning], (yes, no))[0]
        assert alone.probability == pytest.approx(share_of_yes, abs=1e-5)
        together = generator.weigh([q for q, _ in begun], [b for _, b in begun], (yes, no))
        assert together[place].probability == pytest.approx(share_of_yes, abs=1e-5)
        assert together[place].n_read == alone.n_read
        for one, known in zip(together, words, strict=True):
            assert (one.probability is None) == (not {yes, no} & known.keys())


class Words:
    """A tokenizer that knows some words."""

    unk_token_id = 0

    def __init__(self, *tokens: str) -> None:
        self._ids = {token: i for i, token in enumerate(("?", *tokens))}

    def get_vocab(self) -> dict[str, int]:
        return self._ids

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": [self._ids.get(c, 0) for c in text]}


def test_the_tokens_of_answers_and_their_share() -> None:
    words = Words("Yes", "\u0120yes", "\u2581No", "NO", "y", "n", "+", "Yesterday")
    assert answer_ids(words, ("Yes", "no"), "m") == ({1, 2}, {3, 4})
    assert answer_ids(words, ("+", "nope"), "m") == ({7}, {6})
    for answers in (("Yes", " yes"), ("Yes", "x")):
        with pytest.raises(UserError, match=r"m: .* do not begin with tokens of their own"):
            answer_ids(words, answers, "m")
    likely = [(1, math.log(0.3)), (9, math.log(0.2)), (2, math.log(0.1)), (4, math.log(0.1))]
    assert share(likely, frozenset({1, 2}), frozenset({3, 4})) == pytest.approx(0.8)
    assert share(likely, frozenset({7}), frozenset({8})) is None


class Judge(Generator[TransformersParams]):
    """Gives two replies to each question that it was told, and weighs them as a real one does."""

    Params = TransformersParams
    says = ("What is the sum? \\boxed{3}", "Verdict: yes")

    def __init__(self, params: TransformersParams, name: str = "") -> None:
        super().__init__(params, name)
        self._real = TransformersGenerator(params, name)
        self.weigh, self.describe = self._real.weigh, self._real.describe  # type: ignore[method-assign]

    def generate(self, problems, sampling, seeds):  # type: ignore[no-untyped-def]
        return [
            Response(p.problem_id, self.name, i, text, 9, 5, "stop")
            for p in problems
            for i, text in enumerate(self.says)
        ]


def test_it_is_stored_read_and_charged(model: str) -> None:
    entry = {"generator": "judge", "readout": "p-yes", "verifications": 2}
    rows = [Response("a", "g", i, text, finish_reason="stop") for i, text in enumerate(("It is 7.", "It is 8."))]
    solutions = [Solution(QUESTIONS[0], row) for row in rows]
    plainly = GenerativeRewardModel.verifications(GenerativeParams.model_validate(entry))
    assert plainly is not None
    words = [likely_words(model, q.asked().problem, "Verdict:") for q in plainly.questions(solutions)]
    yes, no = sorted(words[0].keys() & words[1].keys())[:2]
    entry |= {"answer_yes": yes, "answer_no": no}
    asked = GenerativeRewardModel.verifications(GenerativeParams.model_validate(entry))
    assert asked is not None
    tables = to_table(Problem, QUESTIONS[:1]), to_table(Response, rows)
    judge = Judge(TransformersParams(model=model), "judge")
    stored = tasks.verify(judge, *tables, asked, 0)
    replies = to_records(Reply, stored.table)
    # Of the first reply the verdict is none; where the second gives it, both answers are weighed.
    assert [reply.p_yes is None for reply in replies] == [True, False] * 2
    questions = {q.id: q.asked() for q in asked.questions(solutions)}
    weighed = {id_: judge.weigh([q], ["Verdict:"], (yes, no))[0] for id_, q in questions.items()}
    assert [reply.p_yes for reply in replies[1::2]] == pytest.approx(
        [weighed[id_].probability for id_ in questions], abs=1e-5
    )

    reward_model = GenerativeRewardModel(GenerativeParams.model_validate(entry), "rm")
    scores = tasks.score(reward_model, *tables, asked=asked, verifications=stored.table)
    assert scores.table.column("step_rewards").to_pylist() == [[reply.p_yes] for reply in replies[1::2]]

    unweighed = tasks.verify(judge, *tables, Verifications("judge", asked.template, n=2, temperature=1.0), 0)
    assert "p_yes" not in unweighed.table.column_names
    facts = judge.describe()
    assert facts is not None
    shape = ModelShape.from_config(facts.config, facts.output_head)
    n_read = [one.n_read for one in weighed.values()]
    assert stored.prompt_tokens - unweighed.prompt_tokens == sum(n_read)
    assert stored.flops - unweighed.flops == sum(map(shape.forward, n_read))


def test_a_reply_of_one_word_is_worth_what_the_first_token_is(tmp_path: Path) -> None:
    """Then both read-outs read one distribution, whatever was sampled."""
    torch.set_num_threads(1)
    question = tmp_path / "q.jinja"
    question.write_text("{{ problem }}\n{{ response }}\nRight?")
    rows = [("What is 3 + 4?", "four apples"), ("What is 3 + 4?", "three apples")]
    model, like = MODELS / "middle", f"question={question},answer_yes='4',answer_no='2'"
    first = Scorer(f"generative:model={model},{like}").score(rows)
    sampled = f"generative:generator={model},{like},readout=p-yes,verifications=64,max_tokens=1,temperature=2"
    for ours, theirs in zip(Scorer(sampled).score(rows), first, strict=True):
        assert ours.scores.step_rewards == pytest.approx(theirs.scores.step_rewards, abs=1e-5)
        assert 0 < ours.verdicts["read"] < 64


def test_published_judges_are_read_by_it_and_servers_cannot_tell() -> None:
    assert {preset for preset, entry in PRESETS.items() if entry["readout"] == "p-yes"} == {
        "genrm-cot",
        "thinkprm",
        "genprm",
    }
    params = GenerativeParams.model_validate({"generator": "server", "preset": "genprm"})
    asked = GenerativeRewardModel.verifications(params)
    assert asked is not None
    server = build("generators", "server", {"type": "openai", "model": "m", "base_url": "http://127.0.0.1:9"}, "g", {})
    with pytest.raises(UserError, match=r"rm: openai does not tell how probable .* readout: yes-no"):
        verifying_generator(asked, "server", "rm", {"server": server}, (), {}, server.pool)
