"""A rival that everyone has: the bits that PNG needs for images."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from genfast.data import Images

__all__ = ["png_bits_each", "png_bits_together"]

Grey = npt.NDArray[np.uint8]
# zlib's strategies: default, filtered, Huffman alone, runs, fixed code.
_STRATEGIES = range(5)
_IMAGES_A_ROW = (1, 2, 4, 8, 16, 32)


def png_bits_each(images: Images) -> float:
    """Bits per dim of grey images as optimised PNG files, one for each: mostly headers.

    Args:
        images: (N, 1, H, W), at most 256 levels, which are written as they are.
    """
    sizes = (_smallest(image) for image in _grey(images))
    return 8 * sum(sizes) / images.x.numel()


def png_bits_together(images: Images) -> float:
    """Bits per dim of all images in one optimised PNG, packed as it gets smallest.

    They are put together in the order of their labels: side by side in rows of several widths,
    and each as one row of pixels, so that PNG predicts a pixel from that of the image before.

    Args:
        images: As of `png_bits_each`.
    """
    grey = _grey(images)
    if images.labels is not None:
        grey = grey[images.labels.argsort(stable=True).numpy()]
    return 8 * min(map(_smallest, _packings(grey))) / images.x.numel()


def _packings(grey: Grey) -> Iterator[Grey]:
    n, h, w = grey.shape
    yield grey.reshape(n, h * w)
    for wide in _IMAGES_A_ROW:
        rows = -(-n // wide)
        padded = np.zeros((rows * wide, h, w), dtype=np.uint8)
        padded[:n] = grey
        yield padded.reshape(rows, wide, h, w).swapaxes(1, 2).reshape(rows * h, wide * w)


def _grey(images: Images) -> Grey:
    if images.shape[0] != 1 or images.levels > 256:
        raise ValueError(f"png_bits: images must be grey, got {images.shape}, {images.levels}")
    return images.x[:, 0].numpy().astype(np.uint8)


def _smallest(pixels: Grey) -> int:
    """Bytes of the smallest PNG file that holds these."""
    from PIL import Image

    image, sizes = Image.fromarray(np.ascontiguousarray(pixels)), []
    for strategy in _STRATEGIES:
        file = io.BytesIO()
        image.save(file, "PNG", compress_level=9, compress_type=strategy)
        sizes.append(file.tell())
    return min(sizes)
