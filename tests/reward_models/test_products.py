"""Log-probabilities of models that run in 16 bits: rounded where hidden states and weights are, and nowhere after."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import LlamaConfig, LlamaForCausalLM

from bonbench.reward_models.lm.logits import check_head, target_logprobs, token_logits
from bonbench.reward_models.lm.products import float_linear

TOKENS, WIDTH, VOCABULARY = 24, 64, 3000  # two blocks of the vocabulary


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    )
    made = LlamaForCausalLM(config).bfloat16().eval()
    made.lm_head.weight.data.normal_(0, 1)
    return made


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states whose logits are about as large as those of a real model, and what follows."""
    torch.manual_seed(1)
    return torch.randn(TOKENS, WIDTH).bfloat16(), torch.randint(VOCABULARY, (TOKENS,))


def exact(model: LlamaForCausalLM, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    logits = hidden.double() @ model.lm_head.weight.bfloat16().double().T
    return logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]


def test_log_probabilities_are_those_of_the_rounded_inputs(model: LlamaForCausalLM) -> None:
    hidden, targets = drawn()
    wanted = exact(model, hidden, targets)
    with torch.no_grad():
        rounded = F.linear(hidden, model.lm_head.weight).float().log_softmax(-1).gather(-1, targets[:, None])[:, 0]
        assert (rounded - wanted).abs().max() > 1e-2, "what a model's own logits give"
        torch.testing.assert_close(target_logprobs(model, hidden, targets).double(), wanted, atol=2e-5, rtol=0)
        logits = token_logits(model, hidden, [5, 7])
        exact_logits = hidden.double() @ model.lm_head.weight[[5, 7]].double().T
        torch.testing.assert_close(logits.double(), exact_logits, atol=1e-5, rtol=0)
        check_head(model, "m")


def test_autocast_rounds_the_inputs_alone(model: LlamaForCausalLM) -> None:
    """As in training: weights in float32, what is multiplied in 16 bits, gradients as of a 16-bit layer."""
    hidden, targets = drawn()
    wanted = exact(model, hidden, targets)
    gradients = []
    for ours in (True, False):
        weight = model.lm_head.weight.detach().float().requires_grad_()
        states = hidden.float().requires_grad_()
        head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False)
        head.weight = torch.nn.Parameter(weight.detach())
        with torch.autocast("cpu", torch.bfloat16):
            if ours:
                logits = float_linear(states, head.weight, None)
                assert logits.dtype == torch.float32
            else:
                logits = head(states).float()
            chosen = logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
        if ours:
            torch.testing.assert_close(chosen.double(), wanted, atol=2e-5, rtol=0)
        chosen.sum().backward()
        assert states.grad is not None and head.weight.grad is not None
        gradients.append((states.grad, head.weight.grad))
    exactly_w = torch.autograd.functional.jacobian(
        lambda w: (hidden.double() @ w.T).log_softmax(-1).gather(-1, targets[:, None]).sum(),
        model.lm_head.weight.detach().double(),
    )
    exactly_h = torch.autograd.functional.jacobian(
        lambda h: (h @ model.lm_head.weight.double().T).log_softmax(-1).gather(-1, targets[:, None]).sum(),
        hidden.double(),
    )
    (own_h, own_w), (usual_h, usual_w) = gradients
    for own, usual, exactly in ((own_h, usual_h, exactly_h), (own_w, usual_w, exactly_w)):
        off, usually_off = ((g.double() - exactly).norm() / exactly.norm() for g in (own, usual))
        assert off < 1e-2 and off < 1.1 * usually_off


def test_biases_and_other_precisions() -> None:
    torch.manual_seed(2)
    hidden, weight, bias = torch.randn(5, 8), torch.randn(6, 8), torch.randn(6)
    assert torch.equal(float_linear(hidden, weight, bias), F.linear(hidden, weight, bias)), "float32: bit for bit"
    for dtype in (torch.bfloat16, torch.float16):
        halves = [t.to(dtype) for t in (hidden, weight, bias)]
        ours = float_linear(*halves)
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), F.linear(*(t.double() for t in halves)), atol=1e-5, rtol=0)
    assert float_linear(hidden.double(), weight.double(), None).dtype == torch.float64


def test_a_gpu_is_asked_for_float32_products() -> None:
    """Its own product of 16-bit matrices, as far as that can be seen without one: a fake GPU computes nothing."""
    with FakeTensorMode():
        hidden, weight, bias = (torch.empty(size, device="cuda").bfloat16() for size in ((4, 8), (16, 8), (16,)))
        logits = float_linear(hidden, weight, bias)
    assert (logits.dtype, logits.device.type, logits.shape) == (torch.float32, "cuda", (4, 16))
