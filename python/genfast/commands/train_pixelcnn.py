"""`genfast train pixelcnn`: a model of images, kept in a folder that it can be resumed in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from genfast.commands.checks import check_free, check_whole
from genfast.commands.record import Record
from genfast.commands.runs import check_training, leads, limits, machine, new_model
from genfast.data import Images, read_images
from genfast.files.loading import read_saved
from genfast.likelihood import bits_per_dim
from genfast.models import PixelCNN
from genfast.training import History, fit

__all__ = ["TrainPixelCNN", "run"]

_EPOCHS = 20
_COUNTS = (
    *("width", "depth", "mixture", "batch_size", "accumulate"),
    *("epochs", "steps", "evaluate_every", "patience"),
)


@dataclass(frozen=True)
class TrainPixelCNN:
    """Train a PixelCNN on images, and keep it in a folder."""

    data: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATA")]]
    """"digits" (scikit-learn's), a folder of pictures whose sub-folders are classes, an .npy or
    .npz file, or an IDX file such as train-images-idx3-ubyte.gz."""
    out: Path
    """Folder of the run: the model, its checkpoint, log.csv and curves.png."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on with the run in --out where it stopped; begin it where there is none."""
    labels: Path | None = None
    """File of the labels of an .npy or IDX file."""
    key: str | None = None
    """Array of an .npz file that holds the images, where several could."""
    label_key: str | None = None
    """Array of an .npz file that holds the labels, where several could."""
    size: tuple[int, int] | None = None
    """Height and width that the pictures of a folder are cut and scaled to."""
    levels: int | None = None
    """Bring the images to so many levels; else as they are, 256 for pictures."""
    conditional: bool = True
    """Learn the images of each class where the data has labels, so that they can be asked for."""
    variant: Literal["gated", "masked"] = "gated"
    """Gated PixelCNN, or the original with its blind spot."""
    width: int = 32
    """Features of a layer."""
    depth: int = 7
    """Layers."""
    mixture: int | None = None
    """Draw from a mixture of so many logistics, in place of a weight for each level."""
    batch_size: int = 32
    """Images of a step."""
    accumulate: int = 1
    """Parts that a batch is cut into, to save memory; the step is the same."""
    lr: float = 2e-3
    """The highest learning rate; it rises, then falls to zero by a cosine."""
    epochs: int | None = None
    """How long to train; 20 where neither epochs nor steps nor seconds are given."""
    steps: int | None = None
    """How long to train, in batches."""
    seconds: float | None = None
    """How long to train, in wall time; such a run comes out otherwise each time."""
    held_out: float = 0.1
    """Share of the images, chosen by the seed, that is not trained on but measured."""
    evaluate_every: int | None = None
    """Steps between two measurements on the held-out images; else one after every epoch."""
    patience: int | None = None
    """End after so many measurements without a better one, and keep the best."""
    ema: float | None = None
    """Keep a moving average of the weights with this decay, such as 0.999."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the arithmetic in training; auto takes less than float32 where it is faster."""
    checkpoint_every: float = 30.0
    """Seconds between two checkpoints."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto is a GPU where torch sees one."""
    seed: int = 0
    """Of the weights, the split and the order of the images."""

    def check(self) -> None:
        """Raises ValueError for a number that is out of range, before anything is read."""
        check_training(self, _COUNTS)
        check_whole("train", "levels", self.levels, 2)

    def recorded(self) -> dict[str, Any]:
        """The options that decide how the run ends, beside the images themselves."""
        free = ("data", "labels", "key", "label_key", "size", "out", "resume", "checkpoint_every")
        return {name: value for name, value in asdict(self).items() if name not in free}

    @property
    def longest(self) -> int | None:
        """Epochs to train; None where steps or time alone decide."""
        unlimited = self.epochs is self.steps is self.seconds is None
        return _EPOCHS if unlimited else self.epochs


def run(options: TrainPixelCNN) -> None:
    """Trains, or goes on training, and says what came of it.

    Under torchrun every process calls this, and the first one alone writes and prints.

    Raises:
        ValueError: An option is out of range, the data is damaged or does not fit, or the run was
            begun otherwise.
        OSError: A file cannot be read, or the run is there already, or cannot be written.
        ImportError: scikit-learn is needed for the digits and not installed.
        FloatingPointError: Training diverged.
        KeyboardInterrupt: Training was interrupted; its state is kept.
    """
    options.check()
    if leads() and not options.resume:
        check_free("train: without --resume", [options.out])
    images = _read(options)
    train, held = images.split(options.held_out, seed=options.seed)
    model = new_model(options, lambda: _model(options, images))
    if leads():
        record = Record.of("train pixelcnn", options.recorded(), _bytes(images))
        _say_what_begins(options, model, images, there=record.keep(options.out))
    history = _fit(options, model, train, held)
    if leads():
        _finish(options, model, held, history)
    if history.stopped == "interrupted":
        raise KeyboardInterrupt


def _read(options: TrainPixelCNN) -> Images:
    """The images, without labels where these are not to be learnt."""
    images = read_images(
        options.data,
        labels=options.labels,
        levels=options.levels,
        size=options.size,
        key=options.key,
        label_key=options.label_key,
    )
    return images if options.conditional else images.unlabelled()


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


def _bytes(images: Images) -> Iterator[bytes]:
    """Everything that is trained on, for its hash."""
    facts = (list(images.x.shape), images.levels, images.classes)
    yield json.dumps(facts).encode()
    kind = torch.uint8 if images.levels <= 256 else torch.int32
    for rows in torch.split(images.x, 1024):
        yield rows.to(kind).numpy().tobytes()
    if images.labels is not None:
        yield images.labels.numpy().tobytes()


def _fit(options: TrainPixelCNN, model: PixelCNN, train: Images, held: Images) -> History:
    return fit(
        model,
        train.tensors,
        held_out=held.tensors,
        epochs=options.longest,
        steps=options.steps,
        seconds=options.seconds,
        batch_size=options.batch_size,
        lr=options.lr,
        seed=options.seed,
        out=options.out,
        resume=options.resume,
        accumulate=options.accumulate,
        precision=options.precision,
        ema=options.ema,
        patience=options.patience,
        evaluate_every=options.evaluate_every,
        checkpoint_every=options.checkpoint_every,
    )


def _say_what_begins(
    options: TrainPixelCNN, model: PixelCNN, images: Images, *, there: bool
) -> None:
    c, h, w = images.shape
    classes = "no labels" if images.classes is None else f"{images.classes} classes"
    weights = sum(p.numel() for p in model.parameters())
    long = limits(epochs=options.longest, steps=options.steps, seconds=options.seconds)
    print(
        f"Images: {images.name}, {len(images):,} of {h}x{w}x{c}, {images.levels} levels, {classes}."
    )
    print(
        f"Model: {options.variant} PixelCNN {options.depth}x{options.width}, {weights:,} weights."
    )
    print(
        f"{'Going on with' if there else 'Training'} {options.out}: {long} of "
        f"{options.batch_size} images, on {machine(model)}.",
        flush=True,
    )


def _finish(options: TrainPixelCNN, model: PixelCNN, held: Images, history: History) -> None:
    """Measures the held-out images, keeps the figure with the model, says what comes next."""
    out = options.out
    if history.stopped == "interrupted":
        print(f"\nKept as step {history.steps:,} left it; the same command with --resume goes on.")
        return
    bits = _bits(model, held)
    figures = read_saved(out).figures | {"held_out_bits_per_dim": bits}
    model.save(out, figures=figures)
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
