"""However an image model is changed, the next draw is of it as it is now, or refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from genfast import explain
from genfast.compiled import compiled
from genfast.models.pixelcnn import PixelCNN
from genfast.rasters import RasterRequest, sample
from genfast.testing import replay_images_drawn

pytestmark = pytest.mark.usefixtures("one_thread")

VARIANTS = ["masked", "gated"]


def model_of(
    shape: tuple[int, int, int] = (1, 5, 4), levels: int = 6, *, seed: int = 0, **options: Any
) -> PixelCNN:
    torch.manual_seed(seed)
    model = PixelCNN(shape, levels, **({"width": 7, "depth": 2} | options))
    # Scores as wide as those of a trained model.
    for parameter in model.parameters():
        parameter.data *= 1.7
    return model


def step(model: PixelCNN, **options: Any) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.3, **options)
    model.training_step(torch.randint(6, (8, *model.shape)), 0)["loss"].backward()
    optimizer.step()


def scaled(model: PixelCNN) -> None:
    model.load_state_dict({name: value * 1.5 for name, value in model.state_dict().items()})


def write_data(model: PixelCNN) -> None:
    model.network.readout.weight.data.mul_(-2)


def write_through_numpy(model: PixelCNN) -> None:
    model.network.readout.bias.detach().numpy()[::2] += 3


CHANGES: dict[str, Callable[[PixelCNN], None]] = {
    "AdamW": step,
    "fused AdamW": lambda model: step(model, fused=True),
    "load_state_dict": scaled,
    "write to .data": write_data,
    "write through NumPy": write_through_numpy,
    "to float64": lambda model: model.to(torch.float64) and None,
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", CHANGES)
def test_the_next_draw_is_of_the_changed_weights(name: str, variant: str) -> None:
    model = model_of((2, 4, 5), variant=variant)
    before, drawn = compiled(model), model.sample(8, seed=1, backend="cpu")
    CHANGES[name](model)
    request = RasterRequest(seed=1, backend="cpu")
    changed = sample(model, 8, request)
    replay_images_drawn(model, changed, request)
    assert compiled(model) is not before
    assert compiled(model) is compiled(model)
    if name == "to float64":
        return
    # What was drawn before is not what the changed weights ask for.
    with pytest.raises(AssertionError, match="drew class"):
        replay_images_drawn(model, drawn, request)


class Louder(PixelCNN):
    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        return 3 * super().forward(*inputs, **named)


def test_what_the_program_cannot_say_is_drawn_by_the_reference() -> None:
    torch.manual_seed(0)
    model = Louder((1, 4, 3), 6, width=7, depth=2)
    with pytest.raises(ValueError, match="backend 'cpu' cannot serve: Louder overrides forward"):
        model.sample(3, seed=0, backend="cpu")
    drawn = model.sample(3, seed=0)
    assert torch.equal(drawn, model.sample(3, seed=0, backend="reference"))
    replay_images_drawn(model, drawn, RasterRequest(seed=0))


def test_explain_tells_of_a_pixel() -> None:
    model = model_of((1, 8, 6), 4, width=16, depth=3, variant="gated")
    told = explain(model)
    assert told.backend == "cpu"
    assert told.program is not None
    assert told.program.shape == (8, 6)
    assert {"row", "site"} <= set(told.program.phases)
    assert told.multiply_adds > 16 * 16 * 3
    assert 1e-9 < told.floor < 1e-2
    assert "a pixel" in str(told)
    assert "row" in str(told)
