"""The program of a PixelCNN: the same scores as forward, in few instructions, or a refusal."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from image_models import CONDITIONS, conditions, images, model_of, program_scores
from torch import nn

from genfast.compiled import NotCompilableError
from genfast.models import PixelCNN
from genfast.models.pixelcnn import program as program_module
from genfast.nn import MaskedConv2d
from genfast.program import Draw, Look, Mat, Program, Sum

SHAPES = [(1, 1), (1, 7), (5, 1), (4, 5)]
VARIANTS = pytest.mark.parametrize("variant", ["masked", "gated"])


def assert_says_what_forward_does(model: PixelCNN) -> None:
    """The program, optimised or not, gives the scores of a float64 copy."""
    x, given = images(model), conditions(model)
    program = model.program()
    model.double()
    with torch.no_grad():
        exact = model(x, **given).flatten(1, 2).numpy()
    for one in (program, program.optimized()):
        scores = np.stack(program_scores(one, x, given), 2)
        np.testing.assert_allclose(scores, exact, rtol=0, atol=2e-6 * abs(exact).max())


@VARIANTS
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("input", ["real", "embedding"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("width", [1, 5, 17])
def test_programs_say_what_forward_does(
    variant: str, channels: int, input: str, shape: Any, width: int
) -> None:
    model = model_of((channels, *shape), variant=variant, input=input, width=width)
    assert_says_what_forward_does(model)


@VARIANTS
@pytest.mark.parametrize("names", CONDITIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_programs_say_what_conditions_do(variant: str, names: str, channels: int) -> None:
    model = model_of((channels, 3, 4), variant=variant, **CONDITIONS[names])
    assert [i.target.name for i in model.program().inputs] == list(conditions(model))
    assert_says_what_forward_does(model)


@VARIANTS
def test_one_layer_and_many_levels(variant: str) -> None:
    assert_says_what_forward_does(model_of((1, 3, 3), 256, variant=variant, depth=1))
    assert_says_what_forward_does(model_of((3, 2, 2), 2, variant=variant, depth=1))


def test_draws_stand_in_the_order_of_channels() -> None:
    program = model_of((3, 2, 2)).program().optimized()
    draws = [i for i in program.instructions if isinstance(i, Draw)]
    assert [draw.target.name for draw in draws] == ["x0", "x1", "x2"]
    assert program.draws == 3


def digits() -> PixelCNN:
    """The example of the documentation."""
    return PixelCNN((1, 28, 28), 16, width=32, depth=2, variant="gated", classes=10)


def test_the_vertical_stack_is_row_code() -> None:
    program = digits().program().optimized()
    names: dict[str, list[str]] = {"start": [], "row": [], "site": []}
    for instruction, phase in zip(program.instructions, program.phases, strict=True):
        names[phase].append(instruction.targets[0].name)
    assert names["start"] == ["classes", "v0.start", "g0.start", "g1.start"]
    assert sorted(names["row"]) == ["g0.row", "g1.row", "v0", "vz0", "vz1"]
    assert names["site"] == ["g0", "h0", "g1", "skip", "mid", "params", "x0"]


def test_the_listing_of_the_documentation_is_the_program_s() -> None:
    told = program_module.pixelcnn_program.__doc__
    assert told is not None
    lines = str(digits().program().optimized()).splitlines()
    assert "15 instructions" in lines[0]
    code = [line for line in lines if line[:5].strip().isdigit()]
    assert len(code) == 15
    for line in code:
        # Without the figures on the right.
        shown = re.split(r"(?<=\S)\s{3,}(?=[\d,]+(\s|$))", line)[0]
        assert " ".join(shown.split()) in " ".join(told.split())


def live_multiply_adds(model: PixelCNN) -> int:
    """Live weights of the network, whose taps are multiplied once a pixel."""
    total = 0
    for part in model.network.modules():
        if isinstance(part, nn.Conv2d):
            live = part.weight_mask() if isinstance(part, MaskedConv2d) else torch.ones(1)
            total += int(live.expand_as(part.weight).sum())
    return total


@VARIANTS
def test_dead_taps_are_never_written_down(variant: str) -> None:
    model = model_of((1, 8, 8), 256, variant=variant, width=16, depth=3)
    assert model.program().multiply_adds == live_multiply_adds(model)


@pytest.mark.parametrize("width", [16, 32])
@VARIANTS
def test_pixels_of_many_levels_are_multiplied_not_looked_up(variant: str, width: int) -> None:
    model = model_of((1, 8, 8), 256, variant=variant, width=width)
    program = model.program().optimized()
    sums = [i for i in program.instructions if isinstance(i, Sum)]
    looks = [term for sum_ in sums for term in sum_.terms if isinstance(term, Look)]
    assert [look.table.shape for look in looks] == [(257, 1)]


def test_past_pixels_of_three_channels_are_read_at_once() -> None:
    program = model_of((3, 8, 8), 256, width=6, depth=1).program().optimized()
    first = program.instructions[program.writers["vz0"]]
    assert isinstance(first, Sum)
    assert len(first.terms) == 21
    assert all(isinstance(t, Mat) and t.weight.shape == (12, 3) for t in first.terms)


def test_weights_of_dead_taps_do_not_matter() -> None:
    model = model_of((3, 3, 3), variant="masked")
    before = str(model.program())
    layer = model.network.first
    layer.weight.data[(layer.weight_mask() == 0).expand_as(layer.weight)] = 7
    assert str(model.program()) == before
    assert_says_what_forward_does(model)


def test_a_mask_that_hides_more_is_followed() -> None:
    """Of red alone at one tap, where all channels are read at once."""
    model = model_of((3, 3, 3), variant="masked", width=17)
    model.network.first.mask[1, 0, 3, 2] = 0
    model.network.blocks[0].conv.mask[2, 0, 0, 1] = 0
    assert_says_what_forward_does(model)


def test_a_wrong_mask_reads_the_future() -> None:
    model = model_of((1, 3, 3), variant="masked")
    model.network.blocks[0].conv.mask[..., 1, 2] = 1
    with pytest.raises(ValueError, match=r"reads the future: m0\[\+0,\+1\]"):
        model.program()


def replaced(path: str, made: Callable[[nn.Module], nn.Module]) -> Callable[[PixelCNN], None]:
    def change(model: PixelCNN) -> None:
        where, _, name = path.rpartition(".")
        setattr(model.get_submodule(where), name, made(model.get_submodule(path)))

    return change


def set_value(path: str, name: str, value: Any) -> Callable[[PixelCNN], None]:
    return lambda model: setattr(model.get_submodule(path), name, value)


class OwnEncoding(PixelCNN):
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return -super().encode(x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            replaced("network.mid", nn.Sequential),
            r"network.mid must be nn\..*Conv2d\(10, 10, .*, got .*Sequential",
        ),
        (replaced("network.readout", lambda old: nn.Conv2d(10, 5, 1)), "network.readout must be"),
        (replaced("network.readout", lambda old: nn.Conv2d(10, 4, 1, bias=False)), "bias=False"),
        (set_value("network.first", "padding_mode", "circular"), "padding_mode=circular"),
        (set_value("network.blocks.0.conv", "dilation", (2, 2)), r"dilation=\(2, 2\)"),
        (
            replaced("network.blocks", lambda old: old[:1]),
            "network.blocks.1 must be .*ResidualBlock.*, got nothing",
        ),
        (replaced("network.mid", lambda old: nn.Linear(10, 10)), "got nn.modules.linear.Linear"),
    ],
    ids=str,
)
def test_replaced_parts_are_not_compilable(
    change: Callable[[PixelCNN], None], message: str
) -> None:
    model = model_of(variant="masked")
    change(model)
    with pytest.raises(NotCompilableError, match=message):
        model.program()


def test_an_encoding_of_one_s_own_is_not_compilable() -> None:
    model = OwnEncoding((1, 3, 3), 4, width=3, depth=1)
    with pytest.raises(NotCompilableError, match="OwnEncoding has an encode of its own"):
        model.program()


def test_an_embedding_that_rescales_itself_is_not_compilable() -> None:
    model = model_of(input="embedding")
    assert model.embed is not None
    model.embed.max_norm = 1.0
    with pytest.raises(NotCompilableError, match=r"embed must be .*Embedding"):
        model.program()


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    "name", ["network.first.weight", "network.blocks.1.condition.classes.weight", "embed.weight"]
)
def test_weights_that_are_not_finite_are_named(name: str, value: float) -> None:
    model = model_of(variant="masked", classes=3, input="embedding")
    model.get_parameter(name).data.flatten()[2] = value
    with pytest.raises(FloatingPointError, match=f"program: weight {name} is {value} at"):
        model.program()


def test_large_networks_are_optimised_in_a_second() -> None:
    for variant in ("masked", "gated"):
        model = PixelCNN((1, 28, 28), 256, width=128, depth=15, variant=variant)
        best = math.inf
        for _ in range(3):
            begin = time.thread_time()
            assert isinstance(model.program().optimized(), Program)
            best = min(best, time.thread_time() - begin)
        assert best < 1
