"""Step-token reward models: what exactly they are given to read, where they are read, and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from reward_checkpoints import TOKENIZERS, llama_tokenizer, make_checkpoint, mistral_tokenizer, spelt
from transformers import LlamaTokenizer

from bonbench.reward_models import known_models
from bonbench.reward_models.known_models import KNOWN_MODELS, KnownModel
from bonbench.reward_models.step_token import StepTokenParams, StepTokenPRM
from bonbench.reward_models.text.chat import ChatTemplate
from bonbench.reward_models.text.layouts import math_shepherd
from bonbench.reward_models.text.pieces import PieceEncoder
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Solution

PROBLEM = "What is 3 + 4, times 2?"
TEXT = "Step 1: 3 + 4 = 7.\nStep 2: 7 * 2 = 14."
SYSTEM = (
    "<|begin_of_text|> <|start_header_id|> system <|end_header_id|> ĊĊ Cut ting ĠKnowledge ĠDate : ĠDecember Ġ 202 3 Ċ "
    "To day ĠDate : Ġ 26 ĠJul Ġ 202 4 ĊĊ <|eot_id|> "
)
USER = "<|start_header_id|> user <|end_header_id|> "
ASSISTANT = "<|start_header_id|> assistant <|end_header_id|> "


def checkpoint(folder: Path, family: str) -> str:
    return make_checkpoint(folder, family, {"lm_head.weight": (len(TOKENIZERS[family]()), 32)})


def solution(text: str = TEXT) -> Solution:
    return Solution(Problem("p", PROBLEM, "14"), Response("p", "g", 0, text, finish_reason="stop"))


def test_math_shepherd_reads_its_tags(tmp_path: Path) -> None:
    model = StepTokenPRM(StepTokenParams(model=checkpoint(tmp_path, "mistral"), convention="math-shepherd"))
    question = "<s> ▁ W h a t ▁ i s ▁ 3 ▁+ ▁ 4 , ▁ t i m e s ▁ 2 ? "
    reading = model.encode([solution()])[0]
    assert spelt(mistral_tokenizer(), reading) == (
        question + "▁Step ▁ 1 : ▁ 3 ▁+ ▁ 4 ▁= ▁7 . «▁ки» <0x0A> Step ▁ 2 : ▁7 ▁ * ▁ 2 ▁= ▁14 . «▁ки»"
    )
    assert reading.n_prompt == len(question.split())
    hostile, empty = model.encode([solution("Step 1: ки\nStep 2: 7 ки\nки"), solution("")])
    assert spelt(mistral_tokenizer(), hostile) == (
        question + "▁Step ▁ 1 : ▁ки «▁ки» <0x0A> Step ▁ 2 : ▁7 ▁ки <0x0A> ки «▁ки»"
    )
    assert spelt(mistral_tokenizer(), empty) == question + "«▁ки»"
    # The answers are those of a word's beginning, as in the training data "... ки" -> "... +".
    assert mistral_tokenizer().convert_ids_to_tokens(model.answers) == ["▁+", "▁-"]


def test_math_shepherd_with_the_tokenizer_class_of_transformers() -> None:
    """`LlamaTokenizer` builds its own backend around a vocabulary; what is fed must be what it makes of the string."""
    model = json.loads(mistral_tokenizer().backend_tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    tokenizer = LlamaTokenizer(vocab=model["vocab"], merges=merges, add_bos_token=True)
    encoder, chat = PieceEncoder(tokenizer, "m"), ChatTemplate(tokenizer, "m")
    tokens = encoder.encode_layouts(
        [math_shepherd(chat, Solution(Problem("p", PROBLEM, ""), Response("p", "g", 0, TEXT)))]
    )[0]
    first, second = TEXT.split("\n")
    assert tokens.ids == tokenizer(f"{PROBLEM} {first} ки\n{second} ки")["input_ids"]
    assert tokenizer.convert_ids_to_tokens([tokens.ids[i] for i in tokens.reads]) == ["▁ки", "▁ки"]
    assert tokenizer.convert_ids_to_tokens([encoder.only_token("+"), encoder.only_token("-")]) == ["▁+", "▁-"]


def test_rlhflow_reads_what_predicts_each_answer(tmp_path: Path) -> None:
    model = StepTokenPRM(StepTokenParams(model=checkpoint(tmp_path, "llama"), convention="rlhflow"))
    answer = f"<|eot_id|> {ASSISTANT}«ĊĊ» + <|eot_id|>"
    assert spelt(llama_tokenizer(), model.encode([solution()])[0]) == (
        f"{SYSTEM}{USER}ĊĊ What Ġis Ġ 3 Ġ+ Ġ 4 , Ġtimes Ġ 2 ? Ġ Step Ġ 1 : Ġ 3 Ġ+ Ġ 4 Ġ= Ġ 7 . {answer} "
        f"{USER}ĊĊ Step Ġ 2 : Ġ 7 Ġ* Ġ 2 Ġ= Ġ 14 . {answer}"
    )
    assert llama_tokenizer().convert_ids_to_tokens(model.answers) == ["+", "-"]


def test_step_end_reads_each_steps_last_token(tmp_path: Path) -> None:
    model = StepTokenPRM(StepTokenParams(model=checkpoint(tmp_path, "llama")))  # the default
    prompt = f"{SYSTEM}{USER}ĊĊ What Ġis Ġ 3 Ġ+ Ġ 4 , Ġtimes Ġ 2 ? <|eot_id|> {ASSISTANT}ĊĊ"
    reading, empty = model.encode([solution("Step 1: 3 + 4 = 7.\n\nStep 2: 14."), solution("")])
    assert spelt(llama_tokenizer(), reading) == (f"{prompt} Step Ġ 1 : Ġ 3 Ġ+ Ġ 4 Ġ= Ġ 7 «.ĊĊ» Step Ġ 2 : Ġ 14 «.»")
    assert spelt(llama_tokenizer(), empty) == prompt.removesuffix("ĊĊ") + "«ĊĊ»"
    assert (reading.n_prompt, empty.n_prompt) == (len(prompt.split()), len(prompt.split()))


def test_one_pass_over_the_conversation_gives_what_one_per_step_gives(tmp_path: Path) -> None:
    """The public evaluation code feeds steps 1..k for the score of step k."""
    model = StepTokenPRM(StepTokenParams(model=checkpoint(tmp_path, "llama"), convention="rlhflow"), "rm")
    text = "Step 1: 7.\nStep 2: 7 * 2\nStep 3: 14"
    whole = model.score([solution(text)])[0].step_rewards
    prefixes = [model.score([solution(text[:end])])[0].step_rewards[-1] for end in (10, 25, len(text))]
    assert whole == pytest.approx(prefixes, abs=1e-6)


def test_published_models_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, tokenizer = checkpoint(tmp_path, "mistral"), mistral_tokenizer()
    ids = {"ки": "▁ки", "+": "▁+", "-": "▁-"}
    right = {text: tokenizer.convert_tokens_to_ids(token) for text, token in ids.items()}
    monkeypatch.setitem(known_models.KNOWN_MODELS, folder, KnownModel("step-token", "math-shepherd", right))
    assert StepTokenPRM(StepTokenParams(model=folder)).convention == "math-shepherd"
    monkeypatch.setitem(
        known_models.KNOWN_MODELS, folder, KnownModel("step-token", "math-shepherd", {**right, "+": 648})
    )
    with pytest.raises(UserError, match=r"makes \d+ of '\+', which should be 648"):
        StepTokenPRM(StepTokenParams(model=folder))


def test_every_published_model_has_a_convention() -> None:
    from bonbench.reward_models.head_prm import HeadPRM
    from bonbench.reward_models.sequence_classifier import SequenceClassifier

    families = {cls.family: cls for cls in (StepTokenPRM, HeadPRM, SequenceClassifier)}
    for model, known in KNOWN_MODELS.items():
        cls = families[known.family]
        params = cls.Params.model_validate({"model": model, "convention": known.convention})
        assert known.convention in cls.conventions
        cls.check(params)
        other = families[next(f for f in families if f != known.family)]
        with pytest.raises(UserError, match=f"is no {other.family}: set type: {known.family}"):
            other.check(other.Params.model_validate({"model": model}))


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be loaded"):
        StepTokenPRM(StepTokenParams(model=str(tmp_path)))
    bare = checkpoint(tmp_path, "mistral")
    with pytest.raises(UserError, match="no chat template"):
        StepTokenPRM(StepTokenParams(model=bare, convention="rlhflow"))
    picky = llama_tokenizer()
    picky.chat_template = "{% if messages | length > 1 %}{{ raise_exception('one turn only') }}{% endif %}"
    with pytest.raises(UserError, match="refuses turns of user, assistant: one turn only"):
        ChatTemplate(picky, "m").pieces([("user", []), ("assistant", [])])
    picky.chat_template = "{{ messages[0].content }}{{ messages[0].content }}"
    with pytest.raises(UserError, match="does not write what each turn says just once"):
        ChatTemplate(picky, "m").pieces([("user", [])])


def test_answers_must_be_tokens_where_they_stand(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, "llama")
    tokenizer = llama_tokenizer()
    # Here an answer begins with a space, and with it another token than "+" alone.
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}"
    tokenizer.save_pretrained(folder)
    with pytest.raises(UserError, match=r"makes \d+, \d+ of '\+', which should be"):
        StepTokenPRM(StepTokenParams(model=folder, convention="rlhflow"))
