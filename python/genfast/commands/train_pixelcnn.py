"""`genfast train pixelcnn`: a model of images, kept in a folder that it can be resumed in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from genfast.commands.image_options import ImageTraining
from genfast.commands.image_training import keep_figures, train_on_images
from genfast.data import Images
from genfast.likelihood import bits_per_dim
from genfast.models import PixelCNN
from genfast.training import History

__all__ = ["TrainPixelCNN", "run"]


@dataclass(frozen=True)
class TrainPixelCNN(ImageTraining):
    """Train a PixelCNN on images, and keep it in a folder."""

    COUNTS: ClassVar[tuple[str, ...]] = ("width", "depth", "mixture")

    variant: Literal["gated", "masked"] = "gated"
    """Gated PixelCNN, or the original with its blind spot."""
    width: int = 32
    """Features of a layer."""
    depth: int = 7
    """Layers."""
    mixture: int | None = None
    """Draw from a mixture of so many logistics, in place of a weight for each level."""
    epochs: int | None = None
    """How long to train; 20 where neither epochs nor steps nor seconds are given."""


def run(options: TrainPixelCNN) -> None:
    """Trains, or goes on training, and says what came of it.

    Raises:
        ValueError, OSError, ImportError, FloatingPointError, KeyboardInterrupt: As
            `train_on_images`.
    """
    train_on_images(
        "pixelcnn",
        options,
        partial(_model, options),
        f"{options.variant} PixelCNN {options.depth}x{options.width}",
        partial(_finish, options),
    )


def _model(options: TrainPixelCNN, images: Images) -> PixelCNN:
    return PixelCNN(
        images.shape,
        images.levels,
        width=options.width,
        depth=options.depth,
        variant=options.variant,
        head=_head(options, images),
        classes=images.classes,
    )


def _head(options: TrainPixelCNN, images: Images) -> Any:
    if options.mixture is None:
        return None
    from genfast.heads import LogisticMixture

    return LogisticMixture(images.levels, options.mixture, images.shape[0])


def _finish(options: TrainPixelCNN, model: PixelCNN, held: Images, history: History) -> None:
    """Measures the held-out images, keeps the figure with the model, says what comes next."""
    out, bits = options.out, _bits(model, held)
    keep_figures(options, model, {"held_out_bits_per_dim": bits})
    print(f"{history.steps:,} steps in {history.seconds:.0f} s.")
    print(f"{bits:.3f} bits per dim of the {len(held):,} held-out images.")
    print(
        "\nTry next:\n"
        f"  genfast sample {out} --num 64 --out grid.png   look at what it draws\n"
        f"  genfast export {out} NAME                      its sampler as one ONNX file"
    )


def _bits(model: PixelCNN, held: Images) -> float:
    if held.labels is None:
        return bits_per_dim(model, held.x)
    return bits_per_dim(model, held.x, classes=held.labels)
