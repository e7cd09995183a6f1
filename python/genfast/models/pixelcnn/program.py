"""A PixelCNN as a raster program: encoded pixels, the layers of its network, a draw a channel."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from genfast.compiled import NotCompilableError
from genfast.heads import Categorical, LogisticMixture
from genfast.models.arrays import Array, weight_array
from genfast.models.pixelcnn.feature_maps import FeatureMap
from genfast.models.pixelcnn.layers import Layer
from genfast.models.pixelcnn.network_layers import network_layers
from genfast.program import Buffer, Draw, Input, Instruction, Look, Program, Sum, symbol

__all__ = ["pixelcnn_program"]


def pixelcnn_program(model: Any, made: Any) -> Program:
    """The program of a PixelCNN.

    A convolution is a sum with a matrix for every tap that is not dead. Optimised, the vertical
    stack of a gated network is row code, and pixels of few levels are looked up, not multiplied.
    The listing of a gated one of 16 levels, width 32, depth 2 and 10 classes, 15 instructions::

          input classes  sym[1]  start
          kept  v0 f32[32] 1 row, h0 f32[32] 1 col, x0 sym[1] 3 rows 3 cols outside=16
        start:
            0 v0.start = T11x64[classes]
            1 g0.start = T11x64[classes] + b64
            2 g1.start = T11x64[classes] + b64
        row:
            3 vz0      = T17x64[x0{21 taps -3,-3..-1,+3}] + b64
            4 v0       = gate(v0.start + vz0)
            5 vz1      = W64x32 v0{6 taps -1,-1..+0,+1} + b64
            6 g0.row   = g0.start + W64x64 vz0
            7 g1.row   = g1.start + W64x64 vz1
        site:
            8 g0       = gate(g0.row + T17x64[x0{3 taps +0,-3..+0,-1}])
            9 h0       = W32x32 g0 + b32
           10 g1       = gate(g1.row + W64x32 h0{2 taps +0,-1..+0,+0})
           11 skip     = relu(W64x32 g0 + W64x32 g1 + b64)
           12 mid      = relu(W64x64 skip + b64)
           13 params   = W16x64 mid + b16
           14 x0       = draw categorical(params)

    Args:
        model: The PixelCNN.
        made: What its constructor makes of its arguments; the weights may lie nowhere.

    Raises:
        NotCompilableError: A module is of another type, or has an option that no instruction says.
        FloatingPointError: A weight is not finite, named with its place.
    """
    _check_modules(model, made)
    values = [symbol(f"x{c}", model.levels) for c in range(model.shape[0])]
    pixels = _pixels(model)
    inputs = _inputs(model)
    layers = network_layers(model.network, pixels, {i.target.name: i.target for i in inputs})
    code: list[Instruction] = [*inputs]
    for part in range(model.parts):
        code += [instruction for layer in layers for instruction in layer.instructions(part)]
        code += _drawn(model, part, values, layers[-1], pixels)
    if pixels.whole is not None or model.parts == 1:
        code.append(_look(model, values, pixels.whole or _only(pixels)))
    return Program("raster", code, model.shape[1:])


def _pixels(model: Any) -> FeatureMap:
    """What the network sees of a pixel; of channels drawn one by one each, and all of them."""
    sizes = model.network.in_groups
    if len(sizes) == 1:
        return FeatureMap.named("pixel", sizes)
    parts = FeatureMap.named("pixel", sizes).parts
    return FeatureMap(parts, sizes, Buffer("pixel", sum(sizes)))


def _only(pixels: FeatureMap) -> Buffer:
    (part,) = pixels.parts
    assert part is not None
    return part


def _inputs(model: Any) -> list[Input]:
    """The conditions."""
    inputs: list[Input] = []
    if model.classes is not None:
        inputs.append(Input(symbol("classes", model.classes)))
    if model.vector is not None:
        inputs.append(Input(Buffer("vector", model.vector)))
    if model.features is not None:
        inputs.append(Input(Buffer("features", model.features), "row"))
    return inputs


def _drawn(
    model: Any, part: int, values: list[Buffer], last: Layer, pixels: FeatureMap
) -> list[Instruction]:
    """The draw of a part of a pixel, and what layers see of it at the same pixel."""
    scores = last.target.parts[part]
    assert scores is not None
    draw = Draw((values[part],), scores.here)
    if isinstance(model.head, LogisticMixture):
        draw = Draw(tuple(values), scores.here, "logistic_mixture", model.head.draws)
    code: list[Instruction] = [draw]
    seen = pixels.parts[part]
    if pixels.whole is not None and seen is not None:
        code.append(Sum((seen,), (Look(_table(model, 0, 1), values[part].here),)))
    return code


def _look(model: Any, values: list[Buffer], pixel: Buffer) -> Sum:
    """All channels of a finished pixel as the network sees them."""
    looks = (
        Look(_table(model, channel, len(values)), value.here)
        for channel, value in enumerate(values)
    )
    return Sum((pixel,), tuple(looks))


def _table(model: Any, channel: int, channels: int) -> Array:
    """The table of a channel among several: 0 in the columns of others, and outside the image."""
    if model.embed is None:
        levels = np.arange(model.levels) * (2 / (model.levels - 1)) - 1
        rows = levels.astype(np.float32)[:, None]
    else:
        rows = weight_array(model.embed, "embed", "weight")
    width = rows.shape[1]
    table = np.zeros((model.levels + 1, channels * width), np.float32)
    table[:-1, channel * width : (channel + 1) * width] = rows
    return table


def _check_modules(model: Any, made: Any) -> None:
    """NotCompilableError for the first module that is not as the constructor makes it."""
    if type(model.head) not in (Categorical, LogisticMixture):
        raise NotCompilableError(f"head is a {type(model.head).__name__}")
    if type(model).encode is not type(made).encode or "encode" in vars(model):
        raise NotCompilableError(f"{type(model).__name__} has an encode of its own")
    right, got = dict(made.named_modules()), dict(model.named_modules())
    for path in [*right, *got]:
        # The model itself is compared by `config`, and may be of a subclass.
        if path and _described(right.get(path)) != _described(got.get(path)):
            raise NotCompilableError(
                f"{path} must be {_described(right.get(path))}, got {_described(got.get(path))}"
            )
    shapes = {name: weight.shape for name, weight in made.state_dict().items()}
    for name, weight in model.state_dict().items():
        if shapes.get(name) != weight.shape:
            raise NotCompilableError(f"{name} must be {shapes.get(name)}, got {weight.shape}")


def _described(part: nn.Module | None) -> str:
    """Type and settings of a module without its children."""
    if part is None:
        return "nothing"
    kind = f"{type(part).__module__}.{type(part).__name__}"
    return f"{kind.removeprefix('torch.')}({part.extra_repr()})"
