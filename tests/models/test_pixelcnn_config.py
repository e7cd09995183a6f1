"""Arguments of a PixelCNN: bounds, to JSON and back, to a folder and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from image_models import CONDITIONS, conditions, images, model_of

import genfast
from genfast.files.limits import MOST_CHANNELS, MOST_LEVELS, MOST_SIDE, MOST_WIDTH
from genfast.heads import Categorical
from genfast.models import PixelCNN

OPTIONS: list[dict[str, Any]] = [
    {},
    {"variant": "masked", "depth": 1},
    {"input": "embedding"},
    {"input": "embedding", "embedding_width": 2, "variant": "masked"},
    {"head": Categorical(4)},
    CONDITIONS["all"],
]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_config_is_json_that_makes_the_model_again(channels: int, options: Any) -> None:
    model = model_of((channels, 3, 4), **options)
    config = model.config()
    made = PixelCNN.from_config(json.loads(json.dumps(config)))
    assert made.config() == config
    assert repr(made) == repr(model)
    shapes = {name: t.shape for name, t in model.state_dict().items()}
    assert {name: t.shape for name, t in made.state_dict().items()} == shapes


def test_config_has_every_argument() -> None:
    assert model_of((3, 5, 6), 8, classes=10, input="embedding").config() == {
        "shape": [3, 5, 6],
        "levels": 8,
        "width": 5,
        "depth": 2,
        "variant": "gated",
        "head": {"class": "Categorical", "classes": 8},
        "input": "embedding",
        "embedding_width": 5,
        "classes": 10,
        "vector": None,
        "features": None,
    }


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_saved_model_is_the_same(tmp_path: Path, options: Any) -> None:
    model = model_of((3, 3, 4), **options)
    model.save(tmp_path / "kept", {"bits": 1.5})
    loaded = genfast.load(tmp_path / "kept")
    assert type(loaded) is PixelCNN
    assert loaded.figures == {"bits": 1.5}
    assert not loaded.training
    x, given = images(model), conditions(model)
    assert torch.equal(loaded(x, **given), model(x, **given))
    assert str(loaded.program()) == str(model.program())


@pytest.mark.parametrize("names", CONDITIONS)
def test_the_card_s_example_draws(names: str) -> None:
    model = model_of((1, 2, 2), **CONDITIONS[names])
    scope: dict[str, Any] = {"model": model, "print": lambda value: None}
    example = model.draw_example
    assert "model.sample(4, seed=0" in example
    exec(example.replace("seed=0", "seed=0, backend='reference'"), scope)
    assert scope["x"].shape == (4, 1, 2, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (1, 5)}, r"shape must be \(channels, rows, columns\), got \(1, 5\)"),
        ({"shape": 28}, r"shape must be \(channels, rows, columns\), got 28"),
        ({"shape": "abc"}, r"shape must be \(channels, rows, columns\), got 'abc'"),
        ({"shape": (0, 5, 5)}, "channels of shape must be at least 1, got 0"),
        ({"shape": (MOST_CHANNELS + 1, 5, 5)}, "channels of shape must be at most 16, got 17"),
        ({"shape": (1, 0, 5)}, "rows of shape must be at least 1, got 0"),
        ({"shape": (1, 5, MOST_SIDE + 1)}, "columns of shape must be at most 16384, got 16385"),
        ({"shape": (1, 5.0, 5)}, "rows of shape must be an integer, got 5.0"),
        ({"levels": 1}, "levels must be at least 2, got 1"),
        ({"levels": MOST_LEVELS + 1}, "levels must be at most 65536, got 65537"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"width": MOST_WIDTH + 1}, "width must be at most 65536, got 65537"),
        ({"width": True}, "width must be an integer, got True"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"depth": 1025}, "depth must be at most 1024, got 1025"),
        ({"depth": None}, "depth must be an integer, got None"),
        ({"variant": "masked A"}, "variant must be 'masked' or 'gated', got 'masked A'"),
        ({"input": "one-hot"}, "input must be 'real' or 'embedding', got 'one-hot'"),
        ({"embedding_width": 4}, "embedding_width must be None for real input, got 4"),
        ({"input": "embedding", "embedding_width": 0}, "embedding_width must be at least 1, got 0"),
        ({"classes": 0}, "classes must be at least 1, got 0"),
        ({"vector": -1}, "vector must be at least 1, got -1"),
        ({"features": "2"}, "features must be an integer, got '2'"),
        ({"head": Categorical(5)}, r"head must be Categorical\(4\) or a head of 4 levels"),
        ({"head": "categorical"}, r"head must be Categorical\(4\) .*, got 'categorical'"),
    ],
)
def test_refused_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"PixelCNN: {message}"):
        PixelCNN(**({"shape": (1, 5, 6), "levels": 4, "width": 3, "depth": 1} | arguments))


def test_unknown_and_missing_keys() -> None:
    config = model_of().config()
    with pytest.raises(ValueError, match="PixelCNN: argument 'layers' is unknown"):
        PixelCNN.from_config(config | {"layers": 1})
    config.pop("input")
    with pytest.raises(ValueError, match="PixelCNN: argument 'input' is missing"):
        PixelCNN.from_config(config)


def test_large_sizes_take_no_memory_on_the_meta_device() -> None:
    with torch.device("meta"):
        model = PixelCNN((16, 4, 4), 65_536, width=MOST_WIDTH, depth=3, classes=2**24)
    assert sum(b.numel() for b in model.buffers()) < 10_000
    assert model.network.readout.weight.shape == (16 * 65_536, 2 * 65_536, 1, 1)
