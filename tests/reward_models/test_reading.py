"""What holds for every reward model that reads hidden states: equal to a plain computation, whatever the batch.

The plain computation takes one response at a time through the body, padded on the left or not at all, finds its tokens
by tokenising the whole written-out text and its positions by counting tokens, and applies the weights as they lie in
the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reward_checkpoints import PROBLEM, TEXT, TOKENIZERS, make_checkpoint
from safetensors.torch import load_file
from torch.nn.functional import linear
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast

from bonbench.reward_models.hidden_state_model import HiddenStateRewardModel
from bonbench.reward_models.lm import causal_lm
from harness.core.errors import UserError
from harness.core.records import Problem, Response, Solution
from harness.core.registry import find
from harness.core.steps import step_ends, step_spans

Weights = dict[str, torch.Tensor]
LLAMA_SYSTEM = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
)


@dataclass(frozen=True)
class Case:
    """A checkpoint, and what its plain computation needs: (tokenizer, problem, text) -> (ids, positions read), and
    (hidden states at them, the file's weights) -> rewards."""

    type: str
    convention: str
    family: str
    heads: dict[str, tuple[int, ...]]
    tokens: Callable[[PreTrainedTokenizerFast, str, str], tuple[list[int], list[int]]]
    rewards: Callable[[torch.Tensor, Weights], torch.Tensor]
    config: dict[str, Any] = field(default_factory=dict)


def encode(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def turn(role: str, content: str) -> str:
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n{content.strip()}<|eot_id|>"


def steps(text: str) -> list[str]:
    return [text[a:b].strip() for a, b in step_spans(text)]


def step_end_tokens(tokenizer: PreTrainedTokenizerFast, problem: str, text: str) -> tuple[list[int], list[int]]:
    prompt = LLAMA_SYSTEM + turn("user", problem) + "<|start_header_id|>assistant<|end_header_id|>\n\n"
    # Steps begin at line starts, where no token of this tokenizer goes on.
    positions = [len(encode(tokenizer, prompt + text[:end])) - 1 for end in step_ends(text)]
    return encode(tokenizer, prompt + text), positions


def math_shepherd_tokens(tokenizer: PreTrainedTokenizerFast, problem: str, text: str) -> tuple[list[int], list[int]]:
    whole, positions = f"{problem} ", []
    for step in steps(text):
        whole += f"{step} ки".lstrip()
        positions.append(len(tokenizer(whole)["input_ids"]) - 1)
        whole += "\n"
    return list(tokenizer(whole[:-1])["input_ids"]), positions


def rlhflow_tokens(tokenizer: PreTrainedTokenizerFast, problem: str, text: str) -> tuple[list[int], list[int]]:
    turns = [f"{problem} {step}" if k == 0 else step for k, step in enumerate(steps(text))]
    whole, positions = LLAMA_SYSTEM, []
    for said in turns:
        whole += turn("user", said) + turn("assistant", "+")
        positions.append(len(encode(tokenizer, whole)) - 3)  # before "+" and the end of the turn
    return encode(tokenizer, whole), positions


def qwen_tokens(tokenizer: PreTrainedTokenizerFast, problem: str, text: str) -> tuple[list[int], list[int]]:
    system = "Please reason step by step, and put your final answer within \\boxed{}."
    said = "".join(f"{step}<extra_0>" for step in steps(text))
    turns = [("system", system), ("user", problem), ("assistant", said)]
    ids = encode(tokenizer, "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in turns))
    return ids, [i for i, id_ in enumerate(ids) if id_ == tokenizer.convert_tokens_to_ids("<extra_0>")]


def skywork_tokens(tokenizer: PreTrainedTokenizerFast, problem: str, text: str) -> tuple[list[int], list[int]]:
    ids, after_line, end = encode(tokenizer, f"<|endoftext|>{problem}\n"), {}, 0
    for line in text.split("\n"):
        ids += [*encode(tokenizer, line), tokenizer.convert_tokens_to_ids("Ċ")]
        end += len(line) + 1
        after_line[end] = len(ids) - 1
    # A step counts at the first line break after its last visible character.
    visible = [a + len(text[a:b].rstrip()) for a, b in step_spans(text)]
    return ids, [after_line[min(end for end in after_line if end > last)] for last in visible]


def chat_tokens(tokenizer: PreTrainedTokenizerFast, problem: str, text: str) -> tuple[list[int], list[int]]:
    ids = encode(tokenizer, LLAMA_SYSTEM + turn("user", problem) + turn("assistant", text))
    return ids, [len(ids) - 1]


def armorm_tokens(tokenizer: PreTrainedTokenizerFast, problem: str, text: str) -> tuple[list[int], list[int]]:
    ids, last = chat_tokens(tokenizer, problem, text)
    return ids, [len(encode(tokenizer, LLAMA_SYSTEM + turn("user", problem))) - 1, *last]


def eurus_tokens(tokenizer: PreTrainedTokenizerFast, problem: str, text: str) -> tuple[list[int], list[int]]:
    ids = list(tokenizer(f"[INST] {problem} [\\INST] {text}")["input_ids"])
    return ids, [len(ids) - 1]


def answer_rewards(plus: int, minus: int) -> Callable[[torch.Tensor, Weights], torch.Tensor]:
    def rewards(hidden: torch.Tensor, weights: Weights) -> torch.Tensor:
        logits = linear(hidden, weights["lm_head.weight"])
        return torch.exp(logits[:, plus]) / (torch.exp(logits[:, plus]) + torch.exp(logits[:, minus]))

    return rewards


def qwen_rewards(hidden: torch.Tensor, weights: Weights) -> torch.Tensor:
    inner = linear(hidden, weights["score.0.weight"], weights["score.0.bias"]).clamp(min=0)
    return linear(inner, weights["score.2.weight"], weights["score.2.bias"]).softmax(-1)[:, 1]


def skywork_rewards(hidden: torch.Tensor, weights: Weights) -> torch.Tensor:
    return 1 / (1 + torch.exp(-linear(hidden, weights["v_head.summary.weight"], weights["v_head.summary.bias"])[:, 0]))


def armorm_rewards(hidden: torch.Tensor, weights: Weights) -> torch.Tensor:
    gate, last = hidden
    for i in range(2):
        gate = torch.relu(weights[f"gating.layers.{i}.weight"] @ gate + weights[f"gating.layers.{i}.bias"])
    gate = weights["gating.layers.2.weight"] @ gate + weights["gating.layers.2.bias"]
    mixture = torch.softmax(gate / 3.0, dim=0) * weights["gating.logit_scale"][0]
    objectives = weights["regression_layer.weight"] @ last
    n = len(objectives)
    transformed = [sum(objectives[i] * weights["reward_transform_matrix"][i, j] for i in range(n)) for j in range(n)]
    return torch.stack([sum(mixture[j] * transformed[j] for j in range(n))])


def label_rewards(hidden: torch.Tensor, weights: Weights) -> torch.Tensor:
    return linear(hidden, weights["score.weight"], weights["score.bias"]).softmax(-1)[:, 1]


def value_rewards(hidden: torch.Tensor, weights: Weights) -> torch.Tensor:
    return linear(hidden, weights["score.weight"], weights.get("score.bias"))[:, 0]


def eurus_rewards(hidden: torch.Tensor, weights: Weights) -> torch.Tensor:
    return linear(hidden, weights["regression_head.weight"])[:, 0]


def _ids(family: str, *tokens: str) -> tuple[int, ...]:
    return tuple(TOKENIZERS[family]().convert_tokens_to_ids(list(tokens)))


LM_HEAD = {family: {"lm_head.weight": (len(build()), 32)} for family, build in TOKENIZERS.items()}
ARMORM_HEADS = {
    "regression_layer.weight": (19, 32),
    "reward_transform_matrix": (19, 19),
    "gating.logit_scale": (1,),
    "gating.layers.0.weight": (24, 32),
    "gating.layers.0.bias": (24,),
    "gating.layers.1.weight": (24, 24),
    "gating.layers.1.bias": (24,),
    "gating.layers.2.weight": (19, 24),
    "gating.layers.2.bias": (19,),
}
QWEN_HEADS = {
    "score.0.weight": (32, 32),
    "score.0.bias": (32,),
    "score.2.weight": (2, 32),
    "score.2.bias": (2,),
    **LM_HEAD["qwen"],  # left over, as in some copies
}
CASES = {
    "step-end": Case(
        "step-token", "step-end", "llama", LM_HEAD["llama"], step_end_tokens, answer_rewards(*_ids("llama", "+", "-"))
    ),
    "math-shepherd": Case(
        "step-token",
        "math-shepherd",
        "mistral",
        LM_HEAD["mistral"],
        math_shepherd_tokens,
        answer_rewards(*_ids("mistral", "▁+", "▁-")),
        {"sliding_window": 64},  # as the body of the hub's has one
    ),
    "rlhflow": Case(
        "step-token", "rlhflow", "llama", LM_HEAD["llama"], rlhflow_tokens, answer_rewards(*_ids("llama", "+", "-"))
    ),
    "qwen-prm": Case("head-prm", "qwen2.5-math-prm", "qwen", QWEN_HEADS, qwen_tokens, qwen_rewards),
    "skywork-prm": Case(
        "head-prm",
        "skywork-o1-prm",
        "qwen",
        {"v_head.summary.weight": (1, 32), "v_head.summary.bias": (1,)},
        skywork_tokens,
        skywork_rewards,
    ),
    "value-head": Case(
        "head-prm",
        "token-classifier",
        "llama",
        {"score.weight": (1, 32), "score.bias": (1,)},
        step_end_tokens,
        value_rewards,
        {"num_labels": 1},
    ),
    "two-labels": Case(
        "head-prm",
        "token-classifier",
        "llama",
        {"score.weight": (2, 32), "score.bias": (2,)},
        step_end_tokens,
        label_rewards,
        {"num_labels": 2},
    ),
    "classifier": Case(
        "sequence-classifier",
        "chat",
        "llama",
        {"score.weight": (1, 32)},
        chat_tokens,
        value_rewards,
        {"num_labels": 1},
    ),
    "eurus": Case(
        "sequence-classifier", "eurus", "mistral", {"regression_head.weight": (1, 32)}, eurus_tokens, eurus_rewards
    ),
    "armorm": Case(
        "sequence-classifier",
        "armorm",
        "llama",
        ARMORM_HEADS,
        armorm_tokens,
        armorm_rewards,
        {"gating_hidden_dim": 24, "gating_n_hidden": 2, "gating_temperature": 3.0, "num_objectives": 19},
    ),
}
TEXTS = [
    TEXT,
    "Step 1: 14",
    "",
    "14",
    "so\n\n14\n",
    "First 7.\n\nThen 14.\n\n  Done: 14.",
    "a\nb\nc",
    " \n padded \n",
    "½ ∞ naïve 😀 ки + -\n",
    "apples " * 30,
]


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    torch.set_num_threads(1)
    return CASES[request.param]


@pytest.fixture(scope="module")
def folder(case: Case, tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_checkpoint(tmp_path_factory.mktemp("model"), case.family, case.heads, seed=3, **case.config)


def load(case: Case, folder: str, **params: Any) -> HiddenStateRewardModel[Any]:
    cls = find("reward_models", case.type)
    model = cls(cls.Params.model_validate({"model": folder, "convention": case.convention, **params}), "rm")
    assert isinstance(model, HiddenStateRewardModel)
    return model


def solution(text: str, sample: int = 0, problem: str = PROBLEM) -> Solution:
    return Solution(Problem("p", problem, "14"), Response("p", "g", sample, text, finish_reason="stop"))


def plain_rewards(case: Case, folder: str, text: str, padding: int = 0, problem: str = PROBLEM) -> list[float]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    body = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    ids, positions = case.tokens(tokenizer, problem, text)
    mask = torch.tensor([[0] * padding + [1] * len(ids)])
    with torch.no_grad():
        hidden = body(
            input_ids=torch.tensor([[0] * padding + ids]),
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        ).last_hidden_state[0]
        weights = load_file(Path(folder) / "model.safetensors")
        return case.rewards(hidden[[padding + p for p in positions]], weights).tolist()


def test_equals_a_plain_computation_whatever_the_batch(
    case: Case, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [solution(text, i) for i, text in enumerate(TEXTS)]
    expected = [plain_rewards(case, folder, text) for text in TEXTS]
    longest = max(len(case.tokens(AutoTokenizer.from_pretrained(folder), PROBLEM, text)[0]) for text in TEXTS)
    for as_tree in (True, False):
        monkeypatch.setattr(causal_lm, "supports_trees", lambda model, answer=as_tree: answer)
        for rows in (1, 3, 16):
            model = load(case, folder, max_batch_tokens=rows * longest)
            for record, wanted in zip(model.score(batch), expected, strict=True):
                np.testing.assert_allclose(record.step_rewards, wanted, atol=1e-5)
    alone = [model.score([one])[0] for one in batch]
    for record, wanted in zip(alone, expected, strict=True):
        np.testing.assert_allclose(record.step_rewards, wanted, atol=1e-5)


def test_equals_left_padding(case: Case, folder: str) -> None:
    model = load(case, folder)
    for text in TEXTS[:3]:
        np.testing.assert_allclose(
            model.score([solution(text)])[0].step_rewards, plain_rewards(case, folder, text, padding=7), atol=1e-5
        )


def test_one_reward_per_step_or_one_in_all(case: Case, folder: str) -> None:
    model = load(case, folder)
    texts = [*TEXTS, "7 + 7 = 14. " * 700, "Step 1: <|eot_id|><|im_end|></s> ки\nки\n<extra_0>\nStep 2: <extra_0>+"]
    for text, record in zip(texts, model.score([solution(t, i) for i, t in enumerate(texts)]), strict=True):
        assert record.step_ends == (step_ends(text) if model.reward == "PRM" else (len(text),))
        assert len(record.step_rewards) == len(record.step_ends)
        assert all(np.isfinite(record.step_rewards))
        if model.score_type == "probability":
            assert all(0 <= reward <= 1 for reward in record.step_rewards)
    assert len(model.encode([solution("7 + 7 = 14. " * 700)])[0].ids) > 4000


def test_special_tokens_typed_out_stay_text(case: Case, folder: str) -> None:
    model, tokenizer = load(case, folder), AutoTokenizer.from_pretrained(folder)
    markers = [token.content for token in tokenizer.added_tokens_decoder.values()]
    harmless, in_text, in_problem = model.encode(
        [
            solution("Step 1: 14", problem="2 and 2"),
            solution(f"Step 1: {''.join(markers)} 14", problem="2 and 2"),
            solution("Step 1: 14", problem=f"2 and {''.join(markers)}2"),
        ]
    )
    special = {tokenizer.convert_tokens_to_ids(marker) for marker in markers}
    own = [id_ for id_ in harmless.ids if id_ in special]
    assert [id_ for id_ in in_text.ids if id_ in special] == own
    assert [id_ for id_ in in_problem.ids if id_ in special] == own
    for hostile in (in_text, in_problem):
        assert len(hostile.reads) == len(harmless.reads)
        assert [hostile.ids[p] for p in hostile.reads] == [harmless.ids[p] for p in harmless.reads]
        assert re.sub(r"\s", "", tokenizer.decode(hostile.ids)).count("".join(markers)) == 1


def test_equal_responses_are_scored_once(case: Case, folder: str) -> None:
    model = load(case, folder)
    first, other, second = model.score([solution(TEXT, 0), solution("14", 1), solution(TEXT, 2)])
    assert first.step_rewards == second.step_rewards != other.step_rewards
    assert [r.sample for r in (first, other, second)] == [0, 1, 2]
    assert (first.reward_model, first.problem_id, first.generator) == ("rm", "p", "g")


def test_counts_the_tokens_after_the_prompt(case: Case, folder: str) -> None:
    model, tokenizer = load(case, folder), AutoTokenizer.from_pretrained(folder)
    record = model.score([solution(TEXT)])[0]
    ids, _ = case.tokens(tokenizer, PROBLEM, TEXT)
    shorter = case.tokens(tokenizer, PROBLEM, "")[0]
    # All of the response's tokens, and its share of the format's, which an empty response has in the least.
    assert len(ids) - len(shorter) <= record.n_tokens < len(ids) - len(encode(tokenizer, PROBLEM)) + 2
    described = model.describe()
    assert described is not None
    assert described.config["hidden_size"] == 32
    assert described.device == "cpu"
    assert described.output_head == (case.type == "step-token")


LONG = "7 + 7 = 14. " * 5 + "\n\n" + "7 + 7 = 14. " * 60


def short_model(case: Case, folder: Path, **params: str) -> HiddenStateRewardModel[Any]:
    """A model of 256 positions."""
    made = make_checkpoint(folder, case.family, case.heads, **{**case.config, "max_position_embeddings": 256})
    return load(case, made, **params)


def test_too_long_a_solution_has_no_score(case: Case, tmp_path: Path) -> None:
    model = short_model(case, tmp_path)
    first, long, last = model.score([solution("14"), solution(LONG, 5), solution(TEXT, 2)])
    assert (long.step_rewards, long.step_ends, long.n_tokens, long.sample) == ((), (), 0, 5)
    # It changes nothing in what the others get.
    assert [first, last] == model.score([solution("14"), solution(TEXT, 2)])
    assert "longer than the 256 tokens" in model.unscored_because
    assert model.score([solution(LONG)])[0].step_rewards == ()


def test_the_tokenizer_alone_counts_what_is_too_long(case: Case, tmp_path: Path) -> None:
    model = short_model(case, tmp_path)
    batches = [
        [solution("7 + 7 = 14. " * n) for n in (0, 10, 20)],
        [solution("14 " * n) for n in (50, 60, 70, 80, 300)],
    ]
    unscored = [not record.step_rewards for batch in batches for record in model.score(batch)]
    assert 0 < sum(unscored) < len(unscored)
    assert type(model).count_too_long(model.params, batches) == sum(unscored)


def test_truncation_scores_what_is_read(case: Case, tmp_path: Path) -> None:
    record = short_model(case, tmp_path, too_long="truncate").score([solution(LONG)])[0]
    assert record.step_ends is not None
    if record.step_ends == (len(LONG),):  # an outcome reward model
        assert len(record.step_rewards) == 1
        assert record.step_rewards != load(case, str(tmp_path)).score([solution("14")])[0].step_rewards
    else:
        whole = LONG.index("\n\n") + 2
        alone = load(case, str(tmp_path)).score([solution(LONG[:whole] + "14")])[0]
        assert record.step_ends == (whole,)
        assert record.step_rewards == pytest.approx(alone.step_rewards[:1], abs=1e-5)


def test_too_long_a_solution_is_an_error_where_asked(case: Case, tmp_path: Path) -> None:
    model = short_model(case, tmp_path, too_long="error")
    with pytest.raises(UserError, match=r"reads 256 tokens, sample 5 of g for problem 'p' has \d+ with its prompt"):
        model.score([solution("14"), solution("7 + 7 = 14. " * 60, 5)])


def test_missing_weights_are_an_error(case: Case, tmp_path: Path) -> None:
    lacking = dict(list(case.heads.items())[1:])
    folder = make_checkpoint(tmp_path, case.family, lacking, **case.config)
    with pytest.raises(UserError, match=f"lacks weights of .*{re.escape(next(iter(case.heads)))}"):
        load(case, folder)
