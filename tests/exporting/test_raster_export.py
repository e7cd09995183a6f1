"""genfast.export of images: folders, the report, verification that finds what is broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

import genfast
from genfast.compiled import NotCompilableError
from genfast.exporting import columns, epilogues, grid, row
from genfast.models.pixelcnn import PixelCNN


def small(variant: Any = "gated", **options: Any) -> PixelCNN:
    torch.manual_seed(1)
    sizes = {"shape": (1, 5, 4), "levels": 6, "width": 5, "depth": 3} | options
    model = PixelCNN(variant=variant, **sizes)
    for parameter in model.parameters():
        parameter.data *= 2.5
    return model


def section(folder: Path) -> dict[str, Any]:
    named: dict[str, Any] = json.loads((folder / "config.json").read_text())["sampler"]
    return named


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_folders(tmp_path: Path) -> None:
    model = small(shape=(3, 5, 4), classes=7, vector=2)
    report = genfast.export(model, tmp_path / "a", top_p="input", uniforms=True)
    beside = {"config.json", "1/model.onnx"}
    assert files(tmp_path / "a") == beside | {"model.safetensors", "README.md"}
    assert files(tmp_path / "a_step") == files(tmp_path / "a_uniforms") == beside
    told = ["temperature", "classes", "vector", "given", "top_p"]
    inputs = {"a": ["seed", "index", *told], "a_uniforms": ["uniforms", *told]}
    for path in report.paths:
        said = section(path)
        graph = onnx.load(path / "1/model.onnx")
        assert [value.name for value in graph.graph.input] == said["inputs"]
        assert [value.name for value in graph.graph.output] == said["outputs"]
        assert (said["shape"], said["classes"], said["stop"]) == ([3, 5, 4], 6, None)
        assert said["conditions"] == {"classes": 7, "vector": 2}
        assert said["inputs"] == inputs.get(path.name, said["inputs"])
        for value in graph.graph.input:
            assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
            assert len(value.type.tensor_type.shape.dim) > 1
    assert section(tmp_path / "a")["step"] == "a_step"
    for state in section(tmp_path / "a_step")["states"]:
        assert state["columns"] == 4
        assert {state["name"], f"{state['name']}_next"} <= {
            *section(tmp_path / "a_step")["inputs"],
            *section(tmp_path / "a_step")["outputs"],
        }
    card = (tmp_path / "a" / "README.md").read_text()
    assert "sampler.sample(4, seed=0, classes=np.arange(4) % 7, vector=np.zeros((4, 2)))" in card
    loaded, told = genfast.load(tmp_path / "a"), {"vector": torch.ones(1, 2)}
    told["classes"] = torch.tensor([2])
    assert torch.equal(loaded.sample(1, seed=1, **told), model.sample(1, seed=1, **told))


def test_report(tmp_path: Path) -> None:
    report = genfast.export(small(), tmp_path / "a", step=False)
    assert report.paths == (tmp_path / "a",)
    assert report.sites > 100
    assert report.skipped == 0
    assert 0 < report.score_gap < 2e-5
    assert report.equal_samples > 0.8
    assert (report.loop["Softmax"], report.loop["ArgMin"]) == (1, 1)
    assert (report.row["Scan"], report.rest["Scan"]) == (1, 1)
    assert report.rest["BitwiseXor"] > 20
    assert report.row["BitwiseXor"] == report.loop["Scan"] == 0
    assert "a row  " in str(report)


@pytest.mark.parametrize("variant", ["masked", "gated"])
def test_training_and_type_are_left_as_found(tmp_path: Path, variant: str) -> None:
    model = small(variant, input="embedding", embedding_width=3).double().train()
    assert genfast.export(model, tmp_path / "a").equal_samples > 0.8
    assert model.training


def wrong_edge(monkeypatch: Any) -> None:
    """What lies outside of the image is 1 in place of 0."""
    whole = grid.Grid.border
    monkeypatch.setattr(
        grid.Grid,
        "border",
        lambda self, buffer, count: self._nodes.add(
            "Add", whole(self, buffer, count), self._nodes.constant(1.0)
        ),
    )


def shifted_tap(monkeypatch: Any) -> None:
    """Taps to the right are read one column further left."""
    whole = row.Row._tap
    monkeypatch.setattr(
        row.Row,
        "_tap",
        lambda self, ref: whole(self, ref.buffer[ref.dy, ref.dx - 1] if ref.dx > 0 else ref),
    )


def swapped_halves(monkeypatch: Any) -> None:
    """A gate's halves take each other's place."""
    whole = epilogues._blocks
    monkeypatch.setattr(epilogues, "_blocks", lambda s, n: whole(s, n)[::-1])


def stale_rows(monkeypatch: Any) -> None:
    """The row above stays what it was above the image."""
    monkeypatch.setattr(
        row.Row,
        "following",
        lambda self: [self.nodes.add("Identity", value) for value in self._above.values()],
    )


def turned_uniforms(monkeypatch: Any) -> None:
    """The sample's index is not used."""
    from genfast.exporting import words

    whole = words.uniforms
    monkeypatch.setattr(words, "uniforms", lambda nodes, s, i, *rest: whole(nodes, s, s, *rest))


BROKEN = [wrong_edge, shifted_tap, swapped_halves, stale_rows, turned_uniforms]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_exporter_is_found(tmp_path: Path, monkeypatch: Any, broken: Any) -> None:
    broken(monkeypatch)
    with pytest.raises(
        RuntimeError, match=r"export: ONNX Runtime draws .* replay: row \d+, y \d.* written"
    ):
        genfast.export(small(), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_given_pixels_that_are_ignored_are_found(tmp_path: Path, monkeypatch: Any) -> None:
    always = drawing_always(columns._Draws.__call__)
    monkeypatch.setattr(columns._Draws, "__call__", always)
    with pytest.raises(RuntimeError, match=r"values differ from what was given; nothing was"):
        genfast.export(small(), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def drawing_always(call: Any) -> Any:
    """Draws where a level is given, too."""

    def changed(self: Any, instruction: Any, scores: str) -> list[str]:
        symbols: list[str] = call(self, instruction, scores)
        node = next(n for n in self._column.nodes.nodes[::-1] if n.op_type == "Where")
        node.input[2] = node.input[1]
        return symbols

    return changed


class Mixture:
    """A head that is none of the exporter's."""

    draws, parameters = 2, 10


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    model = small()
    model.head = Mixture()
    with pytest.raises(NotCompilableError, match=r"PixelCNN .* its head is a Mixture, .* not exp"):
        genfast.export(model, tmp_path / "a")
    with pytest.raises(ValueError, match="export: stop must be None for images, got 3"):
        genfast.export(small(), tmp_path / "a", stop=3)
    model = small()
    model.network.readout.register_forward_hook(lambda module, args, result: result)
    with pytest.raises(NotCompilableError, match=r"PixelCNN cannot be exported: .* forward hook"):
        genfast.export(model, tmp_path / "a")
    model = small()
    model.network.readout.weight.data[0] = torch.nan
    with pytest.raises(FloatingPointError, match="is nan"):
        genfast.export(model, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
