"""Losses and penalties of the game against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from genfast.models.gan.objectives import OBJECTIVES
from genfast.models.gan.penalties import gradient_penalty, slopes, zero_centred_penalty

REAL, FAKE = torch.tensor([0.0, 2.0]).double(), torch.tensor([-1.0, 0.5]).double()


def s(x: float) -> float:
    return 1 / (1 + math.exp(-x))


LOGISTIC = -(math.log(0.5) + math.log(s(2))) / 2 - (math.log(s(1)) + math.log(s(-0.5))) / 2

# (discriminator's loss, generator's loss) of the scores above.
BY_HAND = {
    "original": (LOGISTIC, (math.log(s(1)) + math.log(s(-0.5))) / 2),
    "non-saturating": (LOGISTIC, -(math.log(s(-1)) + math.log(s(0.5))) / 2),
    "least-squares": ((1 + 1) / 2 / 2 + (1 + 0.25) / 2 / 2, (4 + 0.25) / 2 / 2),
    "hinge": ((1 + 0) / 2 + (0 + 1.5) / 2, 0.25),
    "wasserstein": (-0.25 - 1.0, 0.25),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_by_hand(name: str) -> None:
    rule = OBJECTIVES[name]
    discriminator, generator = BY_HAND[name]
    assert rule.discriminator(REAL, FAKE, 0.0).item() == pytest.approx(discriminator, rel=1e-12)
    assert rule.generator(FAKE).item() == pytest.approx(generator, rel=1e-12)


def test_smoothed_labels_by_hand() -> None:
    real = torch.tensor([1.5]).double()
    logistic = -(0.9 * math.log(s(1.5)) + 0.1 * math.log(s(-1.5))) - math.log(s(1))
    for name in ("original", "non-saturating"):
        loss = OBJECTIVES[name].discriminator(real, FAKE[:1], 0.1)
        assert loss.item() == pytest.approx(logistic, rel=1e-12)
    squares = OBJECTIVES["least-squares"].discriminator(real, FAKE[:1], 0.1)
    assert squares.item() == pytest.approx(((1.5 - 0.9) ** 2 + 1) / 2, rel=1e-12)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_players_want_what_they_are_said_to_want(name: str) -> None:
    """Real scores up and fake ones down; fake ones up. Large scores stay finite."""
    rule = OBJECTIVES[name]
    real, fake = (x.clone().requires_grad_() for x in (REAL - 1.5, FAKE))
    (up, down) = torch.autograd.grad(rule.discriminator(real, fake, 0.0), (real, fake))
    assert (up < 0).all()
    assert (down.sum() > 0) or name == "least-squares"
    (fooled,) = torch.autograd.grad(rule.generator(fake), fake)
    assert (fooled < 0).all()
    huge = torch.tensor([1e4, -1e4])
    assert rule.discriminator(huge, huge, 0.0).isfinite()
    assert rule.generator(huge).isfinite()


def linear(weight: Tensor) -> object:
    return lambda x: (x.flatten(1) * weight).sum(1)


def test_penalties_of_a_linear_score() -> None:
    """The slope of w.x is |w| everywhere."""
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    score = linear(weight)
    real, fake, share = torch.randn(5, 2), torch.randn(5, 2), torch.rand(5, 1)
    penalty = gradient_penalty(score, real, fake, share)  # type: ignore[arg-type]
    assert penalty.item() == pytest.approx((5 - 1) ** 2)
    (slope,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(slope, 2 * (5 - 1) * weight.detach() / 5)
    x = real.requires_grad_()
    flat = zero_centred_penalty(score(x), x)  # type: ignore[operator]
    assert flat.item() == pytest.approx(25 / 2)
    torch.testing.assert_close(torch.autograd.grad(flat, weight)[0], weight.detach())


def test_the_gradient_penalty_looks_between_the_rows() -> None:
    """The slope of |x|^2 / 2 is |x|: of 0.25 real + 0.75 fake."""
    real, fake = torch.tensor([[[8.0, 0.0]]]), torch.tensor([[[0.0, 4.0]]])
    penalty = gradient_penalty(
        lambda x: x.flatten(1).square().sum(1) / 2, real, fake, torch.tensor([[0.25]])
    )
    assert penalty.item() == pytest.approx((math.hypot(2, 3) - 1) ** 2)


def test_a_flat_score_has_slopes_that_can_be_learnt_from() -> None:
    weight = torch.zeros(2, requires_grad=True)
    x = torch.randn(3, 2, requires_grad=True)
    slope = slopes(linear(weight)(x), x)  # type: ignore[operator]
    assert not slope.any()
    (gradient,) = torch.autograd.grad((slope - 1).square().mean(), weight)
    assert gradient.isfinite().all()
