"""Implicit rewards against a plain loop: processor time, peak memory, equal scores.

``python benchmarks/scoring.py [--model FOLDER_OR_GGUF]`` scores recorded MATH-500 responses (read from BONBENCH_DATA,
without those too long for the model) with one policy and its reference, and with four policies that share a reference.
The plain loop takes responses as they come, four at a time, padded on the right, and makes a float32 log-softmax of all
logits, for policy and reference each time, both in memory. They come problem by problem, or mixed: every problem's
first response, then every problem's second. Each way runs in a process of its own, on one thread, and they take turns
every few seconds. Loading is not counted. The policies are the reference with a little noise on its weights. Tokens are
those that went through a model, padding included: their ratio is what the ratio of the times would be if every token
took equally long.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from bonbench.reward_models.implicit import ImplicitParams, ImplicitPRM  # noqa: E402
from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer  # noqa: E402
from bonbench.reward_models.text.encoding import SolutionEncoder  # noqa: E402
from harness.core.records import Problem, Response, Solution, TokenLogprobs  # noqa: E402
from harness.experiment.model_files import loadable  # noqa: E402
from harness.streams.score import BATCH  # noqa: E402

DATA = Path(os.environ.get("BONBENCH_DATA", ROOT.parent / "shared" / "data")) / "math500_recorded.jsonl.gz"
PLAIN_BATCH = 4


def recorded(n_problems: int, n_samples: int, model: str) -> list[Solution]:
    """Solutions to the first problems, in the file's order, without those too long for the model."""
    encoder = SolutionEncoder(AutoTokenizer.from_pretrained(model), model)
    limit = json.loads((Path(model) / "config.json").read_text())["max_position_embeddings"]
    solutions: list[Solution] = []
    with gzip.open(DATA, "rt") as lines:
        for row in map(json.loads, lines):
            problem = Problem(row["problem_id"], row["problem"], row["gold"])
            texts = [sample["text"] for sample in row["samples"][:n_samples]]
            encoded = encoder.encode([(problem.problem, text, True) for text in texts])
            fit = [
                Solution(problem, Response(problem.problem_id, "recorded", i, text, finish_reason="stop"))
                for i, (text, tokens) in enumerate(zip(texts, encoded, strict=True))
                if len(tokens.ids) <= limit
            ]
            solutions += fit
            n_problems -= bool(fit)
            if not n_problems:
                break
    return solutions


def rewards(
    solutions: list[Solution], policy: list[TokenLogprobs], reference: list[TokenLogprobs]
) -> list[list[float]]:
    prm = ImplicitPRM(ImplicitParams(policy="policy", reference="reference"))
    batch = [
        Solution(s.problem, s.response, {"policy": p, "reference": r})
        for s, p, r in zip(solutions, policy, reference, strict=True)
    ]
    return [list(record.step_rewards) for record in prm.score(batch)]


class Work:
    """What a way does, in turn with the others: its processor seconds without those of loading, and the tokens read."""

    def __init__(self, n_pieces: int) -> None:
        self.tokens, self._loading, self._done, self._n_pieces = 0, 0.0, 0, n_pieces
        self._started = time.process_time()

    def seconds(self) -> float:
        return time.process_time() - self._started - self._loading

    def load(self, loader: Callable[[], Any]) -> Any:
        started = time.process_time()
        loaded = loader()
        self._loading += time.process_time() - started
        return loaded

    def count(self, model: Any) -> None:
        """From here on, tokens that the model reads are counted."""
        model.get_input_embeddings().register_forward_hook(self._read)

    def _read(self, _: Any, inputs: Any, output: Any) -> None:
        self.tokens += inputs[0].numel()

    def piece(self) -> None:
        """A piece is done: says how far the work is, and waits to be told to go on."""
        self._done += 1
        print(self._done / self._n_pieces, flush=True)
        sys.stdin.readline()


def ours(solutions: list[Solution], policies: list[str], reference: str) -> tuple[Work, list[Any]]:
    portions = [solutions[i : i + BATCH] for i in range(0, len(solutions), BATCH)]
    work = Work(len(portions) * (1 + len(policies)))

    def logprobs(model: str) -> list[TokenLogprobs]:
        # As in a run: a pass per model, each for itself.
        scorer = work.load(lambda: CausalLMScorer(CausalLMParams(model=model, dtype="float32")))
        work.count(scorer.model)
        values = []
        for portion in portions:
            values += scorer.logprobs(portion)
            work.piece()
        return values

    shared = logprobs(reference)
    return work, [rewards(solutions, logprobs(policy), shared) for policy in policies]


@torch.inference_mode()
def plain(solutions: list[Solution], policies: list[str], reference: str) -> tuple[Work, list[Any]]:
    work = Work(2 * len(policies) * -(-len(solutions) // PLAIN_BATCH))

    def load(model: str) -> Any:
        loaded = work.load(lambda: AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32))
        work.count(loaded)
        return loaded

    def logprobs(model: Any) -> list[TokenLogprobs]:
        found = []
        for start in range(0, len(solutions), PLAIN_BATCH):
            batch = solutions[start : start + PLAIN_BATCH]
            encoded = encoder.encode([(s.problem.problem, s.response.text, True) for s in batch])
            longest = max(len(tokens.ids) for tokens in encoded)
            ids = torch.tensor([tokens.ids + [0] * (longest - len(tokens.ids)) for tokens in encoded])
            mask = torch.tensor([[1] * len(t.ids) + [0] * (longest - len(t.ids)) for t in encoded])
            everything = model(input_ids=ids, attention_mask=mask).logits.float().log_softmax(dim=-1)
            chosen = everything[:, :-1].gather(-1, ids[:, 1:, None])[:, :, 0]
            for row, (solution, tokens) in enumerate(zip(batch, encoded, strict=True)):
                response = solution.response
                values = chosen[row, tokens.n_prompt - 1 : len(tokens.ids) - 1].tolist()
                names = (response.problem_id, response.generator, response.sample)
                found.append(TokenLogprobs(*names, tuple(values), tuple(tokens.token_ends), tokens.n_prompt))
            work.piece()
        return found

    encoder = work.load(lambda: SolutionEncoder(AutoTokenizer.from_pretrained(reference), reference))
    its_reference = load(reference)
    return work, [rewards(solutions, logprobs(load(policy)), logprobs(its_reference)) for policy in policies]


def mixed(solutions: list[Solution], policies: list[str], reference: str) -> tuple[Work, list[Any]]:
    order = sorted(range(len(solutions)), key=lambda i: (solutions[i].response.sample, i))
    work, scores = plain([solutions[i] for i in order], policies, reference)
    return work, [[one for _, one in sorted(zip(order, own, strict=True))] for own in scores]


WAYS = {"ours": ours, "plain": plain, "mixed": mixed}


def one_way(options: argparse.Namespace) -> None:
    """Runs in a process of its own; prints how far it is after every piece, then what came out."""
    torch.set_num_threads(1)
    solutions = recorded(options.problems, options.samples, options.model)
    work, scores = WAYS[options.way](solutions, options.folders, options.model)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": work.seconds(), "tokens": work.tokens, "memory": memory, "scores": scores}))


def in_turn(options: argparse.Namespace, policies: list[str]) -> dict[str, dict[str, Any]]:
    """Each way's seconds, tokens, peak memory in MiB, scores [policy][response][step].

    One works at a time, always that which is least far: how fast the machine is may change within minutes.
    """
    arguments = ["--model", options.model, "--problems", str(options.problems), "--samples", str(options.samples)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    children: dict[str, Any] = {}
    outcomes, progress = {}, {}
    for way in WAYS:
        command = [sys.executable, __file__, *arguments, "--way", way, "--folders", *policies]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        children[way] = subprocess.Popen(command, env=environment, **pipes)
        progress[way] = float(next(children[way].stdout))
    while progress:
        way = min(progress, key=progress.__getitem__)
        print(file=children[way].stdin, flush=True)
        said = json.loads(next(children[way].stdout))
        if isinstance(said, float):
            progress[way] = said
        else:
            outcomes[way] = said
            del progress[way]
    return outcomes


def noisy(model: str, folder: Path, seed: int) -> str:
    torch.manual_seed(seed)
    lm = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    with torch.no_grad():
        for weight in lm.parameters():
            weight += 0.02 * weight.std() * torch.randn_like(weight)
    lm.save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return str(folder)


def difference(some: list[Any], others: list[Any]) -> float:
    """The largest one between two sets of scores [policy][response][step]."""
    return max(
        abs(x - y)
        for a, b in zip(some, others, strict=True)
        for steps, other_steps in zip(a, b, strict=True)
        for x, y in zip(steps, other_steps, strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "experiments/pocket/models/strong"))
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--policies", type=int, nargs="+", default=[1, 4], help="so many with one reference (1 4)")
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--folders", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not DATA.is_file():
        print(f"no recorded responses at {DATA}: set BONBENCH_DATA", file=sys.stderr)
        return
    options.model = loadable(CausalLMParams(model=options.model)).model
    if options.way:
        one_way(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        policies = [noisy(options.model, Path(folder) / str(seed), seed) for seed in range(max(options.policies))]
        print(
            "| policies | loop | ours, s | loop, s | ratio | ours, tokens | loop, tokens | ratio | ours, MiB "
            "| loop, MiB | responses | difference |"
        )
        print(f"|{' --- |' * 12}", flush=True)
        for n in options.policies:
            outcomes = in_turn(options, policies[:n])
            own = outcomes["ours"]
            for way, name in (("plain", "by problem"), ("mixed", "mixed")):
                loop = outcomes[way]
                print(
                    f"| {n} | {name} | {own['seconds']:.1f} | {loop['seconds']:.1f} | "
                    f"{loop['seconds'] / own['seconds']:.2f} | {own['tokens']:,} | {loop['tokens']:,} | "
                    f"{loop['tokens'] / own['tokens']:.2f} | {own['memory']:.0f} | {loop['memory']:.0f} | "
                    f"{len(own['scores'][0])} | {difference(own['scores'], loop['scores']):.1e} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
