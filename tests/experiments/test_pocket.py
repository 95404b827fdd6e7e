"""The pocket world: its problems, its students' slips, its tokenizer and the models shipped with it."""

from __future__ import annotations

import itertools
import random
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bonbench.experiments.pocket.build_models import MODELS, STUDENTS, corpus
from bonbench.experiments.pocket.build_models import SEED as BUILD_SEED
from bonbench.experiments.pocket.students import (
    LIVELY,
    PLAN_SLIPS,
    SLIPS,
    Answer,
    Point,
    Ratio,
    Student,
    Work,
    answer_form,
    exact,
)
from bonbench.experiments.pocket.subjects import LEVELS, SUBJECTS
from bonbench.experiments.pocket.world import PocketDataset, PocketParams, exercises, split_of
from harness.core.steps import step_spans

SPLITS = ("train", "validation", "test")
SEED = 11


def load(**params: Any) -> list[Any]:
    return PocketDataset(PocketParams(**params)).load()


def value(form: str) -> Fraction | Point:
    """An independent reading of the answer forms that the world writes."""
    if form.startswith("("):
        x, y = form[1:-1].split(",")
        return Point(int(x), int(y))
    if match := re.fullmatch(r"(-?)\\d?frac\{(\d+)\}\{(\d+)\}", form):
        return Fraction(int(match[1] + match[2]), int(match[3]))
    return Fraction(form)


def boxed(solution: str) -> str:
    (form,) = re.findall(r"\\boxed\{(.*)\}\$$", solution)
    return form


def test_splits_are_disjoint_and_without_repetition() -> None:
    texts = {s: [p.problem for seed in (0, 1) for p in load(split=s, limit=400, seed=seed)] for s in SPLITS}
    for a, b in itertools.combinations(SPLITS, 2):
        assert not set(texts[a]) & set(texts[b])
    assert all(len(set(t[:400])) == 400 for t in texts.values())


def test_training_corpora_hold_no_held_out_problem() -> None:
    held_out = {p.problem for s in ("validation", "test") for p in load(split=s, limit=300)}
    seen = {problem for problem, _ in corpus(STUDENTS["weak"], 3000, BUILD_SEED)}
    assert not seen & held_out and {split_of(p) for p in seen} == {"train"}


def test_same_parameters_same_problems() -> None:
    first, again, other = load(limit=50, seed=3), load(limit=50, seed=3), load(limit=50, seed=4)
    assert first == again != other
    assert load(limit=20, seed=3) == first[:20]  # a smaller limit is a prefix
    assert first[17].problem_id == "pocket-test-0017"


def test_five_levels_of_every_subject_and_several_answer_forms() -> None:
    problems = load(split="train", limit=300)
    assert {(p.subject, p.level) for p in problems} == set(itertools.product(SUBJECTS, LEVELS))
    assert len(SUBJECTS) >= 5 and len(LEVELS) == 5
    kinds = {re.sub(r"-?\d+", "n", p.answer) for p in problems}
    assert {"n", r"\frac{n}{n}", "(n, n)"} <= kinds


@pytest.mark.parametrize("limit", [0, 10**7])
def test_limit_is_bounded(limit: int) -> None:
    with pytest.raises(ValidationError, match="limit"):
        PocketParams(limit=limit)
    assert len(load(split="test", limit=2000)) == 2000


def test_subjects_can_be_chosen() -> None:
    chosen = ["Vectors", "Fractions"]
    problems = load(split="train", limit=60, subjects=chosen)
    assert len(problems) == 60
    assert {(p.subject, p.level) for p in problems} == {(s, level) for s in chosen for level in LEVELS}
    assert load(split="train", limit=60, subjects=list(SUBJECTS)) == load(split="train", limit=60)
    with pytest.raises(ValidationError, match="no subject is named 'vectors'; did you mean Vectors"):
        PocketParams(subjects=["vectors"])


@pytest.mark.parametrize("split", SPLITS)
def test_reference_solutions_reach_the_gold_answer(split: Any) -> None:
    for exercise in itertools.islice(exercises(split, SEED), 600):
        solution = exercise.solution()
        assert value(boxed(solution)) == value(exercise.answer)
        steps = step_spans(solution)
        assert [solution[a:b].startswith(f"Step {k}:") for k, (a, b) in enumerate(steps, 1)] == [True] * len(steps)


def test_steps_of_reference_solutions_are_true() -> None:
    """Each equation of a reference solution holds, evaluated from its text."""
    step = re.compile(r"(-?\d+) (\S+) \(?(-?\d+)\)? = (-?\d+)$", re.MULTILINE)
    operate = {"+": int.__add__, "-": int.__sub__, r"\cdot": int.__mul__, r"\bmod": int.__mod__}
    seen = set()
    for exercise in itertools.islice(exercises("train", SEED), 600):
        solution = exercise.solution()
        equations = step.findall(solution)
        assert len(equations) == solution.count("\n")
        for a, op, b, c in equations:
            assert operate[op](int(a), int(b)) == int(c)
            seen.add(op)
    assert seen == set(operate)


@pytest.mark.parametrize(
    "answer", [3, -7, Ratio(10, 4), Ratio(-6, 3), Ratio(0, 5), Ratio(3, -2), Ratio(-9, 2), Point(-3, 4)]
)
def test_every_form_of_an_answer_has_its_value(answer: Answer) -> None:
    forms = {answer_form(answer, random.Random(seed)) for seed in range(60)} | {answer_form(answer, None)}
    assert {value(form) for form in forms} == {exact(answer)}
    assert isinstance(answer, int) or len(forms) > 1


# Situations in which each slip tempts, worked by hand: (operation, a, b, what the slip makes of it).
EXAMPLES = {
    "carry": ("+", 37, 25, 52),
    "negative-plus": ("+", -3, 8, -11),
    "plus-negative": ("+", 5, -8, 13),
    "two-negatives": ("+", -3, -4, 7),
    "lost-sign": ("-", 4, 9, 5),
    "negative-minus": ("-", -3, 4, 1),
    "minus-negative": ("-", 6, -2, 4),
    "borrow": ("-", 32, 18, 24),
    "product-as-sum": ("*", 3, 5, 8),
    "times-table": ("*", 5, 6, 24),
    "product-sign": ("*", 4, -3, 12),
    "negative-product": ("*", -4, -3, -12),
    "one-reduction": ("mod", 17, 5, 12),
    "negative-remainder": ("mod", -7, 5, 2),
}


def test_every_slip_has_an_example() -> None:
    assert EXAMPLES.keys() == SLIPS.keys()


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_happen_in_their_situation_at_the_stated_rate(slip: str) -> None:
    op, a, b, wrong = EXAMPLES[slip]
    student = Student({slip: 0.35}, wording=LIVELY)
    rng = random.Random(SEED)
    results = [Work(student, rng).operate(op, a, b) for _ in range(2000)]
    right = Work(Student(), rng).operate(op, a, b)
    assert set(results) == {wrong, right} and wrong != right
    assert results.count(wrong) / 2000 == pytest.approx(0.35, abs=0.04)  # four standard errors
    always_others = Student({other: 1.0 for other in SLIPS if other != slip})
    assert Work(always_others, rng).operate(op, a, b) == right


@pytest.mark.parametrize("op", sorted({slip.op for slip in SLIPS.values()}))
def test_slips_are_always_wrong_and_their_situations_exclude_each_other(op: str) -> None:
    values = range(1, 61) if op == "mod" else range(-60, 61)
    for a, b in itertools.product(range(-60, 61), values):
        tempting = [slip for slip in SLIPS.values() if slip.op == op and slip.tempts(a, b)]
        assert len(tempting) <= 1
        right = Work(Student(), random.Random(0)).operate(op, a, b)
        assert all(slip.result(a, b) != right for slip in tempting), (op, a, b)


@pytest.mark.parametrize("slip", PLAN_SLIPS)
def test_plan_slips_happen_at_the_stated_rate(slip: str) -> None:
    """Among exercises in which the slip is possible at all, it changes the steps as often as stated."""
    sure, rarely = Student({slip: 1.0}), Student({slip: 0.35})
    open_to_it = [e for e in itertools.islice(exercises("train", SEED), 3000) if e.solution(sure) != e.solution()]
    made = [e.solution(rarely, seed) != e.solution() for seed, e in enumerate(open_to_it)]
    assert len(made) > 80
    assert sum(made) / len(made) == pytest.approx(0.35, abs=4 * (0.35 * 0.65 / len(made)) ** 0.5)


def test_noise_is_one_off_and_never_zero() -> None:
    rng = random.Random(SEED)
    results = [Work(Student(noise=0.1), rng).sub(5, 4) for _ in range(2000)]
    assert set(results) == {1, 2}
    assert results.count(2) / 2000 == pytest.approx(0.1, abs=0.03)


def test_unknown_slips_are_refused() -> None:
    with pytest.raises(ValueError, match="forgot-the-dog"):
        Student({"forgot-the-dog": 1.0})


def test_wording_does_not_depend_on_correctness() -> None:
    """A student who always slips and one who never does use the same words equally often."""
    shares = []
    for rate in (0.0, 1.0):
        student = Student(dict.fromkeys(SLIPS, rate), wording=LIVELY)
        text = "\n".join(e.solution(student, i) for i, e in enumerate(itertools.islice(exercises("train", SEED), 2000)))
        steps = text.count("\n")
        shares.append([text.count(f": {opener} ") / steps for opener in LIVELY.openers])
    assert shares[0] == pytest.approx(shares[1], abs=0.03)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(MODELS / "middle")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    student = STUDENTS["weak"]
    texts = []
    for seed, exercise in enumerate(itertools.islice(exercises("test", SEED), 300)):
        texts += [exercise.task.problem, exercise.solution(), exercise.solution(student, seed)]
    return texts


def test_decoding_gives_back_the_text(tokenizer: Any, texts: list[str]) -> None:
    for text in [*texts, "Any other text:\n\tüp to 12345 \\sqrt{2}!"]:
        encoded = tokenizer(text, return_offsets_mapping=True)
        offsets = encoded["offset_mapping"]
        assert [a for a, _ in offsets] == [0, *(b for _, b in offsets[:-1])] and offsets[-1][1] == len(text)
        if tokenizer.unk_token_id not in encoded["input_ids"]:
            assert tokenizer.decode(encoded["input_ids"]) == text


def test_the_world_is_in_the_vocabulary(tokenizer: Any, texts: list[str]) -> None:
    assert all(tokenizer.unk_token_id not in ids for ids in tokenizer(texts)["input_ids"])
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_steps_begin_at_token_borders(tokenizer: Any, texts: list[str]) -> None:
    for text in texts:
        borders = {0, *(end for _, end in tokenizer(text, return_offsets_mapping=True)["offset_mapping"])}
        assert all(end in borders for _, end in step_spans(text))


def test_chat_template(tokenizer: Any) -> None:
    turns = [{"role": "user", "content": "Solve $x - 2 = 3$."}, {"role": "assistant", "content": "Step 1: x"}]
    prompt = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    assert prompt == "<|begin|><|user|>Solve $x - 2 = 3$.<|assistant|>"
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    assert whole == prompt + "Step 1: x<|end|>"
    ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id
    assert ids == tokenizer(whole)["input_ids"], "the tokenizer must not add a second BOS"


@pytest.mark.parametrize("name", STUDENTS)
def test_shipped_models(name: str, tokenizer: Any) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder: Path = MODELS / name
    assert (folder / "model.safetensors").stat().st_size <= 5_000_000
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert 500_000 <= model.num_parameters() <= 1_200_000
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == tokenizer.get_vocab()
    assert model.config.vocab_size == len(tokenizer)
    settings = model.generation_config
    assert (settings.eos_token_id, settings.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)


def test_models_solve_what_no_slip_threatens() -> None:
    """Greedy decoding on single-step sums without any tempting situation: even the weak model can add."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for name in STUDENTS:
        tokenizer = AutoTokenizer.from_pretrained(MODELS / name)
        model = AutoModelForCausalLM.from_pretrained(MODELS / name)
        right = 0
        sums = [(a, b) for a in range(2, 10) for b in range(2, 10 - a)]
        for a, b in sums:
            turn = [{"role": "user", "content": f"Find $({a}, {b}) + ({b}, {a})$."}]
            prompt = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt")
            with torch.no_grad():
                out = model.generate(**prompt, do_sample=False, max_new_tokens=60)
            answer = tokenizer.decode(out[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
            right += value(boxed(answer)) == Point(a + b, a + b)
        assert right / len(sums) > 0.7, name
