"""VAE: bounds of the likelihood, checked where it is known, and the loss of training."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from latent_models import DATA, examples, labels, vae_of
from torch import Tensor, nn

import genfast
from genfast.models import VAE
from genfast.models.turn import Turn
from genfast.random import fold, normals

pytestmark = pytest.mark.usefixtures("one_thread")
KINDS = pytest.mark.parametrize("kind", DATA)


@KINDS
@pytest.mark.parametrize("options", [{}, {"classes": 3}], ids=str)
def test_shapes(kind: str, options: dict[str, Any]) -> None:
    model = vae_of(kind, **options)
    for n in (5, 1, 0):
        x, given = examples(model, n), labels(model, n)
        mean, log_variance = model.encode(x, given)
        assert mean.shape == log_variance.shape == (n, 3)
        assert model.decode(mean, given).shape == (n, *model.shape)
        assert model.elbo(x, given).shape == (n,)
        assert model.log_prob(x, given, importance=3).shape == (n,)
        assert torch.equal(model.reconstruct(x, given), model.decode(mean, given))


class Linear(nn.Module):
    """mean = weight x + bias, log_scale = `log_scale`, side by side along `axis`."""

    def __init__(self, weight: Tensor, bias: Tensor, log_scale: Tensor, axis: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.log_scale, self.axis = nn.Parameter(log_scale), axis

    def forward(self, x: Tensor) -> Tensor:
        mean = x @ self.weight.T + self.bias
        scale = self.log_scale.expand_as(mean)
        if self.axis == 2:
            return torch.stack([mean, scale], 1)
        return torch.cat([mean, 2 * scale], 1)


def linear_gaussian() -> tuple[VAE, Tensor, Tensor]:
    """A model whose p(x) is normal and whose encoder gives the very posterior; p's parameters.

    x = W z + b + s eps, so x ~ N(b, W W' + s^2) and z | x ~ N(A (x - b), 1 / (1 + w^2 / s^2)) for
    columns of W that are orthogonal and w long.
    """
    torch.manual_seed(5)
    q, _ = torch.linalg.qr(torch.randn(4, 2).double())
    w, b, s = 1.5 * q, torch.randn(4).double(), 0.7
    precision = 1 + 1.5**2 / s**2
    a = w.T / (s**2 * precision)
    encoder = Linear(
        a, -a @ b, torch.full((2,), -0.5 * math.log(precision), dtype=torch.float64), 1
    )
    decoder = Linear(w, b, torch.full((4,), math.log(s), dtype=torch.float64), 2)
    model = VAE((4,), latent=2, encoder=encoder, decoder=decoder).double()
    return model, b, w @ w.T + s**2 * torch.eye(4).double()


def test_bounds_are_exact_where_the_posterior_is() -> None:
    model, mean, covariance = linear_gaussian()
    x = torch.randn(6, 4).double()
    exact = torch.distributions.MultivariateNormal(mean, covariance).log_prob(x)
    for importance in (1, 7):
        torch.testing.assert_close(model.log_prob(x, importance=importance), exact)
    many = torch.stack([model.elbo(x, seed=seed) for seed in range(400)])
    assert ((many.mean(0) - exact).abs() < 4 * many.std(0) / 20).all()
    bits = model.bits_per_dim(x, importance=2)
    assert bits == pytest.approx(-exact.mean().item() / 4 / math.log(2), rel=1e-7)


def test_more_draws_give_a_tighter_bound_that_stays_below() -> None:
    """Of an encoder that is wrong, against the integral over a fine grid of z."""
    torch.manual_seed(6)
    model = VAE((3,), 4, latent=1, width=9, depth=1).double().eval()
    x = torch.randint(4, (8, 3))
    with torch.no_grad():
        z = torch.linspace(-8, 8, 4001).double()[:, None]
        prior = -0.5 * z[:, 0] ** 2 - 0.5 * math.log(2 * math.pi)
        exact = torch.stack(
            [(model._fit(z, row.expand(4001, 3), None) + prior).logsumexp(0) for row in x]
        ) + math.log(16 / 4000)
        many = x.repeat(400, 1)
        bounds = {k: model.log_prob(many, importance=k).mean() for k in (1, 3, 30)}
        tight = model.log_prob(x, importance=3000).mean()
    assert bounds[1] + 0.01 < bounds[3] < bounds[30] - 0.001
    assert bounds[30] < exact.mean() + 0.002
    assert tight == pytest.approx(exact.mean().item(), abs=0.02)


@KINDS
def test_the_bound_is_its_formula(kind: str) -> None:
    model = vae_of(kind, classes=2).double()
    x, given = examples(model), labels(model)
    assert given is not None
    draws = 5
    mean, log_variance = model.encode(x, given)
    weights = []
    for k in range(draws):
        eps = normals(fold(3, "latent", k), 5, 3, index=11).double()
        z = mean + (log_variance / 2).exp() * eps
        prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
        posterior = torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(z).sum(1)
        made = model.decoded_parameters("test", z, given)
        weights.append(model.output.log_prob(made, x) + prior - posterior)
    expected = torch.stack(weights).logsumexp(0) - math.log(draws)
    found = model.log_prob(x, given, importance=draws, seed=3, index=11)
    torch.testing.assert_close(found, expected)


def test_bounds_do_not_depend_on_how_the_work_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    model = vae_of(classes=3)
    x, given = examples(model, 7), labels(model, 7)
    assert given is not None
    whole = model.log_prob(x, given, importance=9, index=3)
    parts = [
        model.log_prob(x[i : i + 2], given[i : i + 2], importance=9, index=3 + i)
        for i in range(0, 7, 2)
    ]
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=1e-6)
    indices = model.log_prob(x, given, importance=9, index=torch.arange(3, 10))
    assert torch.equal(indices, whole)
    monkeypatch.setattr("genfast.models.autoencoder.vae._ROWS", 1)
    torch.testing.assert_close(
        model.log_prob(x, given, importance=9, index=3), whole, atol=1e-5, rtol=1e-6
    )
    bits = {
        size: model.bits_per_dim(x, given, importance=9, batch_size=size) for size in (1, 3, 64)
    }
    assert bits[1] == pytest.approx(bits[64], rel=1e-6)
    assert bits[3] == pytest.approx(bits[64], rel=1e-6)
    assert genfast.bits_per_dim(model, x, classes=given) == pytest.approx(
        model.bits_per_dim(x, given), rel=1e-6
    )


def test_bounds_are_differentiable() -> None:
    model = vae_of()
    for bound in (model.elbo(examples(model)), model.log_prob(examples(model), importance=3)):
        model.zero_grad()
        bound.sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@KINDS
def test_training_step_is_the_bound_an_element(kind: str) -> None:
    model = vae_of(kind, classes=3)
    x, given = examples(model), labels(model)
    turn = Turn(fold(8, "latent"), 20)
    step = model.training_step((x, given), 0, turn)
    assert step["sites"] == x.numel()
    bound = model.elbo(x, given, seed=8, index=20)
    torch.testing.assert_close(step["loss"], -bound.sum() / x.numel())
    torch.testing.assert_close(step["reconstruction"] + step["kl"], -bound.mean())
    torch.testing.assert_close(step["kl"], model.dimension_kl(x, given).sum(1).mean())
    same = model.training_step({"x": x, "classes": given}, 5, turn)
    assert torch.equal(same["loss"], step["loss"])
    nothing = model.training_step((x[:0], given[:0]), 0, turn)  # type: ignore[index]
    assert (nothing["loss"].item(), nothing["sites"], nothing["kl"].item()) == (0.0, 0, 0.0)


def test_beta_and_free_bits_change_the_loss_and_no_bound() -> None:
    x = examples(vae_of())
    turn = Turn(3)
    plain = vae_of()
    step, spent = plain.training_step(x, 0, turn), plain.dimension_kl(x)
    weighed = vae_of(beta=4.0).training_step(x, 0, turn)
    torch.testing.assert_close(weighed["loss"], step["loss"] + 3 * spent.sum() / x.numel())
    least = float(spent.detach().median())
    free = vae_of(free_bits=least)
    more = (spent.clamp(min=least) - spent).sum() / x.numel()
    assert more > 0
    torch.testing.assert_close(free.training_step(x, 0, turn)["loss"], step["loss"] + more)
    assert torch.equal(free.training_step(x, 0, turn)["kl"], step["kl"])
    assert torch.equal(free.elbo(x), plain.elbo(x))
    assert torch.equal(vae_of(beta=4.0).log_prob(x), plain.log_prob(x))


def test_the_noise_of_a_row_is_its_own_in_any_part() -> None:
    model = vae_of()
    x = examples(model, 6)
    whole = model.training_step(x, 0, Turn(5, 10))
    parts = [model.training_step(x[i : i + 2], 0, Turn(5, 10 + i))["loss"] for i in (0, 2, 4)]
    torch.testing.assert_close(torch.stack(parts).mean(), whole["loss"])
    other = model.training_step(x, 0, Turn(6, 10))
    assert other["loss"] != whole["loss"]


@pytest.mark.parametrize(
    ("kind", "likelihood"),
    [("bits", "bernoulli"), ("greys", "logistic"), ("reals", "gaussian"), ("bits", "logistic")],
)
def test_training_lowers_the_bound(kind: str, likelihood: Any) -> None:
    model = vae_of(kind, likelihood=likelihood, architecture="mlp").train()
    torch.manual_seed(7)
    factor = torch.randn(128, *[1] * len(model.shape))
    x = factor.expand(128, *model.shape) + 0.3 * torch.randn(128, *model.shape)
    if model.levels is not None:
        x = ((x + 2) / 4 * model.levels).floor().clamp(0, model.levels - 1).long()
    optimizer = torch.optim.Adam(model.parameter_groups(), lr=1e-2)
    losses = []
    for step in range(150):
        optimizer.zero_grad()
        loss = model.training_step(x, step, Turn(step))["loss"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.2
    with torch.no_grad():  # the latent tells the factor
        assert model.dimension_kl(x).mean(0).max() > 0.5


def test_parameter_groups_hold_every_parameter_once() -> None:
    model = vae_of(classes=3, architecture="convolutional")
    decays, rest = model.parameter_groups()
    chosen = [id(p) for p in (*decays["params"], *rest["params"])]
    assert sorted(chosen) == sorted(id(p) for p in model.parameters())
    assert rest["weight_decay"] == 0.0
    assert all(p.ndim > 1 for p in decays["params"])


def test_a_copy_in_float64_agrees() -> None:
    model = vae_of(classes=3)
    twin = copy.deepcopy(model).double()
    x, given = examples(model), labels(model)
    exact = twin.log_prob(x, given)
    torch.testing.assert_close(model.log_prob(x, given).double(), exact, atol=1e-3, rtol=1e-5)


def test_encoders_see_levels_from_minus_one_to_one_and_reals_as_they_are() -> None:
    for kind in ("greys", "reals"):
        model, seen = vae_of(kind), []
        model.encoder.register_forward_pre_hook(lambda _, given, seen=seen: seen.extend(given))
        x = examples(model)
        model.encode(x)
        torch.testing.assert_close(seen[0], x / 3 - 1 if kind == "greys" else x)


def test_shares_of_levels_are_encoded_too() -> None:
    """So that samples can be sent back through the encoder."""
    model = vae_of("greys")
    x = examples(model)
    for whole, shared in zip(model.encode(x), model.encode(model.from_levels(x)), strict=True):
        torch.testing.assert_close(whole, shared)
    model.reconstruct(model.sample(3, seed=0))
    with pytest.raises(ValueError, match=r"encode: x must be from 0 to 1, .*, got 1.5 at"):
        model.encode(torch.full((2, *model.shape), 1.5))
    with pytest.raises(ValueError, match=r"log_prob: x must be int64 .*, got float32"):
        model.log_prob(model.from_levels(x))


def test_log_variances_are_clamped() -> None:
    model = vae_of("reals")
    for bias, least, most in ((1e6, 20.0, 20.0), (-1e6, -30.0, -30.0)):
        with torch.no_grad():
            model.encoder.readout.bias[3:] = bias  # type: ignore[union-attr, operator, index]
        _, log_variance = model.encode(examples(model))
        assert (log_variance.min(), log_variance.max()) == (least, most)
        assert model.elbo(examples(model)).isfinite().all()


def bad(kind: str, value: float) -> Tensor:
    x = examples(vae_of(kind), 2)
    x.flatten()[5] = value
    return x


@pytest.mark.parametrize(
    ("kind", "x", "message"),
    [
        ("greys", bad("greys", 7), "x must be at least 0 and below 7, got 7 in row 0"),
        ("greys", bad("greys", -1), "x must be at least 0 and below 7, got -1"),
        ("greys", bad("greys", 1)[:, :, 1:], r"x must be int64 .*, got int64 \(2, 1, 4, 6\)"),
        ("symbols", bad("symbols", 5), r"x must be at least 0 and below 5, got 5 at \(0, 5\)"),
        ("symbols", bad("symbols", 1)[0], r"x must be int64 \(N, 9\), got int64 \(9,\)"),
        ("reals", bad("reals", math.nan), r"x must be finite, got nan at \(0, 5\)"),
        ("reals", bad("reals", math.inf), "x must be finite, got inf"),
        ("reals", bad("reals", 1.0).long(), r"x must be float32 \(N, 7\), got int64 \(2, 7\)"),
        ("reals", "data", "x must be float32 .*, got str"),
    ],
    ids=str,
)
def test_refused_data(kind: str, x: Any, message: str) -> None:
    model = vae_of(kind)
    for call, name in ((model.log_prob, "log_prob"), (model.elbo, "elbo")):
        with pytest.raises(ValueError, match=f"{name}: {message}"):
            call(x)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (None, "classes must be int64 .*None"),
        (torch.tensor([0, 3]), "classes must be at least 0 and below 3, got 3 in row 1"),
        (torch.tensor([0]), r"classes must be int64 .*, got int64 \(1,\)"),
    ],
    ids=str,
)
def test_refused_classes(classes: Any, message: str) -> None:
    model = vae_of(classes=3)
    with pytest.raises(ValueError, match=f"log_prob: {message}"):
        model.log_prob(examples(model, 2), classes)


def test_refused_batches() -> None:
    model = vae_of()
    for batch in ({"images": 1}, (1, 2, 3), 7, {"x": examples(model), "y": 1}):
        with pytest.raises(ValueError, match="training_step: batch must be data, a pair of data"):
            model.training_step(batch, 0, Turn())
    with pytest.raises(ValueError, match="bits_per_dim: x must hold at least one example"):
        model.bits_per_dim(examples(model, 0))
    with pytest.raises(ValueError, match="log_prob: importance must be at least 1, got 0"):
        model.log_prob(examples(model), importance=0)


class Flat(nn.Module):
    """Numbers of the wrong number, or no tensor at all."""

    def __init__(self, outputs: int | None) -> None:
        super().__init__()
        self.outputs = outputs
        self.linear = nn.LazyLinear(outputs or 1)

    def forward(self, x: Tensor) -> Any:
        return None if self.outputs is None else self.linear(x.flatten(1))


def test_a_module_of_the_wrong_shape_is_told_both() -> None:
    x = torch.zeros(2, 7)
    with pytest.raises(
        ValueError,
        match=r"VAE: encoder must give \(2, 6\) for inputs \(2, 7\), got float32 \(2, 5\)",
    ):
        VAE((7,), latent=3, encoder=Flat(5)).encode(x)
    with pytest.raises(ValueError, match=r"VAE: encoder must give \(2, 6\) .*, got NoneType"):
        VAE((7,), latent=3, encoder=Flat(None)).encode(x)
    with pytest.raises(
        ValueError,
        match=r"VAE: decoder must give \(2, 2, 7\) for inputs \(2, 3\), got float32 \(2, 7\)",
    ):
        VAE((7,), latent=3, decoder=Flat(7)).decode(torch.zeros(2, 3))
    model = VAE((7,), 2, latent=3, classes=4, decoder=_Told())
    with pytest.raises(
        ValueError,
        match=r"decoder must give \(2, 7\) or \(2, 1, 7\) for inputs \(2, 3\), \(2, 4\), got",
    ):
        model.decode(torch.zeros(2, 3), torch.tensor([0, 1]))


class _Told(nn.Module):
    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        assert condition.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
        return z


def test_one_parameter_may_lack_its_axis() -> None:
    for outputs in ((7,), (1, 7)):
        decoder = nn.Sequential(nn.Linear(3, 7), nn.Unflatten(1, outputs))
        model = VAE((7,), 2, latent=3, decoder=decoder)
        assert model.sample(2, seed=0).shape == (2, 7)
