"""`genfast bench`: how fast this machine draws, beside plain PyTorch and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Literal

import torch
import tyro

from genfast._extension import core
from genfast.commands.checks import check_seed, check_whole
from genfast.demo.timing import Timing, compare
from genfast.explaining import Explanation, explain
from genfast.heads import Categorical
from genfast.models import SequenceModel
from genfast.models.registry import load

if TYPE_CHECKING:
    from genfast.runtime import Sampler

__all__ = ["Bench", "run"]

_BATCHES = (1, 16, 64)
# Seconds of one drawing by the slowest drawer, and the symbols of a text that this may come to.
_DRAWING, _LEAST, _MOST = 0.3, 20, 1000
# Seconds that each ceiling of the machine is measured for.
_CEILING = 0.05


@dataclass(frozen=True)
class Bench:
    """Time the compiled draw of a model beside plain PyTorch and ONNX Runtime."""

    run: tyro.conf.Positional[Annotated[str | None, tyro.conf.arg(metavar="RUN")]] = None
    """Folder of a model; else a fresh one of this size is timed."""
    cell: Literal["lstm", "gru"] = "lstm"
    """Kind of the recurrent layers of a fresh model."""
    width: int = 512
    """Units of a layer of a fresh model."""
    depth: int = 1
    """Layers of a fresh model."""
    classes: int = 65
    """Symbols of a fresh model."""
    seed: int = 0
    """Of a fresh model's weights, and of the texts."""

    def check(self) -> None:
        """Raises ValueError for a number that is out of range."""
        for name in ("width", "depth", "classes"):
            check_whole("bench", name, getattr(self, name))
        check_seed("bench", self.seed)


def run(options: Bench) -> None:
    """Checks that all draw the same, times them, and prints a table.

    Raises:
        ValueError: An option is out of range, or the model cannot be compiled.
        OSError: There is no such folder.
        RuntimeError: What is drawn differs more often than rounding explains.
    """
    options.check()
    model = _model(options)
    found = explain(model)
    if found.program is None:
        raise ValueError(f"bench: the model must be compiled to be timed; {found.reason}")
    print(f"{options.run or 'A fresh model'}: {_described(model)}.")
    threads = f"{found.threads} thread{'s' * (found.threads > 1)}"
    print(f"{found.isa} kernels, {threads}, torch {torch.__version__}.", flush=True)
    with _sampler(model) as sampler:
        timings = [
            compare(
                model, n, _length(model, n), seed=options.seed, temperature=1.0, sampler=sampler
            )
            for n in _BATCHES
        ]
    _print_table(timings, _floors(found))
    print(_agreement(timings))


def _model(options: Bench) -> SequenceModel:
    if options.run is not None:
        model = load(options.run)
        if not isinstance(model, SequenceModel):
            raise ValueError(f"bench: {options.run} must hold a SequenceModel, got {type(model)}")
        return model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return SequenceModel(
            Categorical(options.classes),
            cell=options.cell,
            width=options.width,
            depth=options.depth,
        ).eval()


def _described(model: SequenceModel) -> str:
    rnn, weights = model.rnn, sum(p.numel() for p in model.parameters())
    cell = type(rnn).__name__
    return (
        f"{cell} {rnn.num_layers}x{rnn.hidden_size}, {model.head.classes} symbols, "
        f"{weights:,} weights"
    )


@contextmanager
def _sampler(model: SequenceModel) -> Iterator[Sampler | None]:
    """The model's exported sampler, in a folder that goes away; None without ONNX Runtime."""
    if find_spec("onnxruntime") is None:
        print("onnxruntime is not installed: the exported sampler is not timed.")
        yield None
        return
    from genfast.exporting import export
    from genfast.runtime import Sampler

    with TemporaryDirectory() as folder:
        export(model, Path(folder) / "sampler", step=False)
        yield Sampler(Path(folder) / "sampler")


def _length(model: SequenceModel, n: int) -> int:
    """Symbols of a text so that drawing a batch by plain PyTorch takes some tenths of a second."""
    tokens = torch.zeros(n, 1, dtype=torch.int64)
    with torch.inference_mode():
        model(tokens)
        start = perf_counter()
        for _ in range(4):
            model(tokens)
    return max(_LEAST, min(_MOST, int(4 * _DRAWING / (perf_counter() - start))))


def _floors(found: Explanation) -> dict[int, float]:
    """Microseconds that a site of each batch takes at least; both ceilings measured just now."""
    peak = core.fma_peak(found.isa, found.threads, _CEILING)
    share = max(1, found.site_bytes // found.threads)
    bandwidth = core.read_bandwidth(share, found.threads, _CEILING)
    reading = found.site_bytes / bandwidth
    return {n: 1e6 * max(n * found.multiply_adds / peak, reading) for n in _BATCHES}


def _print_table(timings: list[Timing], floors: dict[int, float]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD,
        title="Microseconds a site of the whole batch; in brackets, times as long as genfast",
        title_justify="left",
        title_style="",
    )
    for name in ("batch", "genfast", "ONNX Runtime", "PyTorch loop", "floor"):
        table.add_column(name, justify="right")
    table.add_column("PyTorch's fastest form")
    for timing in timings:
        table.add_row(*_cells(timing, floors[timing.n]))
    Console(width=100).print(table)


def _cells(timing: Timing, floor: float) -> list[str]:
    def beside(micros: float | None) -> str:
        if micros is None:
            return "not timed"
        return f"{_digits(micros * timing.n)} ({micros / timing.compiled:.1f}x)"

    return [
        str(timing.n),
        _digits(timing.compiled * timing.n),
        beside(timing.exported),
        beside(timing.plain),
        _digits(floor),
        timing.form,
    ]


def _digits(micros: float) -> str:
    return f"{micros:,.0f}" if micros >= 100 else f"{micros:.1f}"


def _agreement(timings: list[Timing]) -> str:
    sites, differing, others, texts = (
        sum(getattr(t, name) for t in timings)
        for name in ("sites", "differing", "other_texts", "n")
    )
    onnx = "" if timings[0].exported is None else f", ONNX Runtime {others} of {texts} texts"
    return (
        f"Before timing all drew from the same numbers: PyTorch drew {differing} of {sites:,} "
        f"symbols otherwise{onnx}."
    )
