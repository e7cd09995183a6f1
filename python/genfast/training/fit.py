"""`fit`: one training loop for every model; it knows no family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from genfast.random import fold
from genfast.training.batches import Data, split
from genfast.training.history import Callback, History, State
from genfast.training.interrupt import Interrupt
from genfast.training.loop import Loop
from genfast.training.options import Options
from genfast.training.progress import ProgressLine


def fit(
    model: nn.Module,
    data: Data,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    batch_size: int = 64,
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.999),
    clip: float | None = 1.0,
    schedule: str = "cosine",
    warmup: float = 0.05,
    held_out: float | Data | None = None,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
) -> History:
    """Trains a model in place with AdamW, on the device that its parameters lie on.

    The model offers `training_step(batch, step) -> dict(loss=..., ...)`, and, where not all weights
    are to be treated alike, `parameter_groups()` as `torch.optim` takes them. Held-out loss is
    `training_step`'s own, in evaluation mode, after every epoch and at the end.

    Ctrl-C ends training after the step at hand: `fit` returns with `history.stopped` being
    "interrupted", and the model as that step left it. A second Ctrl-C raises at once.

    Args:
        model: A module with `training_step`.
        data: A tensor (N, ...) or tuple of them, a Dataset, a DataLoader or other iterable of
            batches, or a callable `data(step)` giving the batch of a step.
        epochs: The longest to train; one of epochs, steps and seconds is needed, and the first
            that is reached ends training.
        steps: As epochs.
        seconds: As epochs, in wall time; such a run is not reproducible.
        batch_size: Examples of a batch, where `fit` makes the batches.
        lr: The highest learning rate.
        weight_decay: Of AdamW.
        betas: Of AdamW.
        clip: The longest the gradient may be, as a 2-norm over all weights; None does not clip.
        schedule: "cosine", half a cosine down to zero, or "constant".
        warmup: The share of the run in which the learning rate rises linearly.
        held_out: A share of the examples, or data of its own. None: a tenth of tensors, tuples and
            Datasets; nothing of data that comes in batches.
        seed: Of the split, the order of examples and the dropout; torch's generators are left as
            found.
        callbacks: Objects with `on_step(state)`, `on_epoch(state)` or both.
        progress: Whether to show a live line, where standard error is a terminal.

    Returns:
        The losses of every step and epoch, and why training ended.

    Raises:
        ValueError: An argument is wrong, or `training_step` gives no scalar loss.
        FloatingPointError: A loss or gradient is not finite; the step is named and the weights are
            those before it.
    """
    options = Options(
        epochs, steps, seconds, batch_size, lr, weight_decay, betas, clip, schedule, warmup, seed
    )
    train, held = split(data, held_out, batch_size, seed)
    if epochs is not None and train.endless:
        raise ValueError("fit: data without an end needs steps or seconds, got epochs")
    optimizer = _optimizer(model, options)
    state = State(model, optimizer)
    with _training(model, seed), Interrupt() as interrupt, ProgressLine(progress) as line:
        Loop(state, options, train, held, [*callbacks, line], interrupt).run()
    return state.history


def _optimizer(model: nn.Module, options: Options) -> torch.optim.Optimizer:
    groups = getattr(model, "parameter_groups", model.parameters)()
    return torch.optim.AdamW(
        groups, lr=options.lr, betas=options.betas, weight_decay=options.weight_decay
    )


@contextmanager
def _training(model: nn.Module, seed: int) -> Iterator[None]:
    """Training mode and a seeded dropout, both put back afterwards."""
    was = model.training
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(fold(seed, "dropout"))
        model.train()
        try:
            yield
        finally:
            model.train(was)
