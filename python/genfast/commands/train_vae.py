"""`genfast train vae`: an autoencoder of images, kept in a folder that it can be resumed in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from genfast.commands.checks import check_least
from genfast.commands.image_options import ImageTraining
from genfast.commands.image_training import keep_figures, train_on_images
from genfast.data import Images
from genfast.models import VAE
from genfast.training import History

__all__ = ["TrainVAE", "run"]


@dataclass(frozen=True)
class TrainVAE(ImageTraining):
    """Train a variational autoencoder on images, and keep it in a folder."""

    COUNTS: ClassVar[tuple[str, ...]] = ("latent", "width", "depth", "importance")
    EPOCHS: ClassVar[int] = 100

    latent: int = 16
    """Numbers that an image is told by."""
    likelihood: Literal["auto", "bernoulli", "logistic"] = "auto"
    """Of a level; auto is bernoulli for two, logistic for more."""
    beta: float = 1.0
    """Weight of what the latents tell: more makes them independent, less makes images sharp."""
    free_bits: float = 0.0
    """Nats of each latent that cost nothing, so that none is given up early."""
    architecture: Literal["mlp", "convolutional"] = "mlp"
    """Layers that are fully connected, or convolutions."""
    width: int | None = None
    """Units of a layer, 256; or features of the largest maps, 32."""
    depth: int | None = None
    """Hidden layers, 2; or convolutions of each size, 1."""
    importance: int = 64
    """Draws of the latents for each held-out image when it is measured."""
    epochs: int | None = None
    """How long to train; 100 where neither epochs nor steps nor seconds are given."""

    def check(self) -> None:
        """Raises ValueError for a number that is out of range, before anything is read."""
        super().check()
        check_least("train", "beta", self.beta)
        check_least("train", "free_bits", self.free_bits)


def run(options: TrainVAE) -> None:
    """Trains, or goes on training, and says what came of it.

    Raises:
        ValueError, OSError, ImportError, FloatingPointError, KeyboardInterrupt: As
            `train_on_images`.
    """
    train_on_images(
        "vae",
        options,
        partial(_model, options),
        f"{options.architecture} VAE of {options.latent} latents",
        partial(_finish, options),
    )


def _model(options: TrainVAE, images: Images) -> VAE:
    return VAE(
        images.shape,
        images.levels,
        latent=options.latent,
        likelihood=None if options.likelihood == "auto" else options.likelihood,
        beta=options.beta,
        free_bits=options.free_bits,
        classes=images.classes,
        architecture=options.architecture,
        width=options.width,
        depth=options.depth,
    )


def _finish(options: TrainVAE, model: VAE, held: Images, history: History) -> None:
    """Measures the held-out images, keeps the figure with the model, says what comes next."""
    out, device = options.out, model.device
    labels = None if held.labels is None else held.labels.to(device)
    bits = model.bits_per_dim(held.x.to(device), labels, importance=options.importance)
    keep_figures(options, model, {"held_out_bits_per_dim": bits})
    print(f"{history.steps:,} steps in {history.seconds:.0f} s.")
    print(
        f"{bits:.3f} bits per dim of the {len(held):,} held-out images at most, by "
        f"{options.importance} draws of the latents for each."
    )
    print(
        "\nTry next:\n"
        f"  genfast sample {out} --num 64 --out grid.png   look at what it draws\n"
        f"  genfast export {out} NAME                      its sampler, encoder and decoder as ONNX"
    )
