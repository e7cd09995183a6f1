"""`genfast train sequence`: a model of text files, kept in a folder that it can be resumed in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from torch import Tensor

from genfast.commands.checks import check_free
from genfast.commands.record import Record
from genfast.commands.runs import check_training, leads, limits, machine, new_model
from genfast.commands.texts import raw
from genfast.data import Symbols, random_windows, read_symbols, split_tokens
from genfast.demo.measure import bits_per_symbol, stretches
from genfast.files.loading import read_saved
from genfast.heads import Categorical
from genfast.models import SequenceModel
from genfast.training import History, fit

__all__ = ["TrainSequence", "run"]

_STEPS = 2000
_BETAS = (0.9, 0.99)
_COUNTS = (
    *("width", "depth", "embedding_width", "window", "batch_size", "accumulate"),
    *("steps", "evaluate_every", "patience"),
)
# Held-out symbols that are measured during training; the whole part is measured at its end.
_MEASURED = 65536


@dataclass(frozen=True)
class TrainSequence:
    """Train a recurrent model on text files, and keep it in a folder."""

    files: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE...")]]
    """Text files, joined in this order."""
    out: Path
    """Folder of the run: the model, its checkpoint, log.csv and curves.png."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on with the run in --out where it stopped; begin it where there is none."""
    symbols: Literal["characters", "bytes"] = "characters"
    """What is drawn at a time; bytes take any file."""
    cell: Literal["lstm", "gru"] = "lstm"
    """Kind of the recurrent layers."""
    width: int = 256
    """Units of a layer."""
    depth: int = 1
    """Layers."""
    embedding_width: int = 64
    """Numbers that stand for a symbol."""
    dropout: float = 0.1
    """Share of features dropped in training."""
    window: int = 64
    """Symbols that a training example is long."""
    batch_size: int = 32
    """Windows of a step."""
    accumulate: int = 1
    """Parts that a batch is cut into, to save memory; the step is the same."""
    lr: float = 5e-3
    """The highest learning rate; it rises, then falls to zero by a cosine."""
    steps: int | None = None
    """How long to train; 2,000 where neither steps nor seconds are given."""
    seconds: float | None = None
    """How long to train, in wall time; such a run comes out otherwise each time."""
    held_out: float = 0.1
    """Share at the text's end that is not trained on but measured."""
    evaluate_every: int = 200
    """Steps between two measurements on the held-out text."""
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
    """Of the weights, the windows and the dropout."""

    def check(self) -> None:
        """Raises ValueError for a number that is out of range, before anything is read."""
        if not self.files:
            raise ValueError("train: FILE... must name at least one text file, got none")
        check_training(self, _COUNTS)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"train: dropout must be at least 0 and below 1, got {self.dropout}")

    def recorded(self) -> dict[str, Any]:
        """The options that decide how the run ends."""
        free = ("files", "out", "resume", "checkpoint_every")
        return {name: value for name, value in asdict(self).items() if name not in free}

    @property
    def longest(self) -> int | None:
        """Steps to train; None where time alone decides."""
        return _STEPS if self.steps is self.seconds is None else self.steps


def run(options: TrainSequence) -> None:
    """Trains, or goes on training, and says what came of it.

    Under torchrun every process calls this, and the first one alone writes and prints.

    Raises:
        ValueError: An option is out of range, a file is no text, or the run was begun otherwise.
        OSError: A file cannot be read, or the run is there already, or cannot be written.
        FloatingPointError: Training diverged.
        KeyboardInterrupt: Training was interrupted; its state is kept.
    """
    options.check()
    if leads() and not options.resume:
        check_free("train: without --resume", [options.out])
    symbols, tokens = read_symbols(options.files, options.symbols)
    train, held = _split(options, tokens)
    model = _model(options, symbols)
    if leads():
        record = Record.of("train sequence", options.recorded(), [raw(symbols, tokens)])
        _say_what_begins(options, model, len(tokens), there=record.keep(options.out))
    history = _fit(options, model, train, held)
    if leads():
        _finish(options, model, held, history)
    if history.stopped == "interrupted":
        raise KeyboardInterrupt


def _split(options: TrainSequence, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """What is trained on and what is held out, or ValueError where the text is too short."""
    held = max(1, round(len(tokens) * options.held_out))
    if len(tokens) - held < options.window:
        raise ValueError(
            f"train: the text must have at least a window of {options.window} symbols beside the "
            f"{held} held out, got {len(tokens)}; --window may be smaller"
        )
    return split_tokens(tokens, options.held_out)


def _model(options: TrainSequence, symbols: Symbols) -> SequenceModel:
    model: SequenceModel = new_model(
        options,
        lambda: SequenceModel(
            Categorical(len(symbols)),
            cell=options.cell,
            width=options.width,
            depth=options.depth,
            embedding_width=options.embedding_width,
            dropout=options.dropout,
            symbols=symbols,
        ),
    )
    return model


def _fit(options: TrainSequence, model: SequenceModel, train: Tensor, held: Tensor) -> History:
    return fit(
        model,
        random_windows(train, options.window, options.batch_size, seed=options.seed),
        steps=options.longest,
        seconds=options.seconds,
        lr=options.lr,
        betas=_BETAS,
        held_out=stretches(held[:_MEASURED]),
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
    options: TrainSequence, model: SequenceModel, length: int, *, there: bool
) -> None:
    names = ", ".join(map(str, options.files))
    unit, classes = _unit(options), model.head.classes
    weights = sum(p.numel() for p in model.parameters())
    long = limits(steps=options.longest, seconds=options.seconds)
    print(f"Text: {names}, {length:,} {unit}s, {classes} different ones.")
    print(f"Model: {options.cell.upper()} {options.depth}x{options.width}, {weights:,} weights.")
    print(
        f"{'Going on with' if there else 'Training'} {options.out}: {long} of "
        f"{options.batch_size} x {options.window} {unit}s, on {machine(model)}.",
        flush=True,
    )


def _finish(options: TrainSequence, model: SequenceModel, held: Tensor, history: History) -> None:
    """Measures the whole held-out text, keeps the figure with the model, says what comes next."""
    out, unit = options.out, _unit(options)
    if history.stopped == "interrupted":
        print(f"\nKept as step {history.steps:,} left it; the same command with --resume goes on.")
        return
    bits = bits_per_symbol(model, held)
    figures = read_saved(out).figures | {f"held_out_bits_per_{unit}": bits}
    model.save(out, figures=figures)
    print(f"{history.steps:,} steps in {history.seconds:.0f} s.")
    print(f"{bits:.3f} bits per {unit} of the held-out text ({len(held):,} {unit}s).")
    print(
        "\nTry next:\n"
        f"  genfast sample {out}         read what it writes\n"
        f"  genfast export {out} NAME    its sampler as one ONNX file"
    )


def _unit(options: TrainSequence) -> str:
    """What one symbol is, in words."""
    return options.symbols.removesuffix("s")
