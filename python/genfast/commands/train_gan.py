"""`genfast train gan`: a game of two networks, kept in a folder that it can be resumed in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
import tyro

from genfast.commands.checks import check_least
from genfast.commands.image_options import ImageTraining
from genfast.commands.image_training import train_on_images
from genfast.commands.runs import leads
from genfast.commands.toy_training import DATA, SIGMA, train_on_gaussians
from genfast.data import Images, grid
from genfast.data.movies import Pixels
from genfast.files.atomic import write_bytes
from genfast.models import GAN
from genfast.training import Callback, History
from genfast.training.frames import Frames

__all__ = ["TrainGAN", "run"]

_DOUBLINGS = 4
_R1_OF_POINTS = 0.1
# Of a picture's rows and columns; a class a row where there are labels.
_TILES = 10


@dataclass(frozen=True)
class TrainGAN(ImageTraining):
    """Train a generative adversarial network on images or points, and keep it in a folder."""

    COUNTS: ClassVar[tuple[str, ...]] = (
        *("latent", "width", "depth", "discriminator_steps", "r1_every"),
    )
    EPOCHS: ClassVar[int] = 200

    data: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATA")]]
    """"digits" (scikit-learn's), "gaussians" (points of eight of them), a folder of pictures whose
    sub-folders are classes, an .npy or .npz file, or an IDX file such as
    train-images-idx3-ubyte.gz."""
    objective: Literal["non-saturating", "original", "least-squares", "hinge", "wasserstein"] = (
        "non-saturating"
    )
    """What the players want."""
    architecture: Literal["auto", "dcgan", "mlp"] = "auto"
    """Convolutions or fully connected layers; auto is dcgan for images it can make, of sides that
    are multiples of 4."""
    latent: int = 32
    """Numbers that a sample is drawn from."""
    width: int = 64
    """Features of the largest map, or units of a layer."""
    depth: int = 3
    """Hidden layers of mlp."""
    norm: Literal["batch", "group", "none"] = "batch"
    """Normalisation of dcgan; the discriminator has no batch normalisation under a penalty."""
    r1: float | None = None
    """Weight of the penalty on the discriminator's slopes at the data; else 0.1 for points, which
    would lose modes without, and 0 for images."""
    r1_every: int = 1
    """Steps from one such penalty to the next."""
    gradient_penalty: float = 10.0
    """Weight of wasserstein's penalty."""
    spectral_norm: bool = False
    """Normalise the discriminator's layers by their largest singular value."""
    label_smoothing: float = 0.0
    """How far below 1 the label of data lies."""
    discriminator_steps: int = 1
    """Steps of the discriminator to one of the generator."""
    frames: int = 48
    """Pictures of fixed latents through training, for training.gif; 0 for none."""
    batch_size: int = 64
    """Examples of a step."""
    lr: float = 1e-3
    """The highest learning rate; it rises, then falls to zero by a cosine."""
    ema: float | None = 0.998
    """Keep a moving average of the weights with this decay."""
    epochs: int | None = None
    """How long to train; 200 where neither epochs nor steps nor seconds are given."""

    def check(self) -> None:
        """Raises ValueError for a number that is out of range, before anything is read."""
        super().check()
        for name in ("r1", "gradient_penalty", "frames"):
            check_least("train", name, getattr(self, name) or 0.0)
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"train: label_smoothing must be at least 0 and below 1, got {self.label_smoothing}"
            )


def run(options: TrainGAN) -> None:
    """Trains, or goes on training, and says what came of it.

    Raises:
        ValueError, OSError, ImportError, FloatingPointError, KeyboardInterrupt: As
            `train_on_images`.
    """
    options.check()
    picture = _points(options) if options.data == DATA else partial(_tiles, options.seed)
    frames = None
    if leads() and options.frames:
        frames = Frames(picture, options.frames, options.out / "frames")
    callbacks: list[Callback] = [] if frames is None else [frames]
    finish = partial(_finish, options, frames)
    if options.data == DATA:
        train_on_gaussians(options, lambda: _model(options, (2,)), finish, callbacks=callbacks)
        return
    train_on_images(
        "gan",
        options,
        lambda images: _model(options, images.shape, images.levels, images.classes),
        f"a GAN of {options.latent} latents, {options.objective}",
        finish,
        callbacks=callbacks,
    )


def _model(
    options: TrainGAN, shape: tuple[int, ...], levels: int | None = None, classes: int | None = None
) -> GAN:
    return GAN(
        shape,
        levels,
        latent=options.latent,
        objective=options.objective,
        classes=classes,
        architecture=_architecture(options, shape),
        width=options.width,
        depth=options.depth,
        norm=None if options.norm == "none" else options.norm,
        discriminator_steps=options.discriminator_steps,
        gradient_penalty=options.gradient_penalty,
        r1=_r1(options, shape),
        r1_every=options.r1_every,
        spectral_norm=options.spectral_norm,
        label_smoothing=options.label_smoothing,
    )


def _architecture(options: TrainGAN, shape: tuple[int, ...]) -> Literal["dcgan", "mlp"]:
    if options.architecture != "auto":
        return options.architecture
    fits = len(shape) == 3 and not any(side % _DOUBLINGS for side in shape[1:])
    return "dcgan" if fits else "mlp"


def _r1(options: TrainGAN, shape: tuple[int, ...]) -> float:
    if options.r1 is not None:
        return options.r1
    return _R1_OF_POINTS if len(shape) == 1 else 0.0


def _tiles(seed: int, model: Any, _step: int) -> Pixels:
    """Samples of the same latents; a class a row, where there are labels."""
    n, classes = _TILES * _TILES, model.classes
    if classes is None:
        drawn = model.sample(n, seed=seed)
    else:
        labels = torch.arange(min(classes, _TILES)).repeat_interleave(_TILES)
        drawn = model.sample(len(labels), seed=seed, classes=labels.to(model.device))
    return grid(model.to_levels(drawn).cpu(), model.levels, _TILES)


def _points(options: TrainGAN) -> Any:
    from genfast.data import eight_gaussians
    from genfast.demo.field import FieldPicture

    return FieldPicture(eight_gaussians(2048, options.seed, sigma=SIGMA), seed=options.seed)


def _finish(
    options: TrainGAN, frames: Frames | None, model: GAN, held: Images | None, history: History
) -> None:
    """Writes the pictures, and says what comes next."""
    out = options.out
    print(f"{history.steps:,} steps in {history.seconds:.0f} s.")
    if frames is not None:
        write_bytes(out / "training.gif", frames.movie())
        print(f"{out}/training.gif: the same latents through training.")
    file = "samples.npy" if held is None else "samples.png"
    print(
        "\nTry next:\n"
        f"  genfast sample {out} --num 64 --out {file}   draw more\n"
        f"  genfast export {out} NAME   its sampler as one ONNX file"
    )
