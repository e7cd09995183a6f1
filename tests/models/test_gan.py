"""GAN: what its players see, what they are told, and what is drawn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gan_models import GAMES, data_of, game_of, move, play, turn_of
from torch import Tensor, nn

from genfast.models import GAN
from genfast.models.gan.objectives import OBJECTIVES
from genfast.random import fold, normals, uniforms

EVERY = pytest.mark.parametrize("name", GAMES)
pytestmark = pytest.mark.usefixtures("one_thread")


@EVERY
def test_samples_are_data_under_their_labels(name: str) -> None:
    model = game_of(name)
    given = {} if model.classes is None else {"classes": torch.arange(5) % model.classes}
    x = model.sample(5, seed=4, **given)
    assert x.shape == (5, *model.shape)
    assert x.dtype == torch.float32
    alone = model.sample(1, seed=4, index=2, **{k: v[2:3] for k, v in given.items()})
    torch.testing.assert_close(alone[0], x[2])
    assert (x[0] - x[1]).abs().max() > 1e-4
    if model.levels is not None:
        assert x.min() >= 0
        assert x.max() <= 1
        assert int(model.to_levels(x).max()) < model.levels
    assert model.training


@pytest.mark.parametrize("name", [n for n in GAMES if "classes" in GAMES[n]])
def test_labels_change_samples_and_scores(name: str) -> None:
    model = game_of(name).eval()
    z = torch.randn(4, model.latent)
    labels = torch.zeros(4, dtype=torch.int64)
    assert (model.decode(z, labels) - model.decode(z, labels + 1)).abs().max() > 1e-4
    x = data_of(model, 4)["x"]
    assert (model.score(x, labels) - model.score(x, labels + 1)).abs().min() > 0


def test_the_discriminator_sees_levels_from_minus_one_to_one() -> None:
    class Seen(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            self.x = x
            return x.flatten(1).sum(1)

    seen = Seen()
    model = GAN((5,), 5, discriminator=seen)
    assert model.score(torch.arange(5)[None]).shape == (1,)
    assert seen.x.tolist() == [[-1, -0.5, 0, 0.5, 1]]
    real = GAN((5,), discriminator=seen)
    x = torch.randn(2, 5)
    real.score(x)
    assert torch.equal(seen.x, x)


class Linear(nn.Module):
    """A score w.x, whose slopes are known."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 2, n))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


class Scale(nn.Module):
    """A generator that gives its latent, stretched."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, z: Tensor) -> Tensor:
        return self.scale * z


def known(**options: Any) -> GAN:
    return GAN((3,), latent=3, generator=Scale(), discriminator=Linear(3), **options)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_losses_are_of_data_and_of_latents_of_the_turn(objective: str) -> None:
    model = known(objective=objective)
    x, rule = torch.randn(4, 3), OBJECTIVES[objective]
    weight = model.discriminator.weight
    for number, player in enumerate(("discriminator", "generator")):
        told = model.training_step(x, 7, turn_of(player, index=11))
        z = normals(fold(5, "latent", number), 4, 3, index=11)
        real, fake = x @ weight, (2 * z) @ weight
        assert told["fake"].item() == pytest.approx(fake.mean().item(), rel=1e-5)
        if player == "generator":
            torch.testing.assert_close(told["loss"], rule.generator(fake))
            assert set(told) == {"loss", "fake"}
            continue
        assert told["real"].item() == pytest.approx(real.mean().item(), rel=1e-5)
        loss = rule.discriminator(real, fake, 0.0) + told.get("penalty", 0)
        torch.testing.assert_close(told["loss"], loss)


def test_penalties_of_a_known_score() -> None:
    x, size = torch.randn(4, 3), torch.linspace(0.5, 2, 3).norm().item()
    told = known(objective="wasserstein", gradient_penalty=3.0).training_step(
        x, 0, turn_of("discriminator")
    )
    assert told["penalty"].item() == pytest.approx(3 * (size - 1) ** 2, rel=1e-5)
    lazy = known(r1=0.5, r1_every=4)
    for step in range(9):
        told = lazy.training_step(x, step, turn_of("discriminator"))
        assert ("penalty" in told) == (step % 4 == 0)
        if "penalty" in told:
            assert told["penalty"].item() == pytest.approx(0.5 * 4 * size**2 / 2, rel=1e-5)
    both = known(objective="wasserstein", gradient_penalty=3.0, r1=0.5)
    told = both.training_step(x, 0, turn_of("discriminator"))
    expected = 3 * (size - 1) ** 2 + 0.5 * size**2 / 2
    assert told["penalty"].item() == pytest.approx(expected, rel=1e-5)
    assert not x.requires_grad


def test_mixtures_of_the_penalty_are_of_the_turn_s_rows() -> None:
    """D = |x|^2 / 2, so the slope is |x| between the row and its fake."""

    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.square().sum(1) / 2

    model = GAN((3,), latent=3, generator=Scale(), discriminator=Square(), objective="wasserstein")
    x = torch.randn(4, 3)
    told = model.training_step(x, 0, turn_of("discriminator", index=2))
    fake = 2 * normals(fold(5, "latent", 0), 4, 3, index=2)
    share = uniforms(fold(5, "noise"), 4, 1, index=2)
    between = share * x + (1 - share) * fake
    expected = 10 * (between.norm(dim=1) - 1).square().mean()
    assert told["penalty"].item() == pytest.approx(expected.item(), rel=1e-5)


@EVERY
def test_a_turn_is_the_mean_over_its_rows_whoever_has_them(name: str) -> None:
    """Parts of a batch, each told where it begins, give the loss of the whole."""
    model = game_of(name).eval()  # batch normalisation looks at its rows together
    batch = data_of(model, 6)
    for player in ("discriminator", "generator"):
        whole = model.training_step(batch, 0, turn_of(player, index=3))
        parts = [
            model.training_step(
                {k: v[a:b] for k, v in batch.items()}, 0, turn_of(player, index=3 + a)
            )
            for a, b in ((0, 2), (2, 6))
        ]
        for key, value in whole.items():
            joint = (2 * parts[0][key] + 4 * parts[1][key]) / 6
            torch.testing.assert_close(value, joint, rtol=1e-4, atol=1e-6)


@EVERY
def test_each_player_s_loss_is_its_own(name: str) -> None:
    """The discriminator's has no gradient for the generator; both have some for their own."""
    model = game_of(name)
    batch = data_of(model)
    model.training_step(batch, 0, turn_of("discriminator"))["loss"].backward()
    assert all(p.grad is None for p in model.generator.parameters())
    assert all(p.grad is not None for p in model.discriminator.parameters())
    model.zero_grad()
    model.training_step(batch, 0, turn_of("generator"))["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.generator.parameters())


@EVERY
def test_held_out_data_are_measured_without_gradients_or_penalties(name: str) -> None:
    model = game_of(name).eval()
    batch = data_of(model)
    with torch.no_grad():
        told = model.training_step(batch, 0, turn_of(None))
    assert "penalty" not in told
    learning = model.training_step(batch, 0, turn_of("discriminator"))
    loss = learning["loss"] - learning.get("penalty", 0)
    torch.testing.assert_close(told["loss"], loss.detach())


def test_the_generator_moves_every_so_many_steps() -> None:
    model = game_of("wasserstein", discriminator_steps=3)
    both, one = ("discriminator", "generator"), ("discriminator",)
    assert [model.turns(step) for step in range(6)] == [one, one, both] * 2
    assert game_of().turns(0) == both


def test_parameter_groups_name_the_players() -> None:
    for objective, betas in (("non-saturating", (0.5, 0.999)), ("wasserstein", (0.0, 0.9))):
        model = game_of("vectors", objective=objective)
        groups = {group["player"]: group for group in model.parameter_groups()}
        for name, group in groups.items():
            assert [id(p) for p in group["params"]] == [
                id(p) for p in getattr(model, name).parameters()
            ]
            assert (group["betas"], group["weight_decay"]) == (betas, 0.0)
        assert set(groups) == {"discriminator", "generator"}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_samples_move_to_the_data(objective: str) -> None:
    """A heavier penalty would hold a critic of one number on the slope that it begins with."""
    torch.manual_seed(0)
    model = GAN((1,), latent=2, width=16, depth=1, objective=objective, gradient_penalty=1.0)
    x = 3 + 0.5 * torch.randn(64, 1)
    before = model.sample(500, seed=1).mean().item()
    play(model, x, 60, lr=5e-3)
    assert abs(before) < 1
    assert model.sample(500, seed=1).mean().item() > 1


def test_batch_normalisation_of_two_players() -> None:
    """Each player's move looks at the data and the fakes as batches of their own."""
    model = game_of("images")
    before = model.generator.first[0].running_mean.clone()
    optimizer = torch.optim.AdamW(model.parameter_groups(), lr=1e-3)
    move(model, optimizer, data_of(model), 0, turn_of("discriminator"))
    assert not torch.equal(model.generator.first[0].running_mean, before)
    for options in ({"r1": 1.0}, {"spectral_norm": True}, {"objective": "wasserstein"}):
        alone = game_of("images", **options)
        assert not [m for m in alone.discriminator.modules() if isinstance(m, nn.BatchNorm2d)]
        assert [m for m in alone.generator.modules() if isinstance(m, nn.BatchNorm2d)]


def test_spectral_normalisation_bounds_every_layer() -> None:
    model = game_of("images", spectral_norm=True)
    play(model, data_of(model), 30)
    layers = [m for m in model.discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 3
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() < 1.2


def bad(model: GAN, **changed: Any) -> Any:
    return data_of(model) | changed


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("vectors", {"x": torch.full((2, 2), torch.nan)}, r"x must be finite, got nan at \(0, 0\)"),
        ("vectors", {"x": torch.tensor([[0.0, torch.inf]])}, r"x must be finite, got inf"),
        ("vectors", {"x": torch.zeros(2, 3)}, r"x must be float32 \(N, 2\), got float32 \(2, 3\)"),
        ("vectors", {"x": torch.zeros(2, 2).long()}, r"x must be float32 .*, got int64 \(2, 2\)"),
        ("vectors", {"x": torch.zeros(0, 2)}, "batch must hold at least one row, got none"),
        ("vectors", {"classes": torch.zeros(6).long()}, "classes must be None"),
        ("vectors", {"y": 1}, "batch must be data"),
        ("images", {"x": torch.full((2, 1, 8, 8), 5)}, "x must be at least 0 and below 5, got 5"),
        ("images", {"x": torch.zeros(2, 1, 8, 7).long()}, r"x must be int64 .*\(2, 1, 8, 7\)"),
        (
            "images",
            {"x": torch.zeros(1, 1, 8, 8).long()},
            "batch must hold at least 2 rows, as generator.first.0 normalises over them, got 1",
        ),
        ("wasserstein", {"classes": None}, "classes must be int64 .*None"),
        (
            "wasserstein",
            {"classes": torch.tensor([0, 1, 2, 0, 0, 0])},
            "classes must be at least 0 and below 2, got 2 in row 2",
        ),
    ],
)
def test_bad_batches(name: str, changed: Any, message: str) -> None:
    model = game_of(name)
    for player in ("discriminator", "generator"):
        with pytest.raises(ValueError, match=f"training_step: .*{message}"):
            model.training_step(bad(model, **changed), 0, turn_of(player))


def test_one_row_is_enough_without_batch_normalisation() -> None:
    for model in (game_of(), game_of("images", norm="group"), game_of("images").eval()):
        assert model.training_step(data_of(model, 1), 0, turn_of("generator"))["loss"].isfinite()


def test_nobody_else_plays() -> None:
    with pytest.raises(ValueError, match="player must be discriminator or generator, got 'dealer'"):
        game_of().training_step(torch.zeros(2, 2), 0, turn_of("dealer"))


def test_bad_latents_and_labels() -> None:
    model = game_of("wasserstein")
    with pytest.raises(ValueError, match="decode: classes must be at least 0 and below 2, got 2"):
        model.decode(torch.zeros(1, 3), torch.tensor([2]))
    with pytest.raises(ValueError, match=r"decode: z must be float32 .*, got float32 \(1, 4\)"):
        model.decode(torch.zeros(1, 4), torch.tensor([0]))
    with pytest.raises(ValueError, match="sample: classes must be"):
        model.sample(2, seed=0)


class Wrong(nn.Module):
    """Gives what it should, but for its shape."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight, self.shape = nn.Parameter(torch.zeros(())), shape

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.expand(len(x), *self.shape)


def test_networks_of_the_wrong_shape_are_told_both_shapes() -> None:
    x = torch.zeros(4, 2)
    model = GAN((2,), latent=3, generator=Wrong(2, 1))
    wanted = r"GAN: generator must give \(4, 2\) for inputs \(4, 3\), got float32 \(4, 2, 1\)"
    with pytest.raises(ValueError, match=wanted):
        model.training_step(x, 0, turn_of("discriminator"))
    with pytest.raises(ValueError, match=wanted):
        model.sample(4, seed=0)
    model = GAN((2,), latent=3, discriminator=Wrong(2))
    wanted = r"discriminator must give \(4,\) or \(4, 1\) for inputs \(4, 2\), got float32 \(4, 2\)"
    with pytest.raises(ValueError, match=wanted):
        model.training_step(x, 0, turn_of("generator"))
    for shape in ((), (1,)):
        model = GAN((2,), latent=3, discriminator=Wrong(*shape))
        assert model.score(x).shape == (4,)
