"""Verifications per second: a generative reward model against the plain script that asks the same.

``python benchmarks/verifications.py`` has a pocket model judge responses to the pocket test problems, in two ways that
a judge is read. Sampled replies: what ``bonbench score`` does with ``verifications: K``, against ``model.generate`` of
K replies to one question, or to several padded ones, and a search for the verdict. The first token: the same reward
model without sampling, against a forward pass over padded questions. The members of a comparison do the same work in
turn, in one process with one thread; printed are the medians over the rounds, and the median of the ratios within a
round. Equal responses to a problem are asked about once by BonBench; how many differ is printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

from bonbench.experiments.pocket.world import PocketDataset, PocketParams  # noqa: E402
from bonbench.generators.transformers import TransformersGenerator, TransformersParams  # noqa: E402
from harness.core.records import Sampling  # noqa: E402
from harness.core.seeds import response_seed  # noqa: E402
from harness.streams.scorer import Scorer  # noqa: E402

Row = tuple[str, str]
Judge = Callable[[], list[float | None]]
MODEL = str(ROOT / "experiments/pocket/models/middle")
BATCH = 32  # questions that the plain forward pass reads at once


def responses(n_problems: int, samples: int) -> list[Row]:
    """(problem, response) of the pocket test problems, all samples of a problem together."""
    problems = PocketDataset(PocketParams(split="test", limit=n_problems)).load()
    seeds = {p.problem_id: [response_seed(0, "middle", p.problem_id, i) for i in range(samples)] for p in problems}
    sampling = Sampling(n=samples, temperature=1.0, max_tokens=96)
    texts = {p.problem_id: p.problem for p in problems}
    generator = TransformersGenerator(TransformersParams(model=MODEL), "middle")
    return [(texts[r.problem_id], r.text) for r in generator.generate(problems, sampling, seeds)]


def replies_in_padded_batches(rows: Sequence[Row], k: int, max_tokens: int, batch: int) -> Judge:
    """The script: K sampled replies to each question, and the share of + among the verdicts."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    generator = TransformersGenerator(TransformersParams(model=MODEL), "judge")
    model, codec = generator.model, generator.codec

    def judge() -> list[float | None]:
        prompts = [codec.encode(f"{problem}\n{response}") for problem, response in rows]
        order = sorted(range(len(rows)), key=lambda i: -len(prompts[i]))
        scores: list[float | None] = [None] * len(rows)
        for at in range(0, len(rows), batch):
            members = order[at : at + batch]
            longest = len(prompts[members[0]])
            ids = torch.tensor([[0] * (longest - len(prompts[i])) + prompts[i] for i in members])
            output = model.generate(
                input_ids=ids,
                attention_mask=torch.tensor(
                    [[int(j >= longest - len(prompts[i])) for j in range(longest)] for i in members]
                ),
                do_sample=True,
                temperature=1.0,
                top_k=0,
                num_return_sequences=k,
                max_new_tokens=max_tokens,
                eos_token_id=codec.stop_ids,
                pad_token_id=codec.stop_ids[0],
            )
            texts = tokenizer.batch_decode(output[:, longest:], skip_special_tokens=True)
            for row, i in enumerate(members):
                said = [text.strip() == "+" for text in texts[row * k : row * k + k] if text.strip() in ("+", "-")]
                scores[i] = sum(said) / len(said) if said else None
        return scores

    return judge


def first_tokens_in_padded_batches(rows: Sequence[Row]) -> Judge:
    """The script: one forward pass over each question, the longest first, padded to the longest of its batch."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    generator = TransformersGenerator(TransformersParams(model=MODEL), "judge")
    model, codec = generator.model, generator.codec
    plus, minus = tokenizer.convert_tokens_to_ids(["+", "-"])

    @torch.inference_mode()
    def judge() -> list[float | None]:
        prompts = [codec.encode(f"{problem}\n{response}") for problem, response in rows]
        order = sorted(range(len(rows)), key=lambda i: -len(prompts[i]))
        scores: list[float | None] = [None] * len(rows)
        for at in range(0, len(rows), BATCH):
            members = order[at : at + BATCH]
            longest = max(len(prompts[i]) for i in members)
            ids = torch.zeros(len(members), longest, dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, i in enumerate(members):
                ids[row, : len(prompts[i])] = torch.tensor(prompts[i])
                mask[row, : len(prompts[i])] = 1
            hidden = model.model(input_ids=ids, attention_mask=mask).last_hidden_state
            logits = model.lm_head(hidden[torch.arange(len(members)), mask.sum(1) - 1])
            for i, p in zip(members, logits[:, [plus, minus]].softmax(-1)[:, 0].tolist(), strict=True):
                scores[i] = p
        return scores

    return judge


def scored(scorer: Scorer, rows: Sequence[Row]) -> list[float | None]:
    return [s.scores.step_rewards[0] if s.scores.step_rewards else None for s in scorer.score(rows)]


def compare(
    title: str, n: int, ours: Callable[[], Any], plain: Callable[[], Any], rounds: int
) -> tuple[list[float | None], list[float | None]]:
    """Print ``n`` verifications per second of both and their ratio, after a round for warming up; what both said."""
    speeds: list[tuple[float, float]] = []
    said: tuple[Any, Any] = (ours(), plain())
    for _ in range(rounds):
        pair = []
        for judge in (ours, plain):
            started = time.perf_counter()
            judge()
            pair.append(n / (time.perf_counter() - started))
        speeds.append((pair[0], pair[1]))
    a, b = (statistics.median(pair[which] for pair in speeds) for which in range(2))
    ratio = statistics.median(x / y for x, y in speeds)
    print(f"| {title} | {a:,.0f} | {b:,.0f} | {ratio:.2f} |", flush=True)
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=16)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--verifications", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = responses(options.problems, options.samples)
    k = options.verifications
    print(f"{len(rows)} responses to {options.problems} problems, {len(set(rows))} of them different\n")
    print("| verifications per second | ours | plain | ratio |\n| --- | --: | --: | --: |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        question = Path(folder) / "judge.jinja"
        question.write_text("{{ problem }}\n{{ response }}\n")
        asked = f"question={question},answer_yes=+,answer_no=-"
        sampled = Scorer(f"generative:generator={MODEL},{asked},verifications={k},max_tokens={options.max_tokens}")
        for batch in (1, BATCH):
            plain = replies_in_padded_batches(rows, k, options.max_tokens, batch)
            title = f"{k} replies of up to {options.max_tokens} tokens; plain: {batch} questions at once"
            compare(title, k * len(rows), lambda: scored(sampled, rows), plain, options.rounds)
        first = Scorer(f"generative:model={MODEL},{asked}")
        read, wanted = compare(
            f"the first token; plain: {BATCH} questions at once",
            len(rows),
            lambda: scored(first, rows),
            first_tokens_in_padded_batches(rows),
            options.rounds,
        )
    apart = max(abs(a - b) for a, b in zip(read, wanted, strict=True) if a is not None and b is not None)
    print(f"\nThe first token's probabilities are at most {apart:.1e} apart.")


if __name__ == "__main__":
    main()
