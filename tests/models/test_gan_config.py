"""Arguments of a GAN: bounds, to JSON and back, to a folder and back, networks of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from gan_models import GAMES, data_of, game_of, play
from torch import Tensor, nn

import genfast
from genfast.models import GAN, registry

EVERY = pytest.mark.parametrize("name", GAMES)


@EVERY
def test_config_is_json_that_makes_the_model_again(name: str) -> None:
    model = game_of(name)
    config = model.config()
    made = GAN.from_config(json.loads(json.dumps(config)))
    assert made.config() == config
    assert repr(made) == repr(model)
    shapes = {key: t.shape for key, t in model.state_dict().items()}
    assert {key: t.shape for key, t in made.state_dict().items()} == shapes


def test_config_has_every_argument() -> None:
    assert GAN((1, 8, 8), 17, classes=10, architecture="dcgan").config() == {
        "shape": [1, 8, 8],
        "levels": 17,
        "latent": 64,
        "objective": "non-saturating",
        "classes": 10,
        "architecture": "dcgan",
        "width": 64,
        "depth": 3,
        "norm": "batch",
        "discriminator_steps": 1,
        "gradient_penalty": 10.0,
        "r1": 0.0,
        "r1_every": 1,
        "spectral_norm": False,
        "label_smoothing": 0.0,
        "generator": None,
        "discriminator": None,
    }


@EVERY
def test_a_saved_model_is_the_same(name: str, tmp_path: Path) -> None:
    model = game_of(name)
    play(model, data_of(model), 2)
    model.save(tmp_path / "kept", {"recognised": 0.5})
    loaded = genfast.load(tmp_path / "kept")
    assert type(loaded) is GAN
    assert loaded.figures == {"recognised": 0.5}
    given = {} if model.classes is None else {"classes": 1}
    assert torch.equal(loaded.sample(3, seed=1, **given), model.sample(3, seed=1, **given))
    batch = data_of(model)
    assert torch.equal(loaded.score(**batch), model.eval().score(**batch))


@EVERY
def test_the_card_s_example_draws(name: str) -> None:
    model = game_of(name)
    scope: dict[str, Any] = {"model": model, "print": lambda value: None}
    exec(model.draw_example, scope)
    assert scope["x"].shape == (4, *model.shape)


class Stretch(nn.Module):
    """A generator that anyone could write."""

    def __init__(self, latent: int, size: int) -> None:
        super().__init__()
        self.latent, self.size = latent, size
        self.layer = nn.Linear(latent, size)

    def config(self) -> dict[str, int]:
        return {"latent": self.latent, "size": self.size}

    @classmethod
    def from_config(cls, config: Any) -> Stretch:
        return cls(**config)

    def forward(self, z: Tensor) -> Tensor:
        return self.layer(z)


@pytest.fixture
def _registered() -> Iterator[None]:
    genfast.register(Stretch)
    yield
    del registry._CLASSES["Stretch"]


@pytest.mark.usefixtures("_registered")
def test_registered_networks_are_saved(tmp_path: Path) -> None:
    model = GAN((2,), latent=3, generator=Stretch(3, 2))
    config = model.config()
    assert config["generator"] == {"class": "Stretch", "arguments": {"latent": 3, "size": 2}}
    model.save(tmp_path)
    loaded = genfast.load(tmp_path)
    assert type(loaded.generator) is Stretch
    assert torch.equal(loaded.sample(3, seed=1), model.sample(3, seed=1))


def test_other_networks_play_but_are_not_saved(tmp_path: Path) -> None:
    model = GAN((2,), latent=3, generator=Stretch(3, 2))
    play(model, data_of(model), 2)
    with pytest.raises(ValueError, match=r"GAN: generator must be of a class .*Stretch"):
        model.save(tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": 28}, r"shape must be \(channels, rows, columns\) or \(numbers,\), got 28"),
        ({"shape": (1, 2)}, "shape must be"),
        ({"shape": (0,)}, "numbers of shape must be at least 1, got 0"),
        ({"shape": (17, 4, 4)}, "channels of shape must be at most 16"),
        ({"levels": 1}, "levels must be at least 2, got 1"),
        ({"levels": 65537}, "levels must be at most 65536"),
        ({"latent": 0}, "latent must be at least 1, got 0"),
        ({"latent": None}, "latent must be an integer, got None"),
        ({"classes": 0}, "classes must be at least 1, got 0"),
        ({"width": 65537}, "width must be at most 65536"),
        ({"depth": True}, "depth must be an integer, got True"),
        ({"objective": "minimax"}, "objective must be one of original, .*, got 'minimax'"),
        ({"objective": ["hinge"]}, "objective must be one of"),
        ({"architecture": "vit"}, "architecture must be 'mlp' or 'dcgan', got 'vit'"),
        ({"norm": "layer"}, "norm must be 'batch', 'group' or None, got 'layer'"),
        ({"discriminator_steps": 0}, "discriminator_steps must be at least 1, got 0"),
        ({"gradient_penalty": -1}, "gradient_penalty must be a number of at least 0, got -1"),
        ({"gradient_penalty": None}, "gradient_penalty must be a number"),
        ({"r1": float("nan")}, "r1 must be a number of at least 0, got nan"),
        ({"r1": "much"}, "r1 must be a number of at least 0, got 'much'"),
        ({"r1_every": 0}, "r1_every must be at least 1, got 0"),
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1, got 1.0"),
        (
            {"label_smoothing": 0.1, "objective": "hinge"},
            "label_smoothing must be 0 for 'hinge', which has no labels, got 0.1",
        ),
        ({"spectral_norm": 1}, "spectral_norm must be True or False, got 1"),
        (
            {"spectral_norm": True, "discriminator": nn.Linear(2, 1)},
            "spectral_norm must be False for a discriminator of your own",
        ),
        ({"generator": "G"}, "generator must be an nn.Module or None, got 'G'"),
    ],
)
def test_refused_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"GAN: {message}"):
        GAN(**{"shape": (2,), **arguments})


def test_an_image_size_that_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="got 27x27; the nearest that it can make are 28x28"):
        GAN((1, 27, 27), 2, architecture="dcgan")
    with pytest.raises(ValueError, match=r"shape must be \(channels, rows, columns\)"):
        GAN((2,), architecture="dcgan")


def changed(**values: Any) -> dict[str, Any]:
    return GAN((2,), latent=3).config() | values


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "argument 'shape' is missing"),
        (changed(more=1), "argument 'more' is unknown"),
        (changed(width=2**40), "width must be at most"),
        (changed(generator=5), "GAN: generator must have the keys class and arguments, got 5"),
        (changed(generator={"class": "os.system", "arguments": {}}), "class must be one of"),
        (changed(generator={"class": 5, "arguments": {}}), "generator must be a name and arg"),
        (changed(discriminator={"class": "GAN", "arguments": {}}), "'shape' is missing"),
    ],
)
def test_refused_configs(config: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GAN.from_config(config)
