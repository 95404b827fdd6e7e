"""Numbered steps, which the published implicit reward models read; their entries; where their tokens belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny_models import make_model, make_tokenizer
from transformers import AutoModelForCausalLM

from bonbench.reward_models.implicit import ImplicitParams, ImplicitPRM
from bonbench.reward_models.known_models import KNOWN_IMPLICIT
from bonbench.reward_models.lm.token_logprobs import CausalLMParams, CausalLMScorer
from bonbench.reward_models.text.layouts import numbered
from harness.core.records import Problem, Response, Solution
from harness.core.stages import StageKind
from harness.core.steps import step_ends, step_of_token, step_spans
from harness.engine.build import build_graph
from harness.experiment.config import Experiment


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("Step 1: 3 + 4 = 7\nStep 2: 14.\nThe answer is 14", "Step 1: 3 + 4 = 7\n\nStep 2: 14.\nThe answer is 14"),
        ("So 7.\n\nThen 14.\n\n\nDone.\n", "Step 1: So 7.\n\nStep 2: Then 14.\n\nStep 3: Done."),
        ("7\n14", "Step 1: 7\n\nStep 2: 14"),
        ("**Step 3:** 7\n## Step 7: 14", "Step 1: 7\n\nStep 2: 14"),
        ("Well.\nstep 1. 7\n  Step 2: ", "Step 1: Well.\n\nStep 2: 7\n\nStep 3: "),
        ("", "Step 1: "),
        (" \n", "Step 1: "),
    ],
)
def test_how_responses_are_rewritten(text: str, rewritten: str) -> None:
    assert numbered([text[a:b] for a, b in step_spans(text)])[0] == rewritten


_LINES = st.lists(
    st.sampled_from(["Step 1:", "Step 2. x", "**Step 3:** y", "", "  ", "7 + 7", "ä 😀", "\t", "1", "Step"]), max_size=8
).map("\n".join)


@settings(max_examples=300)
@given(_LINES)
def test_offsets_stay_in_their_step(text: str) -> None:
    rewritten, origins = numbered([text[a:b] for a, b in step_spans(text)])
    assert len(origins) == len(rewritten) + 1
    assert origins == sorted(origins)
    assert origins[-1] == len(text)
    # Parse the new text by its own numbers: paragraph k holds what came from step k.
    ends, begin = step_ends(text), 0
    for k in range(1, len(ends) + 1):
        assert rewritten.startswith(f"Step {k}: ", begin)
        end = rewritten.find(f"\n\nStep {k + 1}: ", begin) + 2 if k < len(ends) else len(rewritten)
        assert set(step_of_token(ends, tuple(origins[begin + 1 : end + 1]))) == {k - 1}
        # Characters that were kept end where they did.
        for offset in range(begin + len(f"Step {k}: ") + 1, end - 2 if k < len(ends) else end):
            assert text[origins[offset] - 1] == rewritten[offset - 1]
        begin = end


def test_the_model_reads_the_numbered_text(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    folder, tokenizer = make_model(tmp_path, seed=2), make_tokenizer()
    text = "Compute 3 + 4 = 7\n\nThe answer is 14."
    solution = Solution(Problem("p", "2 + 2", "4"), Response("p", "g", 0, text, finish_reason="stop"))
    record = CausalLMScorer(CausalLMParams(model=folder, steps="numbered")).logprobs([solution])[0]
    prompt = "<|bos|><|user|>2 + 2<|end|><|assistant|>"
    read = "Step 1: Compute 3 + 4 = 7\n\nStep 2: The answer is 14."
    n_prompt = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    whole = tokenizer(prompt + read + "<|end|>", add_special_tokens=False, return_offsets_mapping=True)
    ids = whole["input_ids"]
    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(folder)(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    expected = [float(logits[t - 1, ids[t]]) for t in range(n_prompt, len(ids))]
    np.testing.assert_allclose(record.logprobs, expected, atol=1e-5)
    # The second step begins with its number; the end-of-turn token is its last.
    second = read.index("Step 2")
    first_tokens = [end - len(prompt) <= second for _, end in whole["offset_mapping"][n_prompt:]]
    steps = step_of_token(step_ends(text), record.token_ends)
    assert steps == [0 if first else 1 for first in first_tokens]
    assert record.token_ends[-2:] == (len(text), len(text))

    passes = {"policy": record}
    prm = ImplicitPRM(ImplicitParams(policy=folder, reference=None, beta=0.001, steps="numbered"))
    rewards = prm.score([Solution(solution.problem, solution.response, passes)])[0].step_rewards
    n_first = sum(first_tokens)
    assert rewards == pytest.approx((0.001 * sum(expected[:n_first]), 0.001 * sum(expected[n_first:])), abs=1e-7)


def test_entries_of_published_models_are_short() -> None:
    for policy, known in KNOWN_IMPLICIT.items():
        params = ImplicitParams.model_validate({"policy": policy})
        assert (params.reference, params.beta, params.steps) == (known["reference"], 0.001, "numbered")
        ImplicitPRM.check(params)
        other = ImplicitParams.model_validate({"policy": policy, "reference": None, "beta": 0.05})
        assert (other.reference, other.beta, other.steps) == (None, 0.05, "numbered")
    with pytest.raises(ValidationError, match="reference"):
        ImplicitParams.model_validate({"policy": "meta-llama/Llama-3.1-8B-Instruct"})


def test_passes_over_numbered_steps_are_shared_and_kept_apart() -> None:
    entries = {
        "dpo": {"type": "implicit", "policy": "Windy0822/ImplicitPRM_DPO"},
        "ce": {"type": "implicit", "policy": "Windy0822/ImplicitPRM_CE"},
        "llama": {"type": "implicit", "policy": "meta-llama/Llama-3.1-8B-Instruct", "reference": None},
    }
    graph = build_graph(
        Experiment.model_validate(
            {
                "name": "x",
                "problems": {"test": {"dataset": "pocket", "split": "test", "limit": 2}},
                "sampling": {"n": 2, "max_tokens": 64},
                "generators": {"weak": {"type": "transformers", "model": "experiments/pocket/models/weak"}},
                "reward_models": entries,
                "evaluation": {"n": [1]},
            }
        )
    )
    reference = "meta-llama-Llama-3.1-8B-Instruct"
    assert sorted(stage.who for stage in graph.stages if stage.kind is StageKind.TOKEN_PASS) == [
        "Windy0822-ImplicitPRM_CE-numbered",
        "Windy0822-ImplicitPRM_DPO-numbered",
        reference,
        f"{reference}-numbered",
    ]
    assert graph.passes["ce"]["reference"] == graph.passes["dpo"]["reference"] == f"{reference}-numbered"
