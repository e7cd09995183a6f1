"""A run of training on the points of eight Gaussians."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from genfast.commands.checks import check_free
from genfast.commands.image_options import ImageTraining
from genfast.commands.image_training import fit_as_asked
from genfast.commands.record import Record
from genfast.commands.runs import leads, limits, machine, new_model
from genfast.data import eight_gaussians
from genfast.training import History

__all__ = ["DATA", "SIGMA", "train_on_gaussians"]

#: What DATA says for these points, and the standard deviation of each Gaussian.
DATA, SIGMA = "gaussians", 0.05
_POINTS = 4096


def train_on_gaussians(
    options: ImageTraining,
    make: Callable[[], Any],
    finish: Callable[[Any, None, History], None],
    **fitting: Any,
) -> None:
    """As `train_on_images`, for points.

    Args:
        options: What was asked for; those of images are not used.
        make: A new model.
        finish: Called in the first process after a run that was not interrupted.
        fitting: More arguments of `fit`.
    """
    options.check()
    if leads() and not options.resume:
        check_free("train: without --resume", [options.out])
    points = eight_gaussians(_POINTS, options.seed, sigma=SIGMA)
    model = new_model(options, make)
    if leads():
        record = Record.of("train gan", options.recorded(), [points.numpy().tobytes()])
        there = record.keep(options.out)
        weights = sum(p.numel() for p in model.parameters())
        long = limits(epochs=options.longest, steps=options.steps, seconds=options.seconds)
        print(f"Points: {len(points):,} of eight Gaussians.\nModel: {weights:,} weights.")
        print(
            f"{'Going on with' if there else 'Training'} {options.out}: {long} of "
            f"{options.batch_size} points, on {machine(model)}.",
            flush=True,
        )
    history = fit_as_asked(options, model, points, options.held_out, fitting)
    if leads() and history.stopped == "interrupted":
        print(f"\nKept as step {history.steps:,} left it; the same command with --resume goes on.")
    elif leads():
        finish(model, None, history)
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
