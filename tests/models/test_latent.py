"""What models of one pass share: draws, ways between latents, tables of latents and classes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from latent_models import DATA, autoencoder_of, labels, vae_of

from genfast.models.latent import slerp
from genfast.random import normals

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("classes", [None, 3])
def test_samples_are_what_normal_latents_decode_to(kind: str, classes: int | None) -> None:
    model = vae_of(kind, classes=classes)
    given = labels(model)
    drawn = model.sample(5, seed=9, index=4, classes=given)
    z = normals(9, 5, 3, index=4)
    with torch.no_grad():
        assert torch.equal(drawn, model.decode(z, given))
    assert drawn.shape == (5, *model.shape)
    assert drawn.dtype == torch.float32
    if model.levels is not None:
        assert 0 <= drawn.min() <= drawn.max() <= 1


def test_a_sample_is_its_seed_s_and_index_s() -> None:
    model = vae_of(classes=3)
    every = model.sample(300, seed=2, classes=labels(model, 300))
    with torch.no_grad():
        whole = model.decode(normals(2, 300, 3), labels(model, 300))
    torch.testing.assert_close(every, whole, atol=1e-6, rtol=0)
    alone = model.sample(1, seed=2, index=299, classes=299 % 3)
    torch.testing.assert_close(alone[0], every[299], atol=1e-6, rtol=0)
    seeds, indices = torch.tensor([2, 5]), torch.tensor([7, 0])
    rows = model.sample(2, seed=seeds, index=indices, classes=1)
    torch.testing.assert_close(rows[1:], model.sample(1, seed=5, classes=1), atol=1e-6, rtol=0)
    torch.testing.assert_close(rows[:1], model.sample(1, seed=2, index=7, classes=1))
    assert model.sample(0, classes=1).shape == (0, *model.shape)


def test_temperature_scales_the_latents_and_truncation_bounds_them() -> None:
    model = vae_of("reals")
    still = model.sample(3, seed=1, temperature=0.0)
    torch.testing.assert_close(still, model.decoded(torch.zeros(3, 3)))
    mixed = model.latents(2, seed=1, temperature=torch.tensor([1.0, 0.5]))
    torch.testing.assert_close(mixed * torch.tensor([[1.0], [2.0]]), normals(1, 2, 3))
    short = model.latents(500, seed=1, truncation=0.5)
    assert short[:, :2].norm(dim=1).max() <= 0.5
    torch.manual_seed(3)
    first, second = model.sample(2), model.sample(2)
    torch.manual_seed(3)
    assert torch.equal(model.sample(2), first)
    assert not torch.equal(second, first)


def test_drawing_leaves_the_mode_of_every_module() -> None:
    model = vae_of().train()
    model.decoder.eval()
    model.sample(2, seed=0)
    assert model.training
    assert model.encoder.training
    assert not model.decoder.training


def test_slerp_keeps_to_the_sphere() -> None:
    start, end = torch.randn(4, 6), torch.randn(4, 6)
    start, end = (3 * z / z.norm(dim=1, keepdim=True) for z in (start, end))
    way = slerp(start, end, torch.linspace(0, 1, 9))
    torch.testing.assert_close(way.norm(dim=2), torch.full((4, 9), 3.0))
    torch.testing.assert_close(way[:, 0], start)
    torch.testing.assert_close(way[:, -1], end)
    # Equal steps make equal angles.
    cosines = (way[:, 1:] * way[:, :-1]).sum(2) / 9
    torch.testing.assert_close(cosines, cosines[:, :1].expand(4, 8), atol=1e-5, rtol=1e-5)
    whole = torch.arccos((start * end).sum(1) / 9)
    torch.testing.assert_close(torch.arccos(cosines[:, 0]) * 8, whole, atol=1e-3, rtol=1e-3)


def test_slerp_where_there_is_no_arc() -> None:
    z = torch.randn(1, 5)
    shares = torch.linspace(0, 1, 5)
    for end in (z, 2 * z, -z, torch.zeros(1, 5)):
        way = slerp(z, end, shares)
        torch.testing.assert_close(way, torch.lerp(z[:, None], end[:, None], shares[None, :, None]))


def test_interpolate_decodes_the_way() -> None:
    model = vae_of(classes=3)
    start, end = torch.randn(2, 3), torch.randn(2, 3)
    made = model.interpolate(start, end, 4, classes=torch.tensor([2, 0]))
    assert made.shape == (2, 4, *model.shape)
    way = slerp(start, end, torch.linspace(0, 1, 4))
    for row, label in enumerate((2, 0)):
        expected = model.decoded(way[row], torch.full((4,), label))
        torch.testing.assert_close(made[row], expected)
    assert model.interpolate(start[:0], end[:0], classes=1).shape == (0, 8, *model.shape)


def test_traverse_moves_one_dimension_at_a_time() -> None:
    model = vae_of("reals")
    z = torch.randn(3)
    made = model.traverse(z, (-1.0, 0.5), dimensions=[2, 0])
    assert made.shape == (2, 2, 7)
    for row, dimension in enumerate((2, 0)):
        for column, value in enumerate((-1.0, 0.5)):
            moved = z.clone()
            moved[dimension] = value
            torch.testing.assert_close(made[row, column], model.decoded(moved[None])[0])
    assert model.traverse(z).shape == (3, 7, 7)


def test_cross_holds_the_latent_in_rows_and_the_class_in_columns() -> None:
    model = vae_of(classes=4)
    z = torch.randn(2, 3)
    table = model.cross(z)
    assert table.shape == (2, 4, *model.shape)
    for label in range(4):
        torch.testing.assert_close(table[:, label], model.decoded(z, torch.full((2,), label)))
    chosen = model.cross(z, torch.tensor([3, 1]))
    torch.testing.assert_close(chosen, table[:, [3, 1]])
    assert not torch.allclose(table[:, 0], table[:, 1])


def test_levels_to_shares_and_back() -> None:
    model = vae_of("greys")
    x = torch.randint(7, (4, *model.shape))
    assert torch.equal(model.to_levels(model.from_levels(x)), x)
    assert model.to_levels(torch.full((1, *model.shape), 1.2)).max() == 6
    reals = vae_of("reals")
    assert torch.equal(reals.from_levels(torch.ones(2, 7)), torch.ones(2, 7))
    with pytest.raises(ValueError, match="to_levels: VAE has real numbers, no levels"):
        reals.to_levels(torch.ones(2, 7))


NAN = math.nan


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": -1}, "n must be at least 0, got -1"),
        ({"n": 2.5}, "n must be an integer, got 2.5"),
        ({"temperature": -1.0}, "temperature must be finite and at least 0, got -1.0 in row 0"),
        ({"temperature": NAN}, "temperature must be finite and at least 0, got nan"),
        ({"temperature": "hot"}, r"temperature must be a number or float \(N,\) with N=2"),
        ({"temperature": torch.ones(3)}, r"temperature .* got float32 \(3,\)"),
        ({"truncation": 0.0}, "truncation must be above 0"),
        ({"truncation": torch.tensor([1.0, NAN])}, "truncation must be above 0"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"index": 2**32}, "index must be at least 0"),
        ({"classes": None}, "classes must be int64 .*None"),
        ({"classes": 3}, "classes must be at least 0 and below 3, got 3 in row 0"),
        ({"classes": torch.tensor([0, -1])}, "classes .* got -1 in row 1"),
        ({"classes": torch.tensor([0, 1, 2])}, r"classes must be int64 .*, got int64 \(3,\)"),
        ({"classes": torch.tensor([0.0, 1.0])}, "classes must be int64 .*, got float32"),
        ({"classes": True}, "classes must be int64 .*, got True"),
    ],
    ids=str,
)
def test_refused_draws(arguments: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"n": 2, "classes": 1} | arguments
    with pytest.raises(ValueError, match=message):
        vae_of(classes=3).sample(given.pop("n"), **given)


def test_refused_latents() -> None:
    model = vae_of()
    z = torch.zeros(2, 3)
    for wrong, got in (
        (torch.zeros(2, 4), r"float32 \(2, 4\)"),
        (torch.zeros(3), r"float32 \(3,\)"),
        (torch.zeros(2, 3, dtype=torch.int64), r"int64 \(2, 3\)"),
        ([1.0], "list"),
    ):
        with pytest.raises(ValueError, match=rf"decode: z must be float32 .* L=3, got {got}"):
            model.decode(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"interpolate: end must be .* N=2, L=3"):
        model.interpolate(z, z[:1])
    with pytest.raises(ValueError, match="interpolate: steps must be at least 2, got 1"):
        model.interpolate(z, z, 1)
    with pytest.raises(ValueError, match=r"traverse: z must be float32 \(L,\)"):
        model.traverse(z)
    with pytest.raises(ValueError, match=r"traverse: dimensions .* below 3, got \[3\]"):
        model.traverse(z[0], dimensions=[3])
    with pytest.raises(ValueError, match="cross: VAE must have classes, got none"):
        model.cross(z)
    with pytest.raises(ValueError, match="sample: classes must be None for a model made without"):
        model.sample(2, classes=1)


def test_an_autoencoder_has_nothing_to_sample_from() -> None:
    model = autoencoder_of()
    with pytest.raises(ValueError, match="sample: Autoencoder has no distribution of latents"):
        model.sample(2, seed=0)
    assert model.traverse(torch.zeros(3)).shape == (3, 7, *model.shape)
