"""`fit`: one training loop for every model; it knows no family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch import nn

from genfast.training.batches import Batches, Data, split
from genfast.training.distributed import processes
from genfast.training.folder import Folder
from genfast.training.history import Callback, History
from genfast.training.interrupt import Interrupt
from genfast.training.loop import Loop
from genfast.training.options import Options
from genfast.training.progress import ProgressLine
from genfast.training.record import record
from genfast.training.run import Run
from genfast.training.turns import Turns


def fit(  # noqa: PLR0913 - every one has a default, and goes by its name
    model: nn.Module,
    data: Data,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    batch_size: int = 64,
    accumulate: int = 1,
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.999),
    clip: float | None = 1.0,
    schedule: str = "cosine",
    warmup: float = 0.05,
    precision: str = "auto",
    ema: float | None = None,
    held_out: float | Data | None = None,
    evaluate_every: int | None = None,
    patience: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    checkpoint_every: float = 30.0,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
) -> History:
    """Trains a model in place with AdamW, on the device that its parameters lie on.

    The model offers `training_step(batch, step) -> dict(loss=..., ...)`, and, where not all weights
    are to be treated alike, `parameter_groups()` as `torch.optim` takes them. The loss is a mean;
    "sites" among the results says over how many, and weighs it against other parts of the batch
    and other batches (default: the rows of the batch). A loss in nats a site is shown in bits too.

    A model that draws random numbers in training has `training_step(batch, step, turn)`, with a
    `genfast.models.turn.Turn` that says which. In a game of several players, such as a generator
    and a discriminator, every group of `parameter_groups()` names its "player", and `turns(step)`
    the players that move in a step, one after the other, such as ("discriminator", "generator").
    In a turn only the weights of `turn.player` require gradients, are clipped and move. A player's
    loss is written down under its name, its other numbers as "player/number"; `history.loss` is of
    the player that began the step. The held-out loss is what `training_step` returns where
    `turn.player` is None.

    Ctrl-C ends training after the step at hand: `fit` returns with `history.stopped` being
    "interrupted", and the model as that step left it. A second Ctrl-C raises at once.

    With `out` the run is kept in a folder: `checkpoint.pt`, `log.csv`, `curves.png` where
    matplotlib is installed, and the model where it has `save(path, figures=...)`; what raises in
    `model.check_saving()`, where it has that, is refused before it is trained. A run that was
    interrupted or killed is continued by the same call with `resume=True`, and ends in the weights
    of an uninterrupted one: to the bit on a CPU with as many threads. Every random number that
    torch draws is a function of the seed, the step and the process alone. (Loader processes that
    outlive an epoch, `persistent_workers`, draw on: their augmentations are not repeated.)

    Under `torchrun` or `accelerate launch` the processes share each batch: all are given the same
    data, each takes its rows, and the gradient is that of the whole batch. Process 0 writes and
    decides when to stop; callbacks are called in all of them. Buffers are those of process 0; batch
    norm of `genfast.nn` takes the statistics of the whole batch.

    Args:
        model: A module with `training_step`.
        data: A tensor (N, ...) or tuple of them, a Dataset, a DataLoader or other iterable of
            batches, or a callable `data(step)` giving the batch of a step. To be continued, an
            iterable must give the same batches again; a loader's own generator is seeded.
        epochs: The longest to train; one of epochs, steps and seconds is needed, and the first
            that is reached ends training.
        steps: As epochs.
        seconds: As epochs, in wall time; such a run is not reproducible.
        batch_size: Examples of a step, over all processes, where `fit` makes the batches.
        accumulate: Parts that a step's batch is cut into, to save memory; the step is the same,
            except where rows see each other: batch norm normalises part by part.
        lr: The highest learning rate.
        weight_decay: Of AdamW.
        betas: Of AdamW.
        clip: The longest the gradient may be, as a 2-norm over all weights, of each player by
            itself; None does not clip.
        schedule: "cosine", half a cosine down to zero, or "constant".
        warmup: The share of the run in which the learning rate rises linearly.
        precision: "float32"; "bfloat16" or "float16" for autocast; "auto" is bfloat16 on CUDA
            devices that have it, else float32. The held-out loss is taken in float32.
        ema: Decay of an exponential moving average of the weights, a step. The averaged weights are
            measured, saved and left in the model.
        held_out: A share of the examples, or data of its own. None: a tenth of tensors, tuples and
            Datasets; nothing of data that comes in batches.
        evaluate_every: Steps between two held-out losses; None takes one after every epoch. The
            last weights are always measured.
        patience: Held-out losses in a row that are not the lowest, after which training ends. It
            leaves the weights of the lowest one, except after Ctrl-C.
        seed: Of the split, the order of examples and the dropout; torch's generators are left as
            found.
        out: The folder to keep the run in.
        resume: Whether to continue the run in `out`, if there is one. Options that its weights
            depend on must be the same; a run of constant rate may be given a later end.
        checkpoint_every: Seconds between two checkpoints; there is one at every held-out loss, too.
        callbacks: Objects with methods of `Callback`.
        progress: Whether to show a live line, where standard error is a terminal.

    Returns:
        The losses of every step and epoch, and why training ended.

    Raises:
        ValueError: An argument is wrong, `training_step` gives no scalar loss, `out` holds a run
            already, or its checkpoint is damaged or of another run; nothing is overwritten.
        OSError: `out` cannot be written; the checkpoint that was there still is.
        FloatingPointError: A loss or gradient is not finite, or a loss is beyond 1e10 in size. The
            step and the player are named; the weights (not the running statistics) are those before
            that turn, and the checkpoint in `out` is of a step before.
    """
    options = Options(
        epochs, steps, seconds, batch_size, lr, weight_decay, betas, clip, schedule, warmup, seed,
        accumulate, precision, ema, patience, evaluate_every,
    )  # fmt: skip
    train, held = split(data, held_out, batch_size, seed)
    _check(options, train, held)
    folder = Folder(out, resume, checkpoint_every)
    with ExitStack() as stack:
        group = stack.enter_context(processes(model))
        stack.enter_context(_training(model))
        group.unite([*model.parameters(), *model.buffers()])
        run = Run.begin(model, options)
        turns = Turns(model, run.state.optimizer, seed)
        told = record(options, run, held_out, train.length, group.size)
        writers = folder.open(run, told, group, stack)
        line = stack.enter_context(ProgressLine(progress and not group.rank))
        interrupt = stack.enter_context(Interrupt())
        everyone = [*callbacks, *writers, line]
        Loop(run, turns, options, train, held, everyone, interrupt, group).train_to_end()
    return run.state.history


def _check(options: Options, train: Batches, held: Batches | None) -> None:
    """Raises ValueError for what is asked of data that cannot give it."""
    if options.epochs is not None and train.endless:
        raise ValueError("fit: data without an end needs steps or seconds, got epochs")
    if options.patience is not None and held is None:
        raise ValueError("fit: patience needs held-out data, got none")


@contextmanager
def _training(model: nn.Module) -> Iterator[None]:
    """Training mode, and torch's generators put back afterwards."""
    was = model.training
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=list(devices)):
        model.train()
        try:
            yield
        finally:
            model.train(was)
