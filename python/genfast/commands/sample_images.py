"""`genfast sample` for models of images: a picture of all samples side by side, or an array."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from genfast.commands.sample_latent import draw_in_one_pass, is_one_pass
from genfast.data import grid, png
from genfast.files.atomic import write_bytes

__all__ = ["ImageOptions", "draws_images", "write_images"]

# Of a grid where a class is a column.
_MOST_COLUMNS = 32


class ImageOptions(Protocol):
    """The options of `genfast sample` that are read here."""

    @property
    def run(self) -> str: ...
    @property
    def num(self) -> int: ...
    @property
    def index(self) -> int: ...
    @property
    def classes(self) -> str | None: ...
    @property
    def temperature(self) -> float: ...
    @property
    def top_k(self) -> int | None: ...
    @property
    def top_p(self) -> float | None: ...
    @property
    def truncation(self) -> float | None: ...
    @property
    def out(self) -> Path | None: ...
    @property
    def backend(self) -> str: ...


def draws_images(model: Any) -> bool:
    """Whether a model's samples are images."""
    return len(getattr(model, "shape", ())) == 3


def write_images(options: ImageOptions, model: Any, seed: int) -> None:
    """Draws and writes a file: a PNG grid; or an .npy file of int64 (N, C, H, W), of float32
    (N, *shape) shares or real numbers where they are drawn in one pass.

    Raises:
        ValueError: An option is wrong for this model.
        OSError: The file cannot be written.
    """
    out = _file(options, model)
    wanted = _classes(options, model)
    classes = None if wanted is None else _cycled(wanted, options)
    images = _drawn(options, model, seed, classes)
    write_bytes(out, _png(images, model, wanted) if out.suffix == ".png" else _npy(images))
    noun = "image" if draws_images(model) else "sample"
    print(f"{out}: {options.num} {noun}{'s' * (options.num > 1)} of {options.run}, seed {seed}")


def _file(options: ImageOptions, model: Any) -> Path:
    out, kinds = options.out, [".npy"]
    what = "images" if draws_images(model) else "vectors"
    if model.levels is None:
        what = "real numbers"
    elif draws_images(model):
        kinds = [".png", ".npy"]
    if out is None or out.suffix not in kinds:
        files = " or ".join(f"FILE{kind}" for kind in kinds)
        raise ValueError(f"sample: a model of {what} needs --out {files}, got {out}")
    return out


def _classes(options: ImageOptions, model: Any) -> list[int] | None:
    """The labels to draw: those asked for, else all of the model's; None for one without."""
    known = model.classes
    if options.classes is None:
        return None if known is None else list(range(known))
    if known is None:
        raise ValueError(
            "sample: classes must be left out, as the model was trained without labels"
        )
    words = options.classes.split(",")
    if not all(word.isascii() and word.isdigit() and int(word) < known for word in words):
        raise ValueError(
            f"sample: classes must be labels from 0 to {known - 1} with commas between, "
            f"got {options.classes!r:.80}"
        )
    return [int(word) for word in words]


def _cycled(classes: list[int], options: ImageOptions) -> Int64[Tensor, " n"]:
    """One class for each image, in turn by the image's index."""
    places = torch.arange(options.index, options.index + options.num)
    return torch.tensor(classes)[places % len(classes)]


def _drawn(options: ImageOptions, model: Any, seed: int, classes: Tensor | None) -> Tensor:
    if is_one_pass(model):
        return draw_in_one_pass(options, model, seed, classes)
    arguments: dict[str, Any] = {
        "seed": seed,
        "index": options.index,
        "temperature": options.temperature,
        "top_k": options.top_k,
        "top_p": options.top_p,
    }
    if options.backend == "onnx":
        return _by_onnx(options, arguments, classes)
    if classes is not None:
        arguments["classes"] = classes
    drawn: Tensor = model.sample(options.num, **arguments, backend=options.backend)
    return drawn


def _by_onnx(
    options: ImageOptions, arguments: Mapping[str, Any], classes: Tensor | None
) -> Int64[Tensor, "n c h w"]:
    from genfast.runtime import Sampler

    labels = None if classes is None else classes.numpy()
    drawn = Sampler(options.run).sample(options.num, classes=labels, **arguments)
    return torch.from_numpy(drawn.values)


def _png(images: Tensor, model: Any, classes: list[int] | None) -> bytes:
    columns = None if classes is None or len(classes) > _MOST_COLUMNS else len(classes)
    if columns == 1 or len(images) < (columns or 0):
        columns = None
    levels = None if images.is_floating_point() else model.levels
    return png(grid(images, levels, columns))


def _npy(images: Tensor) -> bytes:
    file = io.BytesIO()
    np.save(file, images.cpu().numpy())
    return file.getvalue()
