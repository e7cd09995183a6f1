"""genfast.export of models of one pass: folders, graphs, verification that finds what is broken."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from one_pass_models import OnePass, OnePassImages, Vectors, trained
from torch import Tensor, nn

import genfast
from genfast.compiled import NotCompilableError
from genfast.exporting import checks, one_pass_graphs, one_pass_latents
from genfast.exporting.nodes import OPSET
from genfast.exporting.one_pass import _why_unsaved

CLOSE = 1e-4


def section(folder: Path) -> dict[str, Any]:
    named: dict[str, Any] = json.loads((folder / "config.json").read_text())["sampler"]
    return named


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def run(folder: Path, **fed: Any) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(
        (folder / "1" / "model.onnx").read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    arrays = {name: np.asarray(value) for name, value in fed.items()}
    return session.run(None, {k: v[:, None] if v.ndim == 1 else v for k, v in arrays.items()})


@pytest.fixture
def exported(one_pass: OnePass) -> tuple[Path, Any]:
    """The folder of the images' sampler, and the report."""
    return one_pass.path, one_pass.report


@pytest.fixture
def model(one_pass: OnePass) -> OnePassImages:
    """The images' model."""
    return one_pass.model


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Vectors]:
    """The same of vectors."""
    path, model = tmp_path_factory.mktemp("vectors") / "v", trained(Vectors())
    return path, genfast.export(model, path), model


def test_folders(exported: tuple[Path, Any], model: OnePassImages) -> None:
    path, report = exported
    beside = {"config.json", "1/model.onnx"}
    decoder, encoder = (path.with_name(f"a_{part}") for part in ("decoder", "encoder"))
    assert files(path) == beside | {"model.safetensors", "README.md"}
    assert files(decoder) == files(encoder) == beside
    assert report.paths == (path, decoder, encoder)
    for folder, size in zip(report.paths, report.bytes, strict=True):
        data, said = (folder / "1/model.onnx").read_bytes(), section(folder)
        assert (said["format"], said["classes"], said["shape"]) == (1, 17, [1, 8, 8])
        assert (said["latent"], said["conditions"]) == (5, {"classes": 3})
        assert said["sha256"] == hashlib.sha256(data).hexdigest()
        assert len(data) == size
        graph = onnx.load_from_string(data)
        onnx.checker.check_model(graph, full_check=True)
        assert [value.name for value in graph.graph.input] == said["inputs"]
        assert [value.name for value in graph.graph.output] == said["outputs"]
        assert graph.opset_import[0].version == said["opset"] == report.opset == OPSET
        assert (graph.producer_name, len(graph.functions)) == ("genfast", 0)
        for value in (*graph.graph.input, *graph.graph.output):
            assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert [section(folder)["graph"] for folder in report.paths] == [
        "one_pass",
        "decoder",
        "encoder",
    ]
    drawn = ["seed", "index", "classes", "temperature", "truncation"]
    assert (section(path)["inputs"], section(path)["outputs"]) == (drawn, ["values"])
    assert section(decoder)["inputs"] == ["z", "classes"]
    assert section(encoder)["outputs"] == ["mean", "logvar"]
    loaded, classes = genfast.load(path), torch.tensor([2, 0])
    torch.testing.assert_close(
        loaded.sample(2, seed=1, classes=classes), model.sample(2, seed=1, classes=classes)
    )
    assert "np.arange(4) % 3" in (path / "README.md").read_text()


def test_nothing_of_this_machine_stands_in_a_graph(exported: tuple[Path, Any]) -> None:
    for path in exported[1].paths:
        data = (path / "1/model.onnx").read_bytes()
        assert b".py" not in data
        assert str(Path.home()).encode() not in data


def test_report(exported: tuple[Path, Any]) -> None:
    _, report = exported
    nodes = report.nodes["decoder"]
    assert (nodes["ConvTranspose"], nodes["Conv"], nodes["Gemm"]) == (2, 1, 1)
    assert not any(counts["BatchNormalization"] for counts in report.nodes.values())
    assert report.nodes["one_pass"]["BitwiseXor"] > 20
    assert report.numbers == 8 * (64 + 64 + 10)
    assert 0 < report.error < CLOSE
    assert report.unsaved is None
    text = str(report)
    for said in ("a_decoder/1/model.onnx", "2 ConvTranspose", f"opset {OPSET}", "off by at most"):
        assert said in text
    assert "without weights" not in text


@pytest.mark.parametrize("n", [1, 2, 6])
def test_one_seed_gives_the_same_samples(
    exported: tuple[Path, Any], model: OnePassImages, n: int
) -> None:
    rng = np.random.default_rng(n)
    told = {
        "seed": rng.integers(0, 2**63, n),
        "index": rng.integers(0, 2**32, n),
        "classes": rng.integers(0, 3, n),
        "temperature": np.resize(np.float32([1, 0, 0.7, 2]), n),
        "truncation": np.resize(np.float32([math.inf, 1, 0.1]), n),
    }
    wanted = model.sample(n, **{name: torch.from_numpy(value) for name, value in told.items()})
    (found,) = run(exported[0], **told)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=CLOSE)


def test_decoder_and_encoder(exported: tuple[Path, Any], model: OnePassImages) -> None:
    path, _ = exported
    z, classes = torch.randn(4, 5), torch.tensor([0, 2, 1, 1])
    with torch.no_grad():
        wanted = model.decode(z, classes)
        moments = model.encode(wanted, classes)
    (found,) = run(path.with_name("a_decoder"), z=z.numpy(), classes=classes.numpy())
    np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=CLOSE)
    encoded = run(path.with_name("a_encoder"), x=wanted.numpy(), classes=classes.numpy())
    for one, other in zip(encoded, moments, strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=0, atol=CLOSE)


def test_vectors_that_cannot_be_saved(vectors: tuple[Path, Any, Vectors]) -> None:
    path, report, model = vectors
    assert files(path) == {"config.json", "1/model.onnx"}
    assert report.paths == (path, path.with_name("v_decoder"))
    assert "without weights: Vectors has no config() and from_config" in str(report)
    assert (section(path)["classes"], section(path)["shape"]) == (None, [5])
    columns = {"temperature": np.ones(3, np.float32), "truncation": np.full(3, np.inf, np.float32)}
    (found,) = run(path, seed=np.full(3, 7), index=np.arange(3), **columns)
    np.testing.assert_allclose(found, model.sample(3, seed=7).numpy(), rtol=0, atol=CLOSE)


def test_modules_that_are_not_registered_are_named() -> None:
    own = genfast.VAE(
        (5,), latent=2, decoder=nn.Sequential(nn.Linear(2, 10), nn.Unflatten(1, (2, 5)))
    )
    assert "VAE: decoder must be of a class" in str(_why_unsaved(own))
    assert _why_unsaved(genfast.VAE((5,), latent=2)) is None


def test_they_replace_no_saved_model(exported: tuple[Path, Any]) -> None:
    before = (exported[0] / "config.json").read_bytes()
    with pytest.raises(
        ValueError, match=r"export: .*a holds a saved model, which a Vectors cannot"
    ):
        genfast.export(Vectors(), exported[0])
    assert (exported[0] / "config.json").read_bytes() == before


def test_the_model_is_left_as_found(one_pass: OnePass) -> None:
    now = one_pass.model.state_dict()
    assert now.keys() == one_pass.before.keys()
    assert all(torch.equal(one_pass.before[name], tensor) for name, tensor in now.items())
    assert one_pass.was_training
    for module in one_pass.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def other_weight(monkeypatch: Any) -> None:
    """Weights are a tenth larger."""
    whole = one_pass_graphs.numpy_helper.to_array

    def larger(tensor: Any) -> Any:
        array = whole(tensor)
        return array * np.float32(1.1) if array.dtype == np.float32 else array

    monkeypatch.setattr(one_pass_graphs.numpy_helper, "to_array", larger)


def other_words(monkeypatch: Any) -> None:
    """The sample's index is not used."""
    whole = one_pass_latents.words.pairs
    monkeypatch.setattr(
        one_pass_latents.words,
        "pairs",
        lambda nodes, seed, index, *rest: whole(nodes, seed, seed, *rest),
    )


def whole_plane(monkeypatch: Any) -> None:
    """Truncation is not used."""
    monkeypatch.setattr(
        one_pass_latents, "_mass", lambda nodes, radius: nodes.constant(np.ones((1, 1)))
    )


@pytest.mark.parametrize(
    "broken", [other_weight, other_words, whole_plane], ids=lambda b: b.__name__
)
def test_a_broken_exporter_is_found(
    one_pass: OnePass, tmp_path: Path, monkeypatch: Any, broken: Any
) -> None:
    monkeypatch.setattr(one_pass_graphs, "_traced", lambda *_: one_pass.traced)
    broken(monkeypatch)
    with pytest.raises(
        RuntimeError,
        match=r"export: ONNX Runtime gives from the (one_pass|decoder) graph what the model does "
        r"not: \S+, not \S+ at \(\d, 0, \d, \d\); nothing was written",
    ):
        genfast.export(one_pass.model, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


class Choosing(nn.Module):
    """Its path depends on its numbers."""

    def forward(self, z: Tensor) -> Tensor:
        return z if bool((z > 0).all()) else -z


class Noisy(nn.Module):
    """Gives another value each time."""

    def forward(self, z: Tensor) -> Tensor:
        return z + torch.rand_like(z)


class Counting(nn.Module):
    """Asks for the size of its batch."""

    def forward(self, z: Tensor) -> Tensor:
        return z.reshape(len(z), 2, -1).sum(1).repeat(1, 3)[:, :5]


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.chooser = Choosing()
        self.last = nn.Linear(4, 5)

    def forward(self, z: Tensor) -> Tensor:
        made: Tensor = self.last(self.chooser(z))
        return made


def test_a_module_that_cannot_be_followed_is_named(tmp_path: Path) -> None:
    said = (
        r"export: Vectors cannot be exported: torch's exporter fails at "
        r"decoder\.chooser \(Choosing\): \w+: \S"
    )
    with pytest.raises(NotCompilableError, match=said) as caught:
        genfast.export(Vectors(Nested()), tmp_path / "a")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_shape_that_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"export: Vectors must give \(3, 5\) of 3 rows, got \(3, 6"
    ):
        genfast.export(Vectors(nn.Linear(4, 6)), tmp_path / "a")


def test_a_module_that_counts_its_rows(tmp_path: Path) -> None:
    model = Vectors(nn.Sequential(Counting(), nn.Linear(5, 5))).eval()
    report = genfast.export(model, tmp_path / "a")
    assert report.error < CLOSE


def test_a_module_that_draws_is_found(tmp_path: Path) -> None:
    with pytest.raises((RuntimeError, NotCompilableError), match="export: "):
        genfast.export(Vectors(nn.Sequential(nn.Linear(4, 5), Noisy())), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 3}, "top_k must be left out for a Vectors, whose samples take one pass, got 3"),
        ({"top_p": "input"}, "top_p must be left out .* got 'input'"),
        ({"stop": 1}, "stop must be left out .* got 1"),
        ({"step": True}, "step must be left out .* got True"),
        ({"uniforms": True}, "uniforms must be left out .* got True"),
    ],
)
def test_options_of_other_models(tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^export: {message}"):
        genfast.export(Vectors(), tmp_path / "a", **options)
    assert list(tmp_path.iterdir()) == []


def test_bad_paths(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="export: path must end in the name of a folder, got ''"):
        genfast.export(Vectors(), "")
    (tmp_path / "a_decoder").write_text("in the way")
    with pytest.raises(NotADirectoryError, match="a_decoder is a file"):
        genfast.export(Vectors(), tmp_path / "a")


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    model = OnePassImages()
    model.generator[0].weight.data[3, 1] = torch.nan
    with pytest.raises(FloatingPointError, match=r"generator.0.weight is nan at \(3, 1\)"):
        genfast.export(model, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_model_over_2_gib(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(checks, "_MOST_BYTES", 400)
    with pytest.raises(
        ValueError, match=r"Vectors has 4.. bytes of weights, an ONNX file holds 400"
    ):
        genfast.export(Vectors(), tmp_path / "a")


def test_onnxscript_is_asked_for(tmp_path: Path, monkeypatch: Any) -> None:
    found = checks.find_spec
    monkeypatch.setattr(
        checks, "find_spec", lambda name: None if name == "onnxscript" else found(name)
    )
    with pytest.raises(ImportError, match=r"export: needs onnxscript, .* pip install onnxscript"):
        genfast.export(Vectors(), tmp_path / "a")
