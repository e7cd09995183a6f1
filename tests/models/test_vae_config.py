"""Arguments of autoencoders: bounds, to JSON and back, to a folder and back; replaced modules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from latent_models import DATA, autoencoder_of, examples, labels, vae_of
from torch import Tensor, nn

import genfast
from genfast.files.blank import blank_model
from genfast.files.limits import MOST_CHANNELS, MOST_ELEMENTS, MOST_LEVELS, MOST_WIDTH
from genfast.models import VAE, registry
from genfast.models.autoencoder import Autoencoder
from genfast.nn import Perceptron

pytestmark = pytest.mark.usefixtures("one_thread")

OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("bits", {}),
    ("bits", {"likelihood": "logistic"}),
    ("greys", {"classes": 3, "beta": 2.0, "free_bits": 0.25}),
    ("greys", {"architecture": "convolutional", "classes": 2, "depth": 2, "width": 4}),
    ("colours", {"architecture": "convolutional", "width": None, "depth": None, "latent": 5}),
    ("reals", {"width": None, "depth": None}),
]


@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=str)
def test_config_is_json_that_makes_the_model_again(kind: str, options: Any) -> None:
    model = vae_of(kind, **options)
    config = model.config()
    made = VAE.from_config(json.loads(json.dumps(config)))
    assert made.config() == config
    assert repr(made) == repr(model)
    shapes = {name: t.shape for name, t in model.state_dict().items()}
    assert {name: t.shape for name, t in made.state_dict().items()} == shapes


def test_config_has_every_argument() -> None:
    assert vae_of("greys", classes=10).config() == {
        "shape": [1, 5, 6],
        "levels": 7,
        "latent": 3,
        "classes": 10,
        "architecture": "mlp",
        "width": 17,
        "depth": 1,
        "likelihood": "logistic",
        "beta": 1.0,
        "free_bits": 0.0,
        "encoder": None,
        "decoder": None,
    }
    plain = autoencoder_of("greys").config()
    assert plain["loss"] == "squared"
    assert "likelihood" not in plain


@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=str)
def test_a_saved_model_is_the_same(tmp_path: Path, kind: str, options: Any) -> None:
    model = vae_of(kind, **options)
    model.check_saving()
    model.save(tmp_path / "kept", {"bits": 1.5})
    loaded = genfast.load(tmp_path / "kept")
    assert type(loaded) is VAE
    assert loaded.figures == {"bits": 1.5}
    assert not loaded.training
    x, given = examples(model), labels(model)
    assert torch.equal(loaded.log_prob(x, given), model.log_prob(x, given))
    assert torch.equal(
        loaded.sample(3, seed=1, classes=labels(model, 3)),
        model.sample(3, seed=1, classes=labels(model, 3)),
    )


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("classes", [None, 3])
def test_a_saved_autoencoder_is_the_same(tmp_path: Path, kind: str, classes: Any) -> None:
    model = autoencoder_of(kind, classes=classes)
    model.save(tmp_path)
    loaded = genfast.load(tmp_path)
    assert type(loaded) is Autoencoder
    x, given = examples(model), labels(model)
    assert torch.equal(loaded.reconstruct(x, given), model.reconstruct(x, given))


@pytest.mark.parametrize("classes", [None, 3])
@pytest.mark.parametrize("made", [vae_of, autoencoder_of])
def test_the_card_s_example_runs(made: Any, classes: int | None) -> None:
    model = made(classes=classes)
    scope: dict[str, Any] = {"model": model, "print": lambda value: None}
    exec(model.draw_example, scope)
    assert scope["x"].shape == (4, *model.shape)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (5, 5)}, r"shape must be \(channels, rows, columns\) or \(numbers,\), got"),
        ({"shape": 28}, "shape must be .*, got 28"),
        ({"shape": "abc"}, "shape must be .*, got 'abc'"),
        ({"shape": (0, 5, 5)}, "channels of shape must be at least 1, got 0"),
        ({"shape": (MOST_CHANNELS + 1, 5, 5)}, "channels of shape must be at most 16, got 17"),
        ({"shape": (1, 5.0, 5)}, "rows of shape must be an integer, got 5.0"),
        ({"shape": (MOST_ELEMENTS + 1,)}, "numbers of shape must be at most 16777216"),
        ({"levels": 1}, "levels must be at least 2, got 1"),
        ({"levels": MOST_LEVELS + 1}, "levels must be at most 65536, got 65537"),
        ({"latent": 0}, "latent must be at least 1, got 0"),
        ({"latent": MOST_WIDTH + 1}, "latent must be at most 65536, got 65537"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"width": True}, "width must be an integer, got True"),
        ({"depth": 1025}, "depth must be at most 1024, got 1025"),
        ({"classes": 0}, "classes must be at least 1, got 0"),
        ({"classes": "2"}, "classes must be an integer, got '2'"),
        (
            {"architecture": "resnet"},
            "architecture must be one of mlp, convolutional, got 'resnet'",
        ),
        ({"architecture": ["mlp"]}, "architecture must be one of mlp, convolutional, got"),
        ({"likelihood": "poisson"}, "likelihood must be one of bernoulli, gaussian, logistic"),
        ({"likelihood": {}}, "likelihood must be one of bernoulli, gaussian, logistic"),
        ({"beta": -1}, "beta must be at least 0 and finite, got -1"),
        ({"beta": float("nan")}, "beta must be at least 0 and finite, got nan"),
        ({"beta": "1"}, "beta must be a number, got '1'"),
        ({"free_bits": float("inf")}, "free_bits must be at least 0 and finite, got inf"),
        ({"free_bits": True}, "free_bits must be a number, got True"),
        ({"encoder": "mlp"}, "encoder must be an nn.Module, got 'mlp'"),
        (
            {"shape": (7,), "architecture": "convolutional"},
            r"architecture 'convolutional' needs a shape of \(channels, rows, columns\), got \(7",
        ),
    ],
    ids=str,
)
def test_refused_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"VAE: {message}"):
        VAE(**({"shape": (1, 5, 6), "levels": 4, "width": 3, "depth": 1} | arguments))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"layers": 1}, "VAE: argument 'layers' is unknown"),
        ({"encoder": "Perceptron"}, "VAE: encoder must have the keys class and arguments"),
        ({"encoder": {"class": "Perceptron"}}, "VAE: encoder must have the keys class and"),
        ({"encoder": {"class": 1, "arguments": {}}}, "VAE: encoder must be a name and arguments"),
        ({"encoder": {"class": "os", "arguments": {}}}, "class must be one of .*, got 'os'"),
        (
            {"encoder": {"class": "Perceptron", "arguments": {}}},
            "Perceptron: argument 'inputs' is missing",
        ),
    ],
    ids=str,
)
def test_refused_configs(edit: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VAE.from_config(vae_of().config() | edit)
    short = vae_of().config()
    short.pop("beta")
    with pytest.raises(ValueError, match="VAE: argument 'beta' is missing"):
        VAE.from_config(short)


@pytest.mark.parametrize("architecture", ["mlp", "convolutional"])
def test_large_sizes_take_no_memory_on_the_meta_device(architecture: Any) -> None:
    with torch.device("meta"):
        model = VAE(
            (16, 8, 8), 65_536, latent=MOST_WIDTH, width=MOST_WIDTH, depth=3, classes=2**24,
            architecture=architecture,
        )  # fmt: skip
    assert sum(b.numel() for b in model.buffers()) == 0


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"depth": 1024}, "the arguments ask for more than 8 tensors"),
        ({"architecture": "convolutional", "depth": 1000}, "ask for more than 8 tensors"),
        ({"width": 2**40}, "width must be at most 65536"),
        ({"shape": [2**24, 2**24, 2**24]}, "channels of shape must be at most 16"),
        ({"latent": 10**30}, "latent must be at most 65536"),
        ({"decoder": {"class": "VAE", "arguments": {}}}, "VAE: argument 'shape' is missing"),
    ],
    ids=str,
)
def test_a_file_cannot_ask_for_much(edit: dict[str, Any], message: str) -> None:
    model = vae_of()
    assert len(model.state_dict()) == 8
    with pytest.raises(ValueError, match=f"here: .*{message}"):
        blank_model(VAE, model.config() | edit, 8, "here")


class Own(nn.Module):
    """An encoder or decoder of one's own."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.linear(x.flatten(1))
        return made

    def config(self) -> dict[str, Any]:
        return {"inputs": self.inputs, "outputs": self.outputs}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Own:
        return cls(**config)


@pytest.fixture
def _as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten."""
    monkeypatch.setattr(registry, "_CLASSES", dict(registry._CLASSES))


@pytest.mark.usefixtures("_as_found")
def test_modules_of_one_s_own_are_saved_when_registered(tmp_path: Path) -> None:
    model = VAE((1, 5, 6), 2, latent=3, encoder=Own(30, 6))
    x = examples(model)
    assert model.log_prob(x).shape == (5,)
    for call in (model.check_saving, model.config, lambda: model.save(tmp_path / "kept")):
        with pytest.raises(ValueError, match=r"VAE: encoder must be of a class .* got a Own"):
            call()
    assert not (tmp_path / "kept").exists()
    genfast.register(Own)
    model.save(tmp_path / "kept")
    loaded = genfast.load(tmp_path / "kept")
    assert type(loaded.encoder) is Own
    assert torch.equal(loaded.log_prob(x), model.log_prob(x))


@pytest.mark.usefixtures("_as_found")
def test_a_module_that_is_replaced_later_is_saved(tmp_path: Path) -> None:
    model = vae_of("reals")
    model.encoder = Perceptron((7,), (6,), width=9, depth=2, activation="relu")
    model.decoder = nn.Sequential(nn.Linear(3, 14), nn.Unflatten(1, (2, 7)))
    with pytest.raises(ValueError, match=r"VAE: decoder must be of a class .* got a Sequential"):
        model.check_saving()
    model.decoder = vae_of("reals").decoder
    model.save(tmp_path)
    loaded = genfast.load(tmp_path)
    assert loaded.encoder.activation == "relu"
    x = examples(model)
    assert torch.equal(loaded.log_prob(x), model.log_prob(x))
    assert loaded.config()["decoder"] is None


def test_a_readme_s_encoder_and_decoder() -> None:
    """The ten lines of the README."""
    torch.manual_seed(0)
    x = genfast.data.digits().x[:200]
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 2 * 8))
    decoder = nn.Sequential(nn.Linear(8, 100), nn.ReLU(), nn.Linear(100, 128))
    decoder.append(nn.Unflatten(1, (2, 1, 8, 8)))  # location and scale of every pixel
    model = genfast.VAE((1, 8, 8), levels=17, latent=8, encoder=encoder, decoder=decoder)
    before = model.bits_per_dim(x)
    genfast.fit(model, x, epochs=5, lr=3e-3, progress=False)
    assert model.bits_per_dim(x) < before - 0.2
    assert model.sample(16, seed=0).shape == (16, 1, 8, 8)
