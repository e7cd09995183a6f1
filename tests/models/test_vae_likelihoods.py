"""Likelihoods of a VAE: probabilities that sum to one, densities that integrate to one, means."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from genfast.heads import LogisticMixture
from genfast.models.autoencoder.likelihoods import (
    LOG_SCALES,
    Bernoulli,
    Gaussian,
    Likelihood,
    Logistic,
    likelihood_of,
)
from genfast.models.autoencoder.losses import loss_of


def parameters(likelihood: Likelihood, n: int = 6, scale: float = 2.0) -> torch.Tensor:
    """Of one element an example."""
    torch.manual_seed(1)
    return scale * torch.randn(n, likelihood.parameters, 1, dtype=torch.float64)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Logistic(2), Logistic(17), Logistic(256)])
def test_probabilities_of_all_levels_sum_to_one(likelihood: Bernoulli | Logistic) -> None:
    given, levels = parameters(likelihood), getattr(likelihood, "levels", 2)
    each = [likelihood.log_prob(given, torch.full((6, 1), x)) for x in range(levels)]
    torch.testing.assert_close(torch.stack(each).logsumexp(0), torch.zeros(6).double())


def test_bernoulli_is_sigmoid() -> None:
    logits = torch.tensor([[[-1.5, 40.0, -40.0]]])
    nats = Bernoulli().log_prob(logits, torch.tensor([[1, 1, 1]]))
    expected = -math.log1p(math.exp(1.5)) - 40.0
    assert nats.item() == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(Bernoulli().mean(logits), logits[:, 0].sigmoid())


def test_gaussian_is_the_density_of_scipy() -> None:
    given, x = parameters(Gaussian(), scale=1.0), torch.randn(6, 1).double()
    mean, scale = given[:, 0], given[:, 1].exp()
    expected = stats.norm.logpdf(x.numpy(), mean.numpy(), scale.numpy()).sum(1)
    torch.testing.assert_close(Gaussian().log_prob(given, x), torch.from_numpy(expected))
    assert torch.equal(Gaussian().mean(given), mean)


@pytest.mark.parametrize("levels", [2, 5, 256])
def test_logistic_is_a_mixture_of_one(levels: int) -> None:
    given = parameters(Logistic(levels))
    x = torch.randint(levels, (6, 1))
    wide = torch.cat([torch.zeros(6, 1, 1).double(), given], 1)[..., 0]
    expected = LogisticMixture(levels, 1, 1).log_prob(wide, x)
    torch.testing.assert_close(Logistic(levels).log_prob(given, x), expected)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_the_mean_of_a_logistic_is_that_of_its_levels(levels: int) -> None:
    """To the rounding of bins, which a scale of a level and more does not show."""
    likelihood = Logistic(levels)
    torch.manual_seed(2)
    location = torch.empty(400, 1).uniform_(-1.5, 1.5).double()
    log_scale = torch.empty(400, 1).uniform_(math.log(2 / (levels - 1)), 1.0).double()
    given = torch.stack([location, log_scale], 1)
    x = torch.arange(levels)
    each = torch.stack([likelihood.log_prob(given, torch.full((400, 1), int(k))) for k in x], 1)
    expected = (each.exp() * x).sum(1) / (levels - 1)
    made = likelihood.mean(given)[:, 0]
    torch.testing.assert_close(made, expected, atol=0.02 / (levels - 1), rtol=0)


def test_the_mean_of_a_narrow_logistic_is_its_location() -> None:
    location = torch.tensor([[-3.0, -1.0, -0.2, 0.7, 1.0, 8.0]])
    given = torch.stack([location, torch.full_like(location, -20.0)], 1)
    expected = ((location + 1) / 2).clamp(0, 1)
    torch.testing.assert_close(Logistic(17).mean(given), expected, atol=5e-4, rtol=0)


@pytest.mark.parametrize("log_scale", [-50.0, LOG_SCALES[0], 0.0, LOG_SCALES[1], 50.0])
@pytest.mark.parametrize("location", [-1e4, -1.0, 0.3, 1e4])
def test_extreme_parameters_stay_finite(location: float, log_scale: float) -> None:
    given = torch.tensor([[[location], [log_scale]]], requires_grad=True)
    for likelihood, x in ((Logistic(256), torch.tensor([[7]])), (Gaussian(), torch.ones(1, 1))):
        nats, mean = likelihood.log_prob(given, x), likelihood.mean(given)
        (gradient,) = torch.autograd.grad(nats.sum() + mean.sum(), given)
        assert nats.isfinite().all()
        assert gradient.isfinite().all()
    made = float(Logistic(256).mean(given.detach()))
    assert 0 <= made <= 1
    if abs(location) > 1e3:
        assert made == pytest.approx(float(location > 0), abs=1e-3)


def test_half_precision_is_computed_in_whole() -> None:
    given, x = parameters(Logistic(17)), torch.randint(17, (6, 1))
    half = given.to(torch.bfloat16)
    nats = Logistic(17).log_prob(half, x)
    assert nats.dtype == torch.float32
    torch.testing.assert_close(nats, Logistic(17).log_prob(half.float(), x))


@pytest.mark.parametrize(
    ("word", "levels", "message"),
    [
        ("bernoulli", 17, "'bernoulli' needs levels=2: .* 'logistic' is of more; got levels=17"),
        ("bernoulli", None, "'bernoulli' needs levels=2"),
        ("logistic", None, "'logistic' needs levels: .* got levels=None"),
        ("gaussian", 2, "'gaussian' needs levels=None: .* got levels=2"),
        ("poisson", 2, "must be one of bernoulli, gaussian, logistic, got 'poisson'"),
        (3, 2, "must be one of bernoulli, gaussian, logistic, got 3"),
    ],
)
def test_a_likelihood_is_of_its_data(word: object, levels: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=f"VAE: likelihood {message}"):
        likelihood_of("VAE", word, levels)


def test_losses() -> None:
    target = torch.tensor([[0.0, 0.25, 1.0]])
    made = torch.tensor([[[-1.0, 1.0, 3.0]]])
    squared = loss_of("A", "squared", 5)
    assert squared(made, target).item() == pytest.approx((0 + 0.75**2 + 1.0) / 3)
    torch.testing.assert_close(squared.mean(made), torch.tensor([[0.0, 1.0, 1.0]]))
    real = loss_of("A", "squared", None)
    assert real(made, target).item() == pytest.approx((1 + 0.75**2 + 4) / 3)
    assert torch.equal(real.mean(made), made[:, 0])
    cross = loss_of("A", "bernoulli", 5)
    p = made[0, 0].sigmoid()
    expected = -(target * p.log() + (1 - target) * (1 - p).log()).mean()
    torch.testing.assert_close(cross(made, target), expected)
    with pytest.raises(ValueError, match="A: loss 'bernoulli' needs levels"):
        loss_of("A", "bernoulli", None)
    with pytest.raises(ValueError, match="A: loss must be one of squared, bernoulli, got 'l1'"):
        loss_of("A", "l1", None)
