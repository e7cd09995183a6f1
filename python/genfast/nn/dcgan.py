"""DCGAN: convolutions with strides, from a latent to an image and from an image to a score.

Radford, Metz and Chintala 2015, Unsupervised Representation Learning with Deep Convolutional
Generative Adversarial Networks. With k doublings, for the digits (8x8) and for MNIST (28x28) 2::

    z, condition --linear--> 2w x h/4 x w/4 --up--> w x h/2 x w/2 --up--> C x h x w    generator
    x --down--> w x h/2 x w/2 --down--> 2w x h/4 x w/4 --linear--> score           discriminator
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from genfast.files.limits import MOST_CHANNELS, MOST_CLASSES, MOST_SIDE, MOST_WIDTH, checked_size
from genfast.nn.batch_norm import BatchNorm2d
from genfast.nn.options import checked_keys, with_condition

__all__ = ["DCGANDiscriminator", "DCGANGenerator", "norm_of"]

# Sides of the smallest map stay below this where they can; maps have at most so many times `width`.
_BASE, _WIDEST = 8, 8
_DOUBLINGS = 2
_GROUPS = 8
_SLOPE = 0.2
_SPREAD = 0.02


class DCGANGenerator(nn.Module):
    """Latents to images, each doubling of the sides a transposed convolution of 4x4.

    Args:
        latent: L, width of a latent.
        shape: (C, H, W) of an image, sides multiples of 4.
        width: Features of the largest hidden map; smaller maps have twice as many each, at most
            eight times.
        condition: K, width of a condition, such as one-hot labels; None for none.
        norm: "batch" or "group" normalisation behind every hidden layer, or None.
        bounded: Whether images end in a tanh, within [-1, 1].

    Raises:
        ValueError: An argument is out of range, or the sides are no multiples of 4; the nearest
            that are is said.
    """

    def __init__(
        self,
        latent: int,
        shape: Sequence[int],
        width: int = 64,
        *,
        condition: int | None = None,
        norm: str | None = "batch",
        bounded: bool = True,
    ) -> None:
        super().__init__()
        sizes = _Sizes("DCGANGenerator", shape, width, condition)
        self.latent = checked_size("DCGANGenerator: latent", latent, MOST_WIDTH)
        self.shape, self.width, self.condition = tuple(shape), width, condition
        self.norm, self.bounded = norm, bounded
        self._base = (sizes.features[0], *sizes.base)
        bias = norm is None
        self.project = nn.Linear(latent + (condition or 0), math.prod(self._base), bias=bias)
        self.first = nn.Sequential(*norm_of(norm, sizes.features[0]), nn.ReLU())
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes.features):
            layers.append(nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias))
            layers += [*norm_of(norm, after), nn.ReLU()]
        layers.append(nn.ConvTranspose2d(sizes.features[-1], sizes.channels, 4, 2, 1))
        self.ups = nn.Sequential(*layers, *([nn.Tanh()] if bounded else []))
        _spread(self)

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor as JSON."""
        return {
            "latent": self.latent,
            "shape": list(self.shape),
            "width": self.width,
            "condition": self.condition,
            "norm": self.norm,
            "bounded": self.bounded,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> DCGANGenerator:
        """The module that `config()` wrote down, with new weights, or ValueError."""
        return cls(**checked_keys("DCGANGenerator", config, cls.__init__))

    def forward(
        self, z: Float[Tensor, "n latent"], condition: Float[Tensor, "n k"] | None = None
    ) -> Float[Tensor, "n c h w"]:
        """Images of latents.

        Args:
            z: float32 (N, L).
            condition: float32 (N, K), where the module was made with one.
        """
        joined = with_condition("DCGANGenerator", z, condition, self.condition)
        image: Tensor = self.ups(self.first(self.project(joined).unflatten(1, self._base)))
        return image


class DCGANDiscriminator(nn.Module):
    """Images to scores, each halving of the sides a convolution of 4x4.

    Its first layer has no normalisation, as the paper says. A condition adds the scalar product of
    the features with a vector of its own (Miyato and Koyama 2018, cGANs with Projection
    Discriminator).

    Args:
        shape: (C, H, W) of an image, sides multiples of 4.
        width, condition, norm: As of `DCGANGenerator`.

    Raises:
        ValueError: As of `DCGANGenerator`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int = 64,
        *,
        condition: int | None = None,
        norm: str | None = "batch",
    ) -> None:
        super().__init__()
        sizes = _Sizes("DCGANDiscriminator", shape, width, condition)
        self.shape, self.width, self.condition = tuple(shape), width, condition
        self.norm = norm
        channels = [sizes.channels, *reversed(sizes.features)]
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise(channels)):
            own = norm if number else None
            layers.append(nn.Conv2d(before, after, 4, 2, 1, bias=own is None))
            layers += [*norm_of(own, after), nn.LeakyReLU(_SLOPE)]
        self.downs = nn.Sequential(*layers, nn.Flatten())
        features = channels[-1] * math.prod(sizes.base)
        self.readout = nn.Linear(features, 1)
        self.embed = nn.Linear(condition, features, bias=False) if condition else None
        _spread(self)

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor as JSON."""
        return {
            "shape": list(self.shape),
            "width": self.width,
            "condition": self.condition,
            "norm": self.norm,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> DCGANDiscriminator:
        """The module that `config()` wrote down, with new weights, or ValueError."""
        return cls(**checked_keys("DCGANDiscriminator", config, cls.__init__))

    def forward(
        self, x: Float[Tensor, "n c h w"], condition: Float[Tensor, "n k"] | None = None
    ) -> Float[Tensor, " n"]:
        """Scores of images; the higher, the likelier real.

        Args:
            x: float32 (N, C, H, W).
            condition: float32 (N, K), where the module was made with one.
        """
        features = self.downs(x)
        score: Tensor = self.readout(features)[:, 0]
        return score if self.embed is None else score + (features * self.embed(condition)).sum(1)


def norm_of(norm: str | None, channels: int) -> list[nn.Module]:
    """The layers that normalise a map of so many channels, of which there may be none.

    Raises:
        ValueError: `norm` is no name of a normalisation.
    """
    if norm is None:
        return []
    if norm == "batch":
        return [BatchNorm2d(channels)]
    if norm == "group":
        return [nn.GroupNorm(math.gcd(_GROUPS, channels), channels)]
    raise ValueError(f"norm must be 'batch', 'group' or None, got {norm!r:.80}")


class _Sizes:
    """Features and sides of the maps of an image, or ValueError.

    Attributes:
        channels: Of the image.
        base: Sides of the smallest map.
        features: Of the hidden maps, the smallest first.
    """

    def __init__(self, where: str, shape: Sequence[int], width: int, condition: int | None) -> None:
        if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) != 3:
            raise ValueError(f"{where}: shape must be (channels, rows, columns), got {shape!r:.80}")
        self.channels = checked_size(f"{where}: channels of shape", shape[0], MOST_CHANNELS)
        rows = checked_size(f"{where}: rows of shape", shape[1], MOST_SIDE)
        columns = checked_size(f"{where}: columns of shape", shape[2], MOST_SIDE)
        width = checked_size(f"{where}: width", width, MOST_WIDTH // _WIDEST)
        if condition is not None:
            checked_size(f"{where}: condition", condition, MOST_CLASSES)
        _check_sides(where, rows, columns)
        doublings = _doublings(rows, columns)
        self.base = (rows >> doublings, columns >> doublings)
        self.features = [width * min(2**i, _WIDEST) for i in reversed(range(doublings))]


def _check_sides(where: str, rows: int, columns: int) -> None:
    step = 2**_DOUBLINGS
    if rows % step or columns % step:
        near = [max(step, (side + step // 2) // step * step) for side in (rows, columns)]
        raise ValueError(
            f"{where}: sides of an image must be multiples of {step}, got {rows}x{columns}; "
            f"the nearest that it can make are {near[0]}x{near[1]}"
        )


def _doublings(rows: int, columns: int) -> int:
    """Two, and more while the smallest map can be halved and is not small."""
    number = _DOUBLINGS
    while not (rows >> number) % 2 and not (columns >> number) % 2:
        if min(rows, columns) >> number < _BASE:
            break
        number += 1
    return number


def _spread(module: nn.Module) -> None:
    """Weights from N(0, 0.02), those of normalisations from N(1, 0.02), biases 0 (section 3)."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0.0, _SPREAD)
        elif isinstance(part, nn.modules.batchnorm._BatchNorm | nn.GroupNorm):
            nn.init.normal_(part.weight, 1.0, _SPREAD)
        if isinstance(bias := getattr(part, "bias", None), Tensor):
            nn.init.zeros_(bias)
