"""Models of one pass drawn with NumPy and ONNX Runtime alone: the library's samples, bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import genfast
from genfast import VAE, Autoencoder
from genfast.runtime import Decoder, Encoder, Sampler, one_pass

CLOSE = 1e-4

#: Draws and decodes without PyTorch, and says which modules it has.
READER = """
import sys
sys.modules.update(dict.fromkeys(("torch", "jaxtyping", "onnx", "genfast._core")))
import numpy as np
from genfast.runtime import Decoder, Encoder, Sampler

told = dict(np.load("told.npz"))
drawn = Sampler("images", threads=1).sample(6, **told)
posterior = Encoder("images_encoder", threads=1)(drawn.values, told["classes"])
again = Decoder("images_decoder", threads=1)(posterior["mean"], told["classes"])
np.savez("drawn.npz", values=drawn.values, again=again, **posterior)
print(sorted(name for name in sys.modules if name.startswith("torch") and sys.modules[name]))
"""


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """For every test of this file."""


@pytest.fixture(scope="module")
def images() -> VAE:
    torch.manual_seed(2)
    return VAE((2, 6, 5), 7, latent=5, classes=3, width=12).eval()


@pytest.fixture(scope="module")
def vectors() -> Autoencoder:
    torch.manual_seed(3)
    return Autoencoder((7,), latent=2, width=9).eval()


@pytest.fixture(scope="module")
def folder(images: VAE, vectors: Autoencoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("one_pass")
    genfast.export(images, path / "images")
    genfast.export(vectors, path / "vectors")
    return path


def told(n: int) -> dict[str, Any]:
    """Arguments that differ from row to row."""
    rng = np.random.default_rng(n)
    return {
        "seed": rng.integers(0, 2**63, n),
        "index": rng.integers(0, 2**32, n),
        "classes": rng.integers(0, 3, n),
        "temperature": np.resize(np.float32([1, 0, 1.5]), n),
        "truncation": np.resize(np.float32([np.inf, 0.7]), n),
    }


def by_library(images: VAE, n: int, **arguments: Any) -> Any:
    return images.sample(n, **{k: torch.from_numpy(v) for k, v in arguments.items()}).numpy()


def close(found: Any, wanted: Any) -> None:
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE)


def test_draws_what_the_library_draws(
    images: VAE, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_pass, "_CHUNK", 3)
    sampler = Sampler(folder / "images")
    assert (sampler.shape, sampler.classes) == ((2, 6, 5), 7)
    for n in (0, 1, 3, 8):
        arguments = told(n)
        drawn = sampler.sample(n, **arguments)
        assert drawn.lengths.tolist() == [1] * n
        close(drawn.values, by_library(images, n, **arguments))


def test_numbers_for_every_row(images: VAE, folder: Path) -> None:
    drawn = Sampler(folder / "images").sample(3, seed=5, index=2, classes=1)
    close(drawn.values, images.sample(3, seed=5, index=2, classes=1).numpy())
    assert drawn.seed == 5
    chosen = Sampler(folder / "images").sample(2, classes=1)
    close(chosen.values, images.sample(2, seed=chosen.seed, classes=1).numpy())


def test_decoder_and_encoder(images: VAE, vectors: Autoencoder, folder: Path) -> None:
    rng = np.random.default_rng(0)
    x, labels = rng.integers(0, 7, (4, 2, 6, 5)), np.array([0, 2, 1, 1])
    given = torch.from_numpy(x), torch.from_numpy(labels)
    encoder, decoder = Encoder(folder / "images_encoder"), Decoder(folder / "images_decoder")
    assert (decoder.latent, decoder.shape, decoder.levels) == (5, (2, 6, 5), 7)
    with torch.no_grad():
        mean, logvar = images.encode(*given)
        again = images.decode(mean, given[1])
    for whole in (x, x / 6):
        posterior = encoder(whole, labels)
        close(posterior["mean"], mean)
        close(posterior["logvar"], logvar)
    close(decoder(posterior["mean"], labels), again)
    x = rng.normal(size=(3, 7))
    with torch.no_grad():
        z = vectors.encode(torch.from_numpy(x).float())
        again = vectors.decode(z)
    found = Encoder(folder / "vectors_encoder")(x)
    assert set(found) == {"z"}
    close(found["z"], z)
    close(Decoder(folder / "vectors")(found["z"]), again)
    assert Decoder(folder / "vectors").levels is None
    assert "decoder(np.zeros((4, 2)))" in (folder / "vectors" / "README.md").read_text()


def test_torch_is_not_imported(images: VAE, folder: Path) -> None:
    arguments = told(6)
    np.savez(folder / "told.npz", **arguments)
    path = [str(Path(genfast.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, "-W", "error", "-c", READER]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    drawn = np.load(folder / "drawn.npz")
    close(drawn["values"], by_library(images, 6, **arguments))
    with torch.no_grad():
        mean, _ = images.encode(
            torch.from_numpy(drawn["values"]), torch.from_numpy(arguments["classes"])
        )
    close(drawn["mean"], mean)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": None}, "classes must be given, this export draws under it"),
        ({"classes": 3}, "classes must be from 0 to 2, got 3"),
        ({"classes": [1, -1]}, "classes must be from 0 to 2, got -1 in row 1"),
        ({"temperature": -1}, "temperature must be finite and at least 0, got -1"),
        ({"temperature": np.inf}, "temperature must be finite, got inf"),
        ({"truncation": 0}, "truncation must be above 0, got 0"),
        ({"truncation": [1, np.nan]}, "truncation must be above 0, got nan in row 1"),
        ({"truncation": "wide"}, r"truncation must be a number or numbers \(N,\) with N=2"),
        ({"truncation": np.ones(3)}, "truncation must be a number .* got float64"),
        ({"top_k": 3}, "top_k is off in this export, got 3"),
        ({"length": 5}, "length must be None for an export of one pass, got 5"),
        ({"prompt": [[1]]}, "prompt must be None for an export of one pass"),
        ({"stop": 1}, "stop must be None for an export of one pass"),
        ({"vector": [1.0]}, "vector must be None for an export of one pass"),
        ({"given": 3}, "given must be None for an export of one pass"),
        ({"n": -1}, "n must be at least 0, got -1"),
        ({"seed": -1}, "seed must be from 0"),
    ],
)
def test_bad_arguments_are_one_line(folder: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^Sampler: {message}") as caught:
        Sampler(folder / "images").sample(**({"n": 2, "classes": 1} | changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 2, 5, 6)), r"x must be numbers \(N, 2, 6, 5\), got float64 \(2, 2, 5, 6\)"),
        (np.full((1, 2, 6, 5), 7), "x must be integers from 0 to 6, got 7 to 7"),
        (np.full((1, 2, 6, 5), 1.5), "x must be shares from 0 to 1, got 1.5 to 1.5"),
        (np.full((1, 2, 6, 5), np.nan), r"x must be finite, got nan at \(0, 0, 0, 0\)"),
        ("abc", r"x must be numbers \(N, 2, 6, 5\)"),
    ],
)
def test_bad_samples(folder: Path, x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^Encoder: {message}"):
        Encoder(folder / "images_encoder")(x, 0)


def test_bad_latents(folder: Path) -> None:
    decoder = Decoder(folder / "images_decoder")
    with pytest.raises(ValueError, match=r"^Decoder: z must be numbers \(N, 5\), got float64 \(5,"):
        decoder(np.zeros(5), 0)
    with pytest.raises(ValueError, match="classes must be given"):
        decoder(np.zeros((2, 5)))
    assert decoder(np.zeros((0, 5)), 0).shape == (0, 2, 6, 5)


def test_folders_of_another_kind(folder: Path, toy: Path) -> None:
    with pytest.raises(ValueError, match="has a decoder graph; give the sampler's own folder"):
        Sampler(folder / "vectors")
    with pytest.raises(
        ValueError, match=r"^Decoder: the graph of .* must be decoder, got one_pass"
    ):
        Decoder(folder / "images")
    with pytest.raises(ValueError, match=r"^Encoder: the graph of .* must be encoder, got decoder"):
        Encoder(folder / "vectors")
    with pytest.raises(ValueError, match="has no step graph"):
        next(Sampler(folder / "images").stream(1, classes=0))
    with pytest.raises(ValueError, match="truncation must be None for an export of sequences"):
        Sampler(toy).sample(1, 2, truncation=1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": []}, "shape must be sides of at least 1"),
        ({"shape": [2, 6, 0]}, "shape must be sides of at least 1"),
        ({"shape": None}, "shape must be sides of at least 1"),
        ({"classes": -1}, "classes must be an integer of at least 1, or null, got -1"),
        ({"latent": None}, "latent must be an integer of at least 1, got None"),
        ({"latent": "5"}, "latent must be an integer of at least 1"),
        ({"stop": 3}, "stop must be null, got 3"),
        ({"step": "images_decoder"}, "step must be null"),
        ({"graph": "sampler"}, "latent must be null, got 5"),
        ({"graph": "decoder"}, "has a decoder graph"),
        ({"conditions": {"classes": 0}}, "conditions must be sizes"),
        ({"conditions": {}}, "has inputs"),
        ({"inputs": ["seed"]}, "has inputs"),
        ({"sha256": "0" * 64}, "was changed after export"),
    ],
)
def test_a_field_that_is_wrong(
    folder: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    config = json.loads((folder / "images" / "config.json").read_text())
    config["sampler"] |= changes
    (tmp_path / "a" / "1").mkdir(parents=True)
    (tmp_path / "a" / "config.json").write_text(json.dumps(config))
    data = (folder / "images" / "1" / "model.onnx").read_bytes()
    (tmp_path / "a" / "1" / "model.onnx").write_bytes(data)
    with pytest.raises(ValueError, match=f"^Sampler: .*{message}"):
        Sampler(tmp_path / "a")
