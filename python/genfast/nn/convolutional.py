"""A convolutional encoder and decoder, for images of any sides::

    28x28 --/2--> 14x14 --/2--> 7x7 --/2--> 4x4 --flat--> outputs        encoder
    28x28 <--x2-- 14x14 <--x2-- 7x7 <--x2-- 4x4 <--flat-- inputs         decoder

A size is halved, rounding up, until no side is above 4; an odd side is doubled and the last row or
column cut off. Features double with every halving, up to four times `width`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from genfast.files.limits import (
    MOST_CHANNELS,
    MOST_CLASSES,
    MOST_DEPTH,
    MOST_SIDE,
    MOST_WIDTH,
    checked_size,
)
from genfast.nn.options import checked_keys, with_condition

__all__ = ["ConvolutionalDecoder", "ConvolutionalEncoder"]

# The longest side of the smallest feature maps, and how many times `width` their features are.
_SMALLEST, _WIDEST = 4, 4


class ConvolutionalEncoder(nn.Module):
    """`outputs` numbers of an image.

    Args:
        shape: (C, H, W) of an image; C to 16, sides to 16,384.
        outputs: Numbers that come out, to 131,072.
        width: Features of the largest maps, 1 to 65,536.
        depth: Convolutions of each size, 1 to 1,024; the last of them halves.
        condition: Width of what else it is told, None for nothing. It is added to the first
            features of every pixel, and stands beside the last ones.

    Raises:
        ValueError: An argument is out of range, or the shape is no image's.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        width: int = 32,
        depth: int = 1,
        condition: int | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.shape = _checked_image(name, shape)
        self.outputs = checked_size(f"{name}: outputs", outputs, 2 * MOST_WIDTH)
        self.width, self.depth, self.condition = _checked_sizes(name, width, depth, condition)
        sizes = _halvings(self.shape[1:])
        features = _features(self.width, len(sizes))
        self.first = nn.Conv2d(self.shape[0], features[0], 3, padding=1)
        self.told = None
        if self.condition is not None:
            self.told = nn.Linear(self.condition, features[0], bias=False)
        layers: list[nn.Module] = []
        for here, below in zip(features, [*features[1:], None], strict=True):
            layers += _convolutions(here, self.depth - 1)
            if below is not None:
                layers += [nn.SiLU(), nn.Conv2d(here, below, 3, stride=2, padding=1)]
        self.body = nn.Sequential(*layers, nn.SiLU(), nn.Flatten())
        rows, columns = sizes[-1]
        flat = features[-1] * rows * columns + (self.condition or 0)
        self.readout = nn.Linear(flat, self.outputs)

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor as JSON."""
        return {
            "shape": list(self.shape),
            "outputs": self.outputs,
            "width": self.width,
            "depth": self.depth,
            "condition": self.condition,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ConvolutionalEncoder:
        """The module that `config()` wrote down, with new weights, or ValueError."""
        return cls(**checked_keys(cls.__name__, config, cls.__init__))

    def forward(
        self, x: Float[Tensor, "n c h w"], condition: Float[Tensor, "n k"] | None = None
    ) -> Float[Tensor, "n outputs"]:
        """(N, outputs) of (N, C, H, W), and of (N, K) where the module has a condition."""
        features = self.first(x)
        if self.told is not None and condition is not None:
            features = features + self.told(condition)[:, :, None, None]
        flat = with_condition(type(self).__name__, self.body(features), condition, self.condition)
        output: Tensor = self.readout(flat)
        return output


class ConvolutionalDecoder(nn.Module):
    """Images of `inputs` numbers, the encoder's way back.

    Args:
        inputs: Numbers that come in, to 65,536.
        shape: (C, H, W) of an image, made exactly; C to 16, sides to 16,384.
        parameters: Numbers for each element of an image, to 16; 1 gives (N, C, H, W), more give
            (N, parameters, C, H, W).
        width: Features of the largest maps, 1 to 65,536.
        depth: Convolutions of each size, 1 to 1,024; the first of them follows the doubling.
        condition: Width of what else it is told, None for nothing; it stands beside the inputs.

    Raises:
        ValueError: An argument is out of range, or the shape is no image's.
    """

    def __init__(
        self,
        inputs: int,
        shape: Sequence[int],
        *,
        parameters: int = 1,
        width: int = 32,
        depth: int = 1,
        condition: int | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.inputs = checked_size(f"{name}: inputs", inputs, MOST_WIDTH)
        self.shape = _checked_image(name, shape)
        self.numbers = checked_size(f"{name}: parameters", parameters, MOST_CHANNELS)
        self.width, self.depth, self.condition = _checked_sizes(name, width, depth, condition)
        sizes = _halvings(self.shape[1:])
        features = _features(self.width, len(sizes))
        rows, columns = sizes[-1]
        flat = self.inputs + (self.condition or 0)
        self.first = nn.Linear(flat, features[-1] * rows * columns)
        layers: list[nn.Module] = [nn.Unflatten(1, (features[-1], rows, columns))]
        layers += _convolutions(features[-1], self.depth - 1)
        for size, here, above in zip(sizes[-2::-1], features[:0:-1], features[-2::-1], strict=True):
            layers += [nn.SiLU(), _Doubling(size), nn.Conv2d(here, above, 3, padding=1)]
            layers += _convolutions(above, self.depth - 1)
        self.body = nn.Sequential(*layers, nn.SiLU())
        self.readout = nn.Conv2d(features[0], self.numbers * self.shape[0], 3, padding=1)

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor as JSON."""
        return {
            "inputs": self.inputs,
            "shape": list(self.shape),
            "parameters": self.numbers,
            "width": self.width,
            "depth": self.depth,
            "condition": self.condition,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ConvolutionalDecoder:
        """The module that `config()` wrote down, with new weights, or ValueError."""
        return cls(**checked_keys(cls.__name__, config, cls.__init__))

    def forward(
        self, z: Float[Tensor, "n inputs"], condition: Float[Tensor, "n k"] | None = None
    ) -> Float[Tensor, " n *outputs"]:
        """Images of (N, inputs), and of (N, K) where the module was made with a condition."""
        flat = with_condition(type(self).__name__, z, condition, self.condition)
        made: Tensor = self.readout(self.body(self.first(flat)))
        if self.numbers == 1:
            return made
        return made.reshape(z.shape[0], self.numbers, *self.shape)


class _Doubling(nn.Module):
    """Each pixel four times, two by two; what is more than `size` is cut off."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def extra_repr(self) -> str:
        return f"size={self.size}"

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c rows columns"]:
        rows, columns = self.size
        return interpolate(x, scale_factor=2.0, mode="nearest")[..., :rows, :columns]


def _convolutions(features: int, number: int) -> list[nn.Module]:
    """Convolutions between maps of one size, an activation before each."""
    layers = ((nn.SiLU(), nn.Conv2d(features, features, 3, padding=1)) for _ in range(number))
    return [part for layer in layers for part in layer]


def _halvings(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Sizes of the feature maps, the largest first."""
    sizes = [size]
    while max(sizes[-1]) > _SMALLEST:
        rows, columns = sizes[-1]
        sizes.append((-(-rows // 2), -(-columns // 2)))
    return sizes


def _features(width: int, sizes: int) -> list[int]:
    """Features of the maps of each size, the largest first."""
    return [width * min(2**i, _WIDEST) for i in range(sizes)]


def _checked_image(name: str, shape: Sequence[int]) -> tuple[int, int, int]:
    if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) != 3:
        raise ValueError(f"{name}: shape must be (channels, rows, columns), got {shape!r:.80}")
    channels, rows, columns = shape
    return (
        checked_size(f"{name}: channels of shape", channels, MOST_CHANNELS),
        checked_size(f"{name}: rows of shape", rows, MOST_SIDE),
        checked_size(f"{name}: columns of shape", columns, MOST_SIDE),
    )


def _checked_sizes(
    name: str, width: int, depth: int, condition: int | None
) -> tuple[int, int, int | None]:
    return (
        checked_size(f"{name}: width", width, MOST_WIDTH),
        checked_size(f"{name}: depth", depth, MOST_DEPTH),
        None if condition is None else checked_size(f"{name}: condition", condition, MOST_CLASSES),
    )
