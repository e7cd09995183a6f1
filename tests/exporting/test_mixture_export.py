"""genfast.export of images whose head is a mixture: folders, shapes, broken ones are found."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

import genfast
from genfast import watching
from genfast.exporting import mixture
from genfast.exporting.nodes import Nodes
from genfast.heads import LogisticMixture
from genfast.models.pixelcnn import PixelCNN


def small(channels: int = 3, shape: tuple[int, int] = (5, 4), **options: Any) -> PixelCNN:
    torch.manual_seed(1)
    sizes = {"levels": 200, "width": 5, "depth": 3, "variant": "gated"} | options
    head = LogisticMixture(sizes["levels"], 4, channels)
    model = PixelCNN((channels, *shape), head=head, **sizes)
    for parameter in model.parameters():
        parameter.data *= 2.5
    return model


def test_folders(tmp_path: Path) -> None:
    model = small(classes=3)
    report = genfast.export(model, tmp_path / "a", uniforms=True)
    assert (report.sites > 200, report.skipped) == (True, 0)
    assert report.equal_samples > 0.8
    assert (report.loop["Softmax"], report.loop["GatherElements"], report.loop["Floor"]) == (
        1,
        1,
        2,
    )
    for path in report.paths:
        said = json.loads((path / "config.json").read_text())["sampler"]
        assert (said["shape"], said["classes"]) == ([3, 5, 4], 200)
        assert (said["parts"], said["draws"]) == (1, 4)
    step = onnx.load(tmp_path / "a_step/1/model.onnx").graph
    widths = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim][1:]
        for value in (*step.input, *step.output)
    }
    assert (widths["uniform"], widths["given"], widths["drawn"]) == ([16], [3, 4], [3, 4])
    assert widths["scores"] == [4, 1, model.head.parameters]
    loaded, told = genfast.load(tmp_path / "a"), {"classes": torch.tensor([2])}
    assert torch.equal(loaded.sample(1, seed=1, **told), model.sample(1, seed=1, **told))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (9, 7)], ids=str)
@pytest.mark.parametrize(("variant", "channels", "width"), [("masked", 1, 1), ("gated", 3, 17)])
def test_odd_shapes(
    tmp_path: Path, variant: str, channels: int, width: int, shape: tuple[int, int]
) -> None:
    model = small(channels, shape, variant=variant, width=width, depth=1, levels=256)
    assert genfast.export(model, tmp_path / "a").equal_samples > 0.8


def test_progress_is_shown_on_a_terminal_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watching, "_PATIENCE", -1.0)
    for terminal, wanted in ((True, True), (True, False), (False, True)):
        monkeypatch.setattr(sys.stderr, "isatty", lambda its=terminal: its)
        genfast.export(small(), tmp_path / "a", progress=wanted)
        assert ("verifying the export" in capsys.readouterr().err) == (terminal and wanted)


@pytest.mark.parametrize("kept", [{"top_k": 3}, {"top_k": "input"}, {"top_p": 0.9}])
def test_there_are_no_classes_to_keep(tmp_path: Path, kept: dict[str, Any]) -> None:
    ((name, value),) = kept.items()
    message = (
        rf"^export: {name} must be off for the head LogisticMixture\(200, 4, 3\), got {value!r}$"
    )
    with pytest.raises(ValueError, match=message):
        genfast.export(small(), tmp_path / "a", **kept)
    assert list(tmp_path.iterdir()) == []


def swapped_couplings(monkeypatch: Any) -> None:
    """Blue sees green where it should see red, and the other way round."""
    whole = mixture._columns

    def columns_of(components: int, channels: int) -> Any:
        columns = whole(components, channels)
        columns[0, [-2, -1]] = columns[0, [-1, -2]]
        return columns

    monkeypatch.setattr(mixture, "_columns", columns_of)


def shifted_uniforms(monkeypatch: Any) -> None:
    """The component takes the last uniform of a pixel."""
    whole = Nodes.parts

    def parts(self: Any, value: str, sizes: Any, axis: int) -> list[str]:
        if list(sizes) != [1, 3]:
            return whole(self, value, sizes, axis)
        return whole(self, value, [3, 1], axis)[::-1]

    monkeypatch.setattr(Nodes, "parts", parts)


def unquantised_channels(monkeypatch: Any) -> None:
    """Channels see what was drawn before it became a level."""
    whole = Nodes.add
    monkeypatch.setattr(
        Nodes,
        "add",
        lambda self, operator, *rest, **named: whole(
            self, "Identity" if operator == "Floor" else operator, *rest, **named
        ),
    )


def wide_scales(monkeypatch: Any) -> None:
    """The floor of log-scales is higher than the contract's."""
    monkeypatch.setattr(mixture, "LOG_SCALES", (-2.0, 20.0))


BROKEN = [swapped_couplings, shifted_uniforms, unquantised_channels, wide_scales]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_mixture_is_found(tmp_path: Path, monkeypatch: Any, broken: Any) -> None:
    broken(monkeypatch)
    with pytest.raises(
        RuntimeError, match=r"export: ONNX Runtime draws .* row \d+, y \d.* written"
    ):
        genfast.export(small(), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
