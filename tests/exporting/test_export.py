"""genfast.export: folders, the report, verification that finds what is broken, and refusals."""

from __future__ import annotations

import builtins
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import genfast
from genfast.compiled import NotCompilableError
from genfast.data import Bytes
from genfast.exporting import categorical, checks, epilogues, folders, site, terms
from genfast.exporting.nodes import OPSET
from genfast.heads import Categorical
from genfast.models import SequenceModel
from genfast.program import Mat

SAMPLER_INPUTS = ["seed", "index", "temperature", "length", "prompt", "prompt_length"]


def section(folder: Path) -> dict[str, Any]:
    named: dict[str, Any] = json.loads((folder / "config.json").read_text())["sampler"]
    return named


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_folders(model_of: Any, tmp_path: Path) -> None:
    model = model_of("gru", 2)
    report = genfast.export(model, tmp_path / "a", top_k=5, top_p="input", stop=3, uniforms=True)
    beside = {"config.json", "1/model.onnx"}
    assert files(tmp_path / "a") == beside | {"model.safetensors", "README.md"}
    assert files(tmp_path / "a_step") == files(tmp_path / "a_uniforms") == beside
    assert set(report.paths) == {tmp_path / name for name in ("a", "a_step", "a_uniforms")}
    for path, size in zip(report.paths, report.bytes, strict=True):
        data, said = (path / "1/model.onnx").read_bytes(), section(path)
        assert (said["format"], said["classes"], said["symbols"]) == (1, 23, None)
        assert (said["top_k"], said["top_p"], said["stop"]) == (5, "input", 3)
        assert said["sha256"] == hashlib.sha256(data).hexdigest()
        assert len(data) == size
        graph = onnx.load_from_string(data)
        onnx.checker.check_model(graph, full_check=True)
        assert [value.name for value in graph.graph.input] == said["inputs"]
        assert [value.name for value in graph.graph.output] == said["outputs"]
        assert graph.opset_import[0].version == said["opset"] == report.opset == OPSET
        assert graph.producer_name == "genfast"
    assert section(tmp_path / "a")["inputs"] == [*SAMPLER_INPUTS, "top_p"]
    assert section(tmp_path / "a")["outputs"] == ["values", "lengths"]
    assert section(tmp_path / "a")["step"] == "a_step"
    kinds = [section(path)["graph"] for path in report.paths]
    assert kinds == ["sampler", "uniforms", "step"]
    states = [{"name": name, "width": 17} for name in ("h0", "h1")]
    assert section(tmp_path / "a_step")["states"] == states
    loaded = genfast.load(tmp_path / "a")
    assert torch.equal(loaded.sample(2, 9, seed=1).values, model.sample(2, 9, seed=1).values)


def test_report(model_of: Any, tmp_path: Path) -> None:
    report = genfast.export(model_of(), tmp_path / "a", step=False)
    assert report.paths == (tmp_path / "a",)
    assert report.sites > 400
    assert report.skipped == 0
    assert 0 < report.score_gap < 2e-5
    assert report.equal_samples > 0.8
    assert (report.loop["Gemm"], report.loop["Softmax"], report.loop["ArgMin"]) == (4, 1, 1)
    assert report.rest["Scan"] == 2
    assert report.rest["BitwiseXor"] > 20
    text = str(report)
    for said in ("1/model.onnx", "sites replayed", "4 Gemm", f"opset {OPSET}", "whole samples"):
        assert said in text
    assert section(tmp_path / "a")["step"] is None


def test_symbols_stand_in_the_config(tmp_path: Path) -> None:
    model = SequenceModel(Categorical(256), width=3, symbols=Bytes())
    genfast.export(model, tmp_path / "a")
    for name in ("a", "a_step"):
        assert section(tmp_path / name)["symbols"] == {"kind": "bytes"}


def test_an_export_replaces_an_older_one(model_of: Any, tmp_path: Path) -> None:
    genfast.export(model_of(), tmp_path / "a", top_k=3)
    model = model_of("gru")
    genfast.export(model, tmp_path / "a")
    assert section(tmp_path / "a")["top_k"] is None
    assert [s["name"] for s in section(tmp_path / "a_step")["states"]] == ["h0"]
    assert files(tmp_path / "a_step") == {"config.json", "1/model.onnx"}


def test_weights_of_another_type_become_float32(model_of: Any, tmp_path: Path) -> None:
    report = genfast.export(model_of().double(), tmp_path / "a")
    assert report.equal_samples > 0.8


def test_training_is_left_as_found(model_of: Any, tmp_path: Path) -> None:
    model = model_of(dropout=0.5).train()
    genfast.export(model, tmp_path / "a")
    assert model.training


def swapped_gates(monkeypatch: Any) -> None:
    """The input gate takes the forget gate's place."""
    whole = epilogues._blocks
    monkeypatch.setattr(
        epilogues, "_blocks", lambda s, n: [whole(s, n)[k] for k in (1, 0, 2, 3)[:n]]
    )


def missing_bias(monkeypatch: Any) -> None:
    """The readout's bias is left out."""
    mats = terms._TERMS[Mat]
    monkeypatch.setitem(terms._TERMS, Mat, lambda s, m, c, r, n: mats(s, m, c, _no_bias(r), n))


def _no_bias(running: Any) -> Any:
    return running if isinstance(running, str) else None


def other_uniforms(monkeypatch: Any) -> None:
    """The sample's index is not used."""
    from genfast.exporting import words

    whole = words.uniforms
    monkeypatch.setattr(
        words, "uniforms", lambda nodes, seed, index, *rest: whole(nodes, seed, seed, *rest)
    )


def ignored_temperature(monkeypatch: Any) -> None:
    """Every row is drawn at temperature 1 or 0."""
    monkeypatch.setattr(categorical, "COLDEST", 1.0)


def wrong_start(monkeypatch: Any) -> None:
    """Rows begin with zeros in place of the border's row of the table."""
    whole = site.Carried
    monkeypatch.setattr(
        site, "Carried", lambda name, border, after: whole(name, np.zeros_like(border), after)
    )


BROKEN = [swapped_gates, missing_bias, other_uniforms, ignored_temperature, wrong_start]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_exporter_is_found(
    model_of: Any, tmp_path: Path, monkeypatch: Any, broken: Any
) -> None:
    broken(monkeypatch)
    with pytest.raises(
        RuntimeError, match=r"export: ONNX Runtime draws .* replay: row \d+, site \d+: .* written"
    ):
        genfast.export(model_of(), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


class Overriding(SequenceModel):
    def forward(self, tokens: Any) -> Any:
        return super().forward(tokens) * 2


def with_hook(model: SequenceModel) -> SequenceModel:
    model.readout.register_forward_hook(lambda module, args, result: result)
    return model


def without_symbol(model: SequenceModel) -> SequenceModel:
    model.readout.bias.data[2] = -torch.inf
    return model


REFUSED = {
    "overridden": (lambda: Overriding(Categorical(5), width=3), "Overriding overrides forward"),
    "hook": (lambda: with_hook(SequenceModel(Categorical(5), width=3)), "readout has a forward"),
    "no program": (lambda: nn.Linear(2, 2), "Linear has no program"),
    "-inf": (lambda: without_symbol(SequenceModel(Categorical(5), width=3)), "bias is -inf"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_exported(tmp_path: Path, kind: str) -> None:
    make, reason = REFUSED[kind]
    with pytest.raises(NotCompilableError, match=rf"export: \w+ cannot be exported: .*{reason}"):
        genfast.export(make(), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite(model_of: Any, tmp_path: Path) -> None:
    model = model_of()
    model.rnn.weight_hh_l0.data[3, 1] = torch.nan
    with pytest.raises(FloatingPointError, match=r"rnn.weight_hh_l0 is nan at \(3, 1\)"):
        genfast.export(model, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": -1}, "export: top_k must be at least 0, 'input' or None, got -1"),
        ({"top_k": 2.5}, "export: top_k must be at least 0, 'input' or None, got 2.5"),
        ({"top_k": "five"}, "export: top_k must be at least 0, 'input' or None, got 'five'"),
        ({"top_p": 0}, r"export: top_p must be in \(0, 1\], 'input' or None, got 0"),
        ({"top_p": 1.5}, r"export: top_p must be in \(0, 1\], 'input' or None, got 1.5"),
        ({"top_p": float("nan")}, "got nan"),
        ({"top_p": "0.5"}, "got '0.5'"),
        ({"stop": 23}, "export: stop must be at least 0 and below 23, or None, got 23"),
        ({"stop": -1}, "got -1"),
    ],
)
def test_bad_options(model_of: Any, tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        genfast.export(model_of(), tmp_path / "a", **options)
    assert list(tmp_path.iterdir()) == []


def test_bad_paths(model_of: Any, tmp_path: Path) -> None:
    model = model_of()
    for path in ("", ".", "..", "/", 3, None):
        with pytest.raises(ValueError, match="export: path must end in the name of a folder, got"):
            genfast.export(model, path)
    (tmp_path / "a_step").write_text("in the way")
    with pytest.raises(NotADirectoryError, match="a_step is a file"):
        genfast.export(model, tmp_path / "a")
    assert files(tmp_path) == {"a_step"}
    genfast.export(model, tmp_path / "a", step=False)


def test_a_model_over_2_gib(model_of: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(checks, "_MOST_BYTES", 10_000)
    with pytest.raises(ValueError, match=r"has [\d,]+ bytes of weights, an ONNX file"):
        genfast.export(model_of(), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_what_is_not_installed(
    model_of: Any, tmp_path: Path, monkeypatch: Any, missing: str
) -> None:
    find = checks.find_spec
    monkeypatch.setattr(checks, "find_spec", lambda name: None if name == missing else find(name))
    with pytest.raises(ImportError, match=rf"export: needs {missing}, .*pip install {missing}$"):
        genfast.export(model_of(), tmp_path / "a")


def test_importing_the_package_needs_neither_onnx_nor_onnxruntime(monkeypatch: Any) -> None:
    whole = builtins.__import__

    def refusing(name: str, *rest: Any, **named: Any) -> Any:
        assert name.split(".", maxsplit=1)[0] not in ("onnx", "onnxruntime"), name
        return whole(name, *rest, **named)

    for name in [name for name in sys.modules if name.startswith("genfast.exporting")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refusing)
    import genfast.exporting as again

    assert callable(again.export)


def test_a_save_that_fails_leaves_the_old_export(
    model_of: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    genfast.export(model_of(), tmp_path / "a")
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}

    def full(*arguments: Any, **named: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(folders.files, "save", full)
    with pytest.raises(OSError, match="no space left"):
        genfast.export(model_of("gru"), tmp_path / "a")
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before
