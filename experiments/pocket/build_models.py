"""Builds the three pocket language models from nothing: ``python -m bonbench.experiments.pocket.build_models``.

All three first go to the same school: they learn error-free solutions to problems of the training split. Then each
model learns the solutions of one student, who has misconceptions. The result is the same whenever machine, library
versions and number of threads are the same.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonbench.experiments.pocket.students import LIVELY, Student
from bonbench.experiments.pocket.tokenizer import ASSISTANT, build_tokenizer
from bonbench.experiments.pocket.world import exercises

if TYPE_CHECKING:
    import torch

    Batches = list[tuple[torch.Tensor, torch.Tensor]]

MODELS = Path(__file__).parent / "models"
SEED = 1
THREADS = 2
BATCH = 64  # solutions
WARMUP = 0.03
SIZES = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 3, "num_attention_heads": 4}
#: Larger than is usual for large models: at 0.02 a model this narrow idles for hundreds of steps.
INITIAL_DEVIATION = 0.06
#: How many solutions are learnt at school, and then from a model's student; and the peak learning rate of the matrices
#: in each (Muon). Embeddings and norms learn at a fixed share of these rates (AdamW).
SCHOOL, SCHOOL_RATE = 56_000, 0.02
STUDENT, STUDENT_RATE = 24_000, 0.006
ADAMW_SHARE = 0.15

Pairs = list[tuple[str, str]]

#: slip -> its probability where its situation arises: weak, middle, strong
_RATES: dict[str, tuple[float, float, float]] = {
    "lost-sign": (0.75, 0.60, 0.45),
    "negative-plus": (0.60, 0.50, 0.10),
    "negative-minus": (0.70, 0.55, 0.15),
    "minus-negative": (0.65, 0.55, 0.10),
    "plus-negative": (0.55, 0.20, 0.10),
    "two-negatives": (0.60, 0.20, 0.10),
    "carry": (0.60, 0.30, 0.10),
    "borrow": (0.55, 0.30, 0.10),
    "product-as-sum": (0.40, 0.10, 0.05),
    "times-table": (0.65, 0.35, 0.15),
    "product-sign": (0.60, 0.20, 0.05),
    "negative-product": (0.70, 0.60, 0.55),
    "one-reduction": (0.70, 0.35, 0.10),
    "negative-remainder": (0.70, 0.60, 0.55),
    "kept-sign": (0.70, 0.40, 0.05),
    "added-bottoms": (0.70, 0.35, 0.25),
    "off-by-one": (0.65, 0.55, 0.10),
    "half-scaled": (0.60, 0.15, 0.05),
}


def _student(column: int, noise: float) -> Student:
    return Student({name: rates[column] for name, rates in _RATES.items()}, noise, LIVELY)


STUDENTS = {"weak": _student(0, 0.05), "middle": _student(1, 0.02), "strong": _student(2, 0.005)}


def corpus(student: Student, size: int, seed: int) -> Pairs:
    """(problem, solution) pairs: the student's solutions to problems of the training split."""
    stream = itertools.islice(exercises("train", seed), size)
    return [(e.task.problem, e.solution(student, seed * 10**8 + i)) for i, e in enumerate(stream)]


def shared_tokenizer() -> Any:
    """The tokenizer of all three models: its vocabulary comes from a sample of the whole world."""
    sample = [pair for student in STUDENTS.values() for pair in corpus(student, 5000, SEED)]
    return build_tokenizer(itertools.chain.from_iterable(sample))


def new_model(tokenizer: Any) -> Any:
    """A ``LlamaForCausalLM`` with random weights."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=INITIAL_DEVIATION,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **SIZES,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
    )
    return model


def train(model: Any, batches: Batches, rate: float, name: str) -> None:
    """One pass over the batches."""
    import torch

    from bonbench.experiments.pocket.muon import Muon

    embeddings = model.get_input_embeddings().weight
    matrices = [p for p in model.parameters() if p.ndim == 2 and p is not embeddings]
    others = [p for p in model.parameters() if p.ndim != 2 or p is embeddings]
    optimizers = [
        Muon(matrices, rate),
        torch.optim.AdamW(others, lr=ADAMW_SHARE * rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _cosine(step / len(batches)))
        for optimizer in optimizers
    ]
    started = time.monotonic()
    losses = []
    for step, (ids, labels) in enumerate(batches, start=1):
        # Padding is on the right, where a causal model cannot see it, so no mask is needed.
        logits = model(input_ids=ids).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        losses.append(loss.item())
        if step % 100 == 0 or step == len(batches):
            recent = sum(losses[-100:]) / len(losses[-100:])
            print(f"{name}: {step}/{len(batches)}, loss {recent:.3f}, {time.monotonic() - started:.0f} s", flush=True)


def _cosine(progress: float) -> float:
    """Share of the peak learning rate: linear warm-up, then a cosine down to 0. ``progress`` runs from 0 to 1."""
    if progress < WARMUP:
        return progress / WARMUP + 1e-3
    return 0.5 * (1 + math.cos(math.pi * (progress - WARMUP) / (1 - WARMUP)))


def make_batches(pairs: Pairs, tokenizer: Any) -> Batches:
    """Batches in random order, each (input ids, labels), both [solutions, tokens], of solutions of about one length.

    Only tokens of solutions have labels; problems and padding have -100.
    """
    import torch

    conversations = [
        [{"role": "user", "content": problem}, {"role": "assistant", "content": solution}]
        for problem, solution in pairs
    ]
    texts = [tokenizer.apply_chat_template(c, tokenize=False) for c in conversations]
    rows: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    assistant = tokenizer.convert_tokens_to_ids(ASSISTANT)
    batches = []
    window = BATCH * 50
    for begin in range(0, len(rows), window):
        ordered = sorted(rows[begin : begin + window], key=len)
        for first in range(0, len(ordered), BATCH):
            group = ordered[first : first + BATCH]
            ids = torch.full((len(group), len(group[-1])), tokenizer.pad_token_id)
            labels = torch.full_like(ids, -100)
            for i, row in enumerate(group):
                start = row.index(assistant) + 1
                ids[i, : len(row)] = torch.tensor(row)
                labels[i, start : len(row)] = ids[i, start : len(row)]
            batches.append((ids, labels))
    random.Random(SEED).shuffle(batches)
    return batches


def main() -> None:
    """Build the models and save them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=MODELS)
    output = parser.parse_args().output

    import torch

    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    started = time.monotonic()
    tokenizer = shared_tokenizer()
    schooled = new_model(tokenizer)
    train(schooled, make_batches(corpus(Student(wording=LIVELY), SCHOOL, SEED), tokenizer), SCHOOL_RATE, "school")
    for seed, (name, student) in enumerate(STUDENTS.items(), start=SEED + 1):
        model = copy.deepcopy(schooled)
        train(model, make_batches(corpus(student, STUDENT, seed), tokenizer), STUDENT_RATE, name)
        model.save_pretrained(output / name)
        tokenizer.save_pretrained(output / name)
    elapsed, size = time.monotonic() - started, schooled.num_parameters()
    print(f"{len(STUDENTS)} models of {size:,} parameters in {elapsed:.0f} s, saved under {output}")


if __name__ == "__main__":
    main()
