"""``LLM.generate`` in a process of its own, for ``benchmarks/generation.py``: whatever is asked is one call.

Reads one JSON object per line: first the arguments of ``vllm.LLM``, then requests (``prompts``, token ids; ``seeds``;
``temperature``; ``max_tokens``; ``stop_token_ids``). Answers the tokens that were sampled and the seconds that it took.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    from vllm import LLM, SamplingParams, TokensPrompt

    llm = LLM(**json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        asked = json.loads(line)
        started = time.perf_counter()
        shared = {key: asked[key] for key in ("temperature", "max_tokens", "stop_token_ids")}
        settings = [SamplingParams(**shared, seed=seed, detokenize=False) for seed in asked["seeds"]]
        prompts = [TokensPrompt(prompt_token_ids=ids) for ids in asked["prompts"]]
        outputs = llm.generate(prompts, settings, use_tqdm=False)
        tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
        print(json.dumps([tokens, time.perf_counter() - started]), file=answers, flush=True)


if __name__ == "__main__":
    main()
