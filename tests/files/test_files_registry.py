"""Classes of one's own: registered by name, built blank, given their weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from saved_models import edit_arguments, model_of, same
from torch import Tensor, nn

from genfast import files
from genfast.models import SequenceModel, load, register, registry


@pytest.fixture(autouse=True)
def _as_found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is forgotten."""
    monkeypatch.setattr(registry, "_CLASSES", dict(registry._CLASSES))
    return


class Tied(nn.Module):
    """Scores with the transpose of its embedding, counts its calls, keeps a scale."""

    def __init__(self, width: int, scale: float = 2.0) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, width)
        self.readout = nn.Linear(width, 7, bias=False)
        self.readout.weight = self.embed.weight
        self.width = width
        self.register_buffer("scale", torch.full((), scale))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, tokens: Tensor) -> Tensor:
        scores: Tensor = self.readout(self.embed(tokens)) * self.scale
        return scores

    def config(self) -> dict[str, Any]:
        return {"width": self.width}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Tied:
        return cls(config["width"])


def test_a_class_of_ones_own(tmp_path: Path) -> None:
    assert register(Tied) is Tied
    model = Tied(5, scale=3.0)
    model.calls += 4
    files.save(model, tmp_path, figures={"bits": 1})
    loaded = load(tmp_path)
    assert type(loaded) is Tied
    assert same(loaded, model)
    assert loaded.figures == {"bits": 1}
    tokens = torch.randint(7, (3, 4))
    torch.testing.assert_close(loaded(tokens), model(tokens), rtol=0, atol=0)


def test_weights_that_were_one_are_one_again(tmp_path: Path) -> None:
    register(Tied)
    files.save(Tied(5), tmp_path)
    loaded = load(tmp_path)
    assert loaded.readout.weight is loaded.embed.weight
    assert len(list(loaded.parameters())) == 1


@pytest.mark.parametrize(
    ("width", "message"),
    [
        ("five", "TypeError"),
        (-1, "RuntimeError"),
        (10**9, r"embed.weight must be \(7, 1000000000\)"),
        (2**62, "RuntimeError"),
    ],
)
def test_whatever_a_class_raises_is_the_folders_fault(
    tmp_path: Path, width: Any, message: str
) -> None:
    register(Tied)
    files.save(Tied(5), tmp_path)
    edit_arguments(tmp_path, lambda arguments: arguments.update(width=width))
    with pytest.raises(ValueError, match=f"load: .*model.safetensors: .*{message}"):
        load(tmp_path)


def test_a_tensor_that_no_file_holds(tmp_path: Path) -> None:
    class Masked(Tied):
        def __init__(self, width: int) -> None:
            super().__init__(width)
            self.register_buffer("mask", torch.ones(3), persistent=False)

    register(Masked)
    files.save(Masked(5), tmp_path)
    with pytest.raises(ValueError, match=r"load: .*: mask of the model is not in its state_dict"):
        load(tmp_path)


def test_an_integer_stays_one(tmp_path: Path) -> None:
    """Weights may be of any floating dtype; a counter is no weight."""

    class Counted(Tied):
        def __init__(self, width: int) -> None:
            super().__init__(width)
            self.calls = torch.zeros((), dtype=torch.float64)

    with pytest.raises(ValueError, match=r"calls must be torch.float64, got I64"):
        files.save(_with_calls(Counted(5), torch.int64), tmp_path)
    with pytest.raises(ValueError, match=r"calls must be torch.int64, got F32"):
        files.save(_with_calls(Tied(5), torch.float32), tmp_path)


def _with_calls(model: Tied, dtype: torch.dtype) -> Tied:
    model.calls = torch.zeros((), dtype=dtype)
    return model


def test_a_registered_subclass_saves_itself(tmp_path: Path) -> None:
    @register
    class Louder(SequenceModel):
        """A subclass."""

    torch.manual_seed(0)
    model = Louder(model_of().head, width=5)
    model.save(tmp_path)
    assert type(load(tmp_path)) is Louder
    assert json.loads((tmp_path / "config.json").read_text())["class"] == "Louder"


def test_an_unknown_class_lists_the_known(tmp_path: Path) -> None:
    register(Tied)
    files.save(Tied(5), tmp_path)
    registry._CLASSES.pop("Tied")
    with pytest.raises(
        ValueError, match=r"class must be one of .*PixelCNN, SequenceModel.* \(see"
    ) as caught:
        load(tmp_path)
    assert "got 'Tied'" in str(caught.value)


def test_refused_classes() -> None:
    register(Tied)
    with pytest.raises(ValueError, match="register: the name Tied is taken by"):
        register(Tied)
    with pytest.raises(ValueError, match="register: the name SequenceModel is taken by"):
        register(type("SequenceModel", (Tied,), {}))
    with pytest.raises(ValueError, match=r"register: Linear must have config\(\)"):
        register(nn.Linear)
    with pytest.raises(ValueError, match="register: kind must be a class, got 'Tied'"):
        register("Tied")  # type: ignore[type-var]


def test_from_config_that_makes_no_module(tmp_path: Path) -> None:
    class Odd(Tied):
        @classmethod
        def from_config(cls, config: Mapping[str, Any]) -> Any:
            return config

    with pytest.raises(ValueError, match=r"from_config gave a dict, no nn\.Module"):
        files.save(Odd(5), tmp_path)
