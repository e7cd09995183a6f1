"""Images as rows of pixels in raster order, and the check of images that a caller passes."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from genfast.arguments import described

__all__ = ["Layout", "check_images", "checked_given"]


class Layout(NamedTuple):
    """The order in which a model draws an image: row by row, in a row pixel by pixel::

        0 1 2      parts = channels: a pixel owns a draw a channel, red before green before blue
        3 4 5      parts = 1:        one draw gives the channels of a pixel at once

    Args:
        channels, rows, columns: Of an image.
        parts: Draws of the head at a pixel, the D of a model's scores (N, H, W, D, P).
        draws: Uniforms that one of them owns.
    """

    channels: int
    rows: int
    columns: int
    parts: int
    draws: int

    @classmethod
    def of(cls, model: Any) -> Layout:
        """The layout of a model with `shape` and `head`."""
        channels, rows, columns = model.shape
        # A head of whole pixels says how many channels it gives.
        whole = getattr(model.head, "channels", None) is not None
        return cls(channels, rows, columns, 1 if whole else channels, model.head.draws)

    @property
    def sites(self) -> int:
        """Pixels."""
        return self.rows * self.columns

    @property
    def uniforms(self) -> int:
        """Uniforms that a pixel owns."""
        return self.parts * self.draws

    def channels_of(self, part: int) -> slice:
        """The channels that a draw gives."""
        width = self.channels // self.parts
        return slice(part * width, (part + 1) * width)

    def uniforms_of(self, part: int) -> slice:
        """The uniforms of a pixel that a draw owns."""
        return slice(part * self.draws, (part + 1) * self.draws)

    def named(self, row: int, draw: int) -> str:
        """What errors call the draw of a number, in an image of a batch."""
        site, part = divmod(draw, self.parts)
        y, x = divmod(site, self.columns)
        channel = f", channel {part}" if self.parts > 1 else ""
        return f"row {row}, y {y}, x {x}{channel}"

    def to_sites(self, images: Tensor) -> Tensor:
        """(N, C, H, W) as contiguous (N, H*W, C)."""
        n, channels = images.shape[:2]
        return images.permute(0, 2, 3, 1).reshape(n, self.sites, channels).contiguous()

    def to_images(self, values: Tensor) -> Tensor:
        """(N, H*W, C) as contiguous (N, C, H, W)."""
        pixels = values.reshape(len(values), self.rows, self.columns, self.channels)
        return pixels.permute(0, 3, 1, 2).contiguous()


def check_images(
    name: str,
    images: Int64[Tensor, "n c h w"],
    model: Any,
    n: int | None = None,
    counts: Bool[Tensor, "n c h w"] | None = None,
) -> None:
    """ValueError unless `images` are what `model` describes: dtype, shape, device and levels.

    Args:
        name: The public function and its argument, for the message.
        images: int64 (N, C, H, W) in [0, levels).
        model: With `shape` and `levels`.
        n: N, where it is known.
        counts: Which levels to look at; all of them when None.
    """
    channels, height, width = model.shape
    rows = "" if n is None else f"N={n}, "
    wanted = f"int64 (N, C, H, W) with {rows}C={channels}, H={height}, W={width}"
    fits = isinstance(images, Tensor) and images.dtype == torch.int64 and images.ndim == 4
    n = images.shape[0] if fits and n is None else n
    if not fits or tuple(images.shape) != (n, channels, height, width):
        raise ValueError(f"{name} must be {wanted}, got {described(images)}")
    _check_device(name, images, model)
    wrong = (images < 0) | (images >= model.levels)
    wrong = wrong if counts is None else wrong & counts
    if wrong.any():
        place = tuple(int(i) for i in wrong.nonzero()[0])
        raise ValueError(
            f"{name} must be at least 0 and below {model.levels}, got {int(images[place])} "
            f"in {_named(place)}"
        )


def checked_given(
    name: str, model: Any, n: int, given: tuple[Tensor, Tensor]
) -> Int64[Tensor, "n sites c"]:
    """Levels that are taken as they are, on the CPU; -1 where one is to be drawn.

    Args:
        name: The public function and its argument, for the message.
        model: With `shape`, `levels` and a head.
        n: Images.
        given: int64 (N, C, H, W), and bool (N, 1, H, W) or (N, C, H, W), True where it counts.

    Raises:
        ValueError: A wrong dtype, shape or device; a level out of range where it counts; or a part
            of a pixel for a head of whole pixels.
    """
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise ValueError(f"{name} must be a pair of image and mask, got {type(given).__name__}")
    image, mask = given
    channels, height, width = model.shape
    shapes = ((n, 1, height, width), (n, channels, height, width))
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or tuple(mask.shape) not in shapes:
        raise ValueError(
            f"{name}: mask must be bool (N, 1, H, W) or (N, C, H, W) with N={n}, C={channels}, "
            f"H={height}, W={width}, got {described(mask)}"
        )
    _check_device(f"{name}: mask", mask, model)
    mask = mask.expand(n, channels, height, width)
    check_images(f"{name}: image", image, model, n, mask)
    layout = Layout.of(model)
    if layout.parts < channels:
        _check_whole_pixels(f"{name}: mask", mask)
    return layout.to_sites(image.where(mask, -1).detach().cpu())


def _check_whole_pixels(name: str, mask: Tensor) -> None:
    wrong = mask != mask[:, :1]
    if wrong.any():
        place = tuple(int(i) for i in wrong.nonzero()[0])
        raise ValueError(
            f"{name} must take whole pixels, got another value than channel 0's in {_named(place)}"
        )


def _check_device(name: str, value: Tensor, model: Any) -> None:
    device = next(model.parameters()).device
    if value.device != device:
        raise ValueError(f"{name} must be on {device}, as the model is, got {value.device}")


def _named(place: tuple[int, ...]) -> str:
    return "row {}, channel {}, y {}, x {}".format(*place)
