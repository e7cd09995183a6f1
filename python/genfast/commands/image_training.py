"""A run of training on images, whatever the family: begun, gone on with, kept, told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from genfast.commands.checks import check_free
from genfast.commands.image_options import ImageTraining
from genfast.commands.record import Record
from genfast.commands.runs import leads, limits, machine, new_model
from genfast.data import Images
from genfast.files.loading import read_saved
from genfast.training import History, fit

__all__ = ["fit_as_asked", "keep_figures", "train_on_images"]


def train_on_images(
    kind: str,
    options: ImageTraining,
    make: Callable[[Images], Any],
    words: str,
    finish: Callable[[Any, Images, History], None],
    **fitting: Any,
) -> None:
    """Trains, or goes on training, and says what came of it.

    Under torchrun every process calls this, and the first one alone writes and prints.

    Args:
        kind: Of the command: "pixelcnn" of `genfast train pixelcnn`.
        options: What was asked for.
        make: A new model for these images.
        words: What the model is, for people.
        finish: Called in the first process after a run that was not interrupted, with the model,
            the held-out images and the history: measures, keeps the figures, says what comes next.
        fitting: More arguments of `fit`.

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
    images = options.read()
    train, held = images.split(options.held_out, seed=options.seed)
    model = new_model(options, lambda: make(images))
    if leads():
        record = Record.of(f"train {kind}", options.recorded(), _bytes(images))
        _say_what_begins(options, model, words, images, there=record.keep(options.out))
    history = fit_as_asked(options, model, train.tensors, held.tensors, fitting)
    if leads() and history.stopped == "interrupted":
        print(f"\nKept as step {history.steps:,} left it; the same command with --resume goes on.")
    elif leads():
        finish(model, held, history)
    if history.stopped == "interrupted":
        raise KeyboardInterrupt


def keep_figures(options: ImageTraining, model: Any, figures: Mapping[str, Any]) -> None:
    """Saves the model of a run again, with these figures beside those that it has."""
    model.save(options.out, figures=read_saved(options.out).figures | dict(figures))


def _bytes(images: Images) -> Iterator[bytes]:
    """Everything that is trained on, for its hash."""
    facts = (list(images.x.shape), images.levels, images.classes)
    yield json.dumps(facts).encode()
    kind = torch.uint8 if images.levels <= 256 else torch.int32
    for rows in torch.split(images.x, 1024):
        yield rows.to(kind).numpy().tobytes()
    if images.labels is not None:
        yield images.labels.numpy().tobytes()


def fit_as_asked(
    options: ImageTraining, model: Any, train: Any, held: Any, fitting: Mapping[str, Any]
) -> History:
    """`fit` with the options of a command.

    Args:
        options: What was asked for.
        model: The model.
        train: Data of `fit`.
        held: Held-out data, or a share.
        fitting: More arguments.
    """
    return fit(
        model,
        train,
        held_out=held,
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
        **fitting,
    )


def _say_what_begins(
    options: ImageTraining, model: Any, words: str, images: Images, *, there: bool
) -> None:
    c, h, w = images.shape
    classes = "no labels" if images.classes is None else f"{images.classes} classes"
    weights = sum(p.numel() for p in model.parameters())
    long = limits(epochs=options.longest, steps=options.steps, seconds=options.seconds)
    print(
        f"Images: {images.name}, {len(images):,} of {h}x{w}x{c}, {images.levels} levels, {classes}."
    )
    print(f"Model: {words}, {weights:,} weights.")
    print(
        f"{'Going on with' if there else 'Training'} {options.out}: {long} of "
        f"{options.batch_size} images, on {machine(model)}.",
        flush=True,
    )
