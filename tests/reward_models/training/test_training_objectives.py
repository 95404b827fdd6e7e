"""Objectives against formulas written out in arbitrary precision, their derivatives, limits and symmetries."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bonbench.reward_models.training import objectives

Loss = Callable[..., torch.Tensor]

ZERO_POINT = 0.7
VALUES = [-30.0, -3.0, -0.25, 0.0, 0.4, 2.0, 25.0]


def sigma(x: mpmath.mpf) -> mpmath.mpf:
    return 1 / (1 + mpmath.exp(-x))


def plain_dpo(w: mpmath.mpf, l: mpmath.mpf) -> mpmath.mpf:  # noqa: E741 -- as in the paper
    return -mpmath.log(sigma(w - l))


def plain_nca(w: mpmath.mpf, l: mpmath.mpf) -> mpmath.mpf:  # noqa: E741
    return -mpmath.log(sigma(w)) - mpmath.log(sigma(-w)) / 2 - mpmath.log(sigma(-l)) / 2


def plain_ce(z: mpmath.mpf, correct: float) -> mpmath.mpf:
    return -correct * mpmath.log(sigma(z)) - (1 - correct) * mpmath.log(1 - sigma(z))


def plain_kto(z: mpmath.mpf, correct: float) -> mpmath.mpf:
    return correct * 1.5 * (1 - sigma(z - ZERO_POINT)) + (1 - correct) * 0.5 * (1 - sigma(ZERO_POINT - z))


def kto(z: torch.Tensor, correct: torch.Tensor) -> torch.Tensor:
    return objectives.kto(z, correct, torch.tensor(ZERO_POINT, dtype=z.dtype), 1.5, 0.5)


PAIRED = [(objectives.dpo, plain_dpo), (objectives.nca, plain_nca)]
SINGLE = [(objectives.ce, plain_ce), (kto, plain_kto)]


@pytest.mark.parametrize(("loss", "plain"), PAIRED)
def test_paired_values_and_derivatives(loss: Loss, plain: Callable[..., mpmath.mpf]) -> None:
    with mpmath.workdps(40):
        for w, l in product(VALUES, VALUES):  # noqa: E741
            z = torch.tensor([w, l], dtype=torch.float64, requires_grad=True)
            value = loss(z[:1], z[1:])
            assert value.item() == pytest.approx(float(plain(mpmath.mpf(w), mpmath.mpf(l))), rel=1e-12, abs=1e-300)
            (gradient,) = torch.autograd.grad(value.sum(), z)
            expected = [float(mpmath.diff(plain, (w, l), order)) for order in ((1, 0), (0, 1))]
            assert gradient.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("loss", "plain"), SINGLE)
def test_single_values_and_derivatives(loss: Loss, plain: Callable[..., mpmath.mpf]) -> None:
    with mpmath.workdps(40):
        for z, correct in product(VALUES, (0, 1, 0.375)):
            leaf = torch.tensor([z], dtype=torch.float64, requires_grad=True)
            value = loss(leaf, torch.tensor([correct]))
            assert value.item() == pytest.approx(float(plain(mpmath.mpf(z), correct)), rel=1e-12, abs=1e-300)
            (gradient,) = torch.autograd.grad(value.sum(), leaf)
            expected = float(mpmath.diff(lambda x, c=correct: plain(x, c), z))
            assert gradient.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(st.lists(st.floats(-8, 8), min_size=6, max_size=6))
def test_gradients_by_finite_differences(values: list[float]) -> None:
    z = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    correct = torch.tensor([1, 0, 1, 0, 0, 1])
    for loss in (objectives.dpo, objectives.nca):
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x[:3], x[3:]), z)
    for single in (objectives.ce, kto):
        assert torch.autograd.gradcheck(lambda x, loss=single: loss(x, correct), z)


def test_limits_as_beta_goes_to_zero() -> None:
    """z = beta * log-ratio: at beta 0 each objective is a constant, its slope in beta a linear reward."""
    ratios = torch.tensor([3.0, -1.0, 0.5, 2.0], dtype=torch.float64)
    correct = torch.tensor([1, 0, 1, 0])
    w, l = ratios[[0, 2]], ratios[[1, 3]]  # noqa: E741
    half = torch.tensor(0.5, dtype=torch.float64)
    limits: dict[Loss, tuple[torch.Tensor, torch.Tensor]] = {
        lambda b: objectives.dpo(b * w, b * l): (-half.log(), -(w - l) / 2),
        lambda b: objectives.nca(b * w, b * l): (-2 * half.log(), -w / 4 + l / 4),
        lambda b: objectives.ce(b * ratios, correct): (-half.log(), torch.where(correct == 1, -ratios, ratios) / 2),
        lambda b: objectives.kto(b * ratios, correct, 0 * b): (half, torch.where(correct == 1, -ratios, ratios) / 4),
    }
    for loss, (constant, slope) in limits.items():
        beta = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
        torch.testing.assert_close(loss(beta), constant.expand_as(slope))
        (gradient,) = torch.autograd.grad(loss(beta).sum(), beta)
        torch.testing.assert_close(gradient, slope.sum())


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_symmetries(a: float, b: float) -> None:
    x, y = torch.tensor([a], dtype=torch.float64), torch.tensor([b], dtype=torch.float64)
    yes, no, zero = torch.tensor([1]), torch.tensor([0]), torch.tensor(0.0, dtype=torch.float64)
    # Ranking a pair the other way round costs the difference; a common shift costs nothing.
    torch.testing.assert_close(objectives.dpo(x, y) - objectives.dpo(y, x), y - x)
    torch.testing.assert_close(objectives.dpo(x + 3, y + 3), objectives.dpo(x, y))
    # A pair under dpo is a response rewarded with the difference under ce.
    torch.testing.assert_close(objectives.dpo(x, y), objectives.ce(x - y, yes))
    # What a reward costs a correct response, its negative costs an incorrect one.
    torch.testing.assert_close(objectives.ce(x, yes), objectives.ce(-x, no))
    torch.testing.assert_close(objectives.kto(x, yes, zero), objectives.kto(-x, no, zero))
    torch.testing.assert_close(objectives.kto(x, yes, zero) + objectives.kto(x, no, zero), torch.ones_like(x))
    # nca is ce on the correct response, and half of it on each as if both were incorrect.
    as_incorrect = objectives.ce(x, no) + objectives.ce(y, no)
    torch.testing.assert_close(objectives.nca(x, y), objectives.ce(x, yes) + as_incorrect / 2)


def test_balance_of_labels() -> None:
    """At the start, where all z are equal, the classes pull with their weights alone."""
    z = torch.zeros(6, requires_grad=True)
    correct = torch.tensor([1, 0, 0, 0, 0, 0])
    (pull,) = torch.autograd.grad(objectives.ce(z, correct).sum(), z)
    assert pull.tolist() == [-0.5] + [0.5] * 5
    (pull,) = torch.autograd.grad(objectives.kto(z, correct, torch.tensor(0.0), 5.0, 1.0).sum(), z)
    assert pull.sum() == 0
    assert pull[0] == -1.25
    # A pair pulls evenly under nca too.
    right, wrong = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    assert [g.item() for g in torch.autograd.grad(objectives.nca(right, wrong).sum(), (right, wrong))] == [-0.25, 0.25]


def test_extremes_in_float32() -> None:
    z = torch.tensor([1e4, -1e4], requires_grad=True)
    yes, no, zero = torch.ones(2), torch.zeros(2), torch.tensor(0.0)
    cases = {
        "dpo": (objectives.dpo(z, torch.zeros(2)), [0.0, 1e4], [0.0, -1.0]),
        "dpo, incorrect": (objectives.dpo(torch.zeros(2), z), [1e4, 0.0], [1.0, 0.0]),
        "nca": (objectives.nca(z, torch.full((2,), -1e4)), [5e3, 1e4], [0.5, -1.0]),
        "nca, incorrect": (objectives.nca(torch.full((2,), 1e4), z), [1e4, 5e3], [0.5, 0.0]),
        "ce": (objectives.ce(z, yes), [0.0, 1e4], [0.0, -1.0]),
        "ce, incorrect": (objectives.ce(z, no), [1e4, 0.0], [1.0, 0.0]),
        "kto": (objectives.kto(z, yes, zero), [0.0, 1.0], [0.0, 0.0]),
        "kto, incorrect": (objectives.kto(z, no, zero), [1.0, 0.0], [0.0, 0.0]),
    }
    for name, (losses, values, gradients) in cases.items():
        assert losses.tolist() == values, name
        assert torch.autograd.grad(losses.sum(), z, retain_graph=True)[0].tolist() == gradients, name
