"""Sampler: whole draws by the sampler's graph, endless ones by the step graph beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genfast.runtime import symbols
from genfast.runtime.engine import Provider, open_session
from genfast.runtime.folder import Exported, read_exported
from genfast.runtime.rows import DRAW_LIMIT, Prompt, Rows, integer, whole_rows
from genfast.runtime.streaming import sites
from genfast.runtime.uniforms import uniforms

__all__ = ["Drawn", "Sampler"]

Integers = NDArray[np.int64]

# What each graph may be given; it names those that it has.
_INPUTS = {
    "sampler": {"seed", "index"},
    "uniforms": {"uniforms"},
    "step": {"symbol", "uniform"},
}
_WHOLE = {"length", "prompt", "prompt_length"}
_OPTIONS = {"temperature", "top_k", "top_p"}


@dataclass(frozen=True)
class Drawn:
    """What `Sampler.sample` drew.

    Args:
        values: int64 (N, T), the new sites alone; 0 behind a row's length.
        lengths: int64 (N,), new sites of each row, the stop symbol included.
        seed: The seed that gives these values again; int64 (N,) when every row had its own.
    """

    values: Integers
    lengths: Integers
    seed: int | Integers


class Sampler:
    """An exported sampler in ONNX Runtime.

    Row i of a draw is what the library draws with the same seed and `index + i`, whatever else is
    drawn beside it.

    Args:
        path: The folder that `genfast.export` wrote, of the sampler or of its `uniforms` variant.
        device: "cpu", or "cuda", which raises unless ONNX Runtime's CUDA provider really runs.
        providers: ONNX Runtime's list of providers, in place of the device's; each must run.
        threads: Of one operator; ONNX Runtime's choice when None.

    Raises:
        ImportError: onnxruntime is not installed.
        OSError: A file is missing or cannot be read.
        ValueError: The folder is no export, model.onnx was changed after export, or a provider
            does not run; one line says what.

    Example:
        sampler = Sampler("digits")
        drawn = sampler.sample(4, 200, seed=0, temperature=0.8)
        print(sampler.decode(drawn.values[0, : drawn.lengths[0]]))
    """

    def __init__(
        self,
        path: str | Path,
        *,
        device: str = "cpu",
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
    ) -> None:
        self._exported = read_exported(path)
        if self._exported.graph == "step":
            raise ValueError(f"Sampler: {path} has a step graph; give the sampler's own folder")
        self._engine = (device, providers, threads)
        self._session = _session(self._exported, *self._engine)
        self._step: tuple[Exported, Any] | None = None

    @property
    def classes(self) -> int:
        """Symbols of the vocabulary."""
        return self._exported.classes

    @property
    def providers(self) -> list[str]:
        """ONNX Runtime's providers that run, the first one first asked."""
        return list(self._session.get_providers())

    def sample(
        self,
        n: int,
        length: int | Any,
        *,
        seed: int | Any | None = None,
        index: int | Any = 0,
        temperature: float | Any = 1.0,
        prompt: Any | None = None,
        prompt_lengths: Any | None = None,
        top_k: int | Any | None = None,
        top_p: float | Any | None = None,
        stop: int | Any | None = None,
    ) -> Drawn:
        """Draws new sites of `n` sequences; every option is one for all rows, or (N,).

        Args:
            n: Sequences; 0 gives arrays of no rows.
            length: New sites.
            seed: 0 <= seed < 2**63; None takes 63 bits from the system, and the result has them.
            index: Row i gets `index + i`; an array is used as it is.
            temperature: Divides the scores; 0 draws the best class, the lowest of equals.
            prompt: Integers (N, P), what each row begins with.
            prompt_lengths: Symbols of each row of `prompt` that count; all when None.
            top_k: Keeps the k best classes, 0 for off; where it was exported as an input.
            top_p: Keeps the best classes up to this mass, 1 for off; likewise.
            stop: Symbol after which a row ends, -1 for none; the exported one when None. One that
                was not exported is cut off here, after all sites were drawn.

        Raises:
            ValueError: An argument is wrong; the message names it, what was expected, what came.
        """
        n = integer("n", n)
        options = {"seed": seed, "index": index, "temperature": temperature}
        rows = Rows.of(self._exported, n, **options, top_k=top_k, top_p=top_p)
        lengths = whole_rows("length", length, n, DRAW_LIMIT)
        before = Prompt.of(prompt, prompt_lengths, n, self.classes)
        stops = self._stops(stop, n)
        if not lengths.any():
            return Drawn(np.zeros((n, 0), np.int64), lengths, rows.drawn_seed)
        fed = self._feeds(rows, before, lengths)
        values, ends = self._session.run(["values", "lengths"], fed)
        values, lengths = _cut(values, ends[:, 0], stops)
        return Drawn(values, lengths, rows.drawn_seed)

    def stream(
        self,
        n: int,
        *,
        seed: int | Any | None = None,
        index: int | Any = 0,
        temperature: float | Any = 1.0,
        prompt: Any | None = None,
        prompt_lengths: Any | None = None,
        top_k: int | Any | None = None,
        top_p: float | Any | None = None,
    ) -> Iterator[Integers]:
        """Draws `n` sequences without end, one site at a time, by the step graph.

        Arguments are as for `sample`.

        Returns:
            An iterator of int64 (N,).

        Raises:
            OSError: The step graph's folder is missing.
            ValueError: An argument is wrong, or the export has no step graph.
        """
        n = integer("n", n, 1)
        exported, session = self._step_graph()
        options = {"seed": seed, "index": index, "temperature": temperature}
        rows = Rows.of(exported, n, **options, top_k=top_k, top_p=top_p)
        before = Prompt.of(prompt, prompt_lengths, n, self.classes)
        return sites(session, exported, rows, before)

    def decode(self, values: Any) -> str:
        """The text of one row of symbols, (T,).

        Raises:
            ValueError: The symbols stand for no text, or `values` is not one row of them.
        """
        return symbols.decode(self._exported.symbols, values)

    def encode(self, text: str) -> Integers:
        """The symbols of a text, int64 (T,).

        Raises:
            ValueError: The symbols stand for no text, or the model does not know a character.
        """
        return symbols.encode(self._exported.symbols, text)

    def _stops(self, stop: Any, n: int) -> Integers:
        """What is left to cut off, -1 for nothing: the graph cuts at the symbol it was given."""
        given = whole_rows("stop", -1 if stop is None else stop, n, self.classes, -1)
        fixed = self._exported.stop
        if stop is not None and fixed is not None and (given != fixed).any():
            raise ValueError(f"Sampler: stop is fixed to {fixed} in this export, got {stop!r}")
        return given

    def _feeds(self, rows: Rows, prompt: Prompt, lengths: Integers) -> dict[str, Any]:
        """What the graph asks for, each a column (N, 1)."""
        columns = {name: getattr(rows, name) for name in ("seed", "index", *_OPTIONS)}
        columns |= {"length": lengths, "prompt_length": prompt.lengths}
        fed = {name: array[:, None] for name, array in columns.items()} | {"prompt": prompt.symbols}
        if self._exported.graph == "uniforms":
            total = int((prompt.lengths + lengths).max())
            fed["uniforms"] = uniforms(rows.seed, rows.index, np.zeros_like(rows.seed), total)
        return {name: fed[name] for name in self._exported.inputs}

    def _step_graph(self) -> tuple[Exported, Any]:
        """The step graph and its session, opened once."""
        if self._step is None:
            name = self._exported.step
            if name is None:
                raise ValueError(f"Sampler: {self._exported.path} has no step graph")
            step = read_exported(self._exported.path.resolve().parent / name)
            if step.graph != "step" or step.classes != self.classes:
                raise ValueError(f"Sampler: {step.path} has no step graph of this sampler")
            self._step = step, _session(step, *self._engine)
        return self._step


def _session(exported: Exported, *engine: Any) -> Any:
    """A session of a graph whose inputs and outputs are those that config.json names."""
    session = open_session(exported.model(), str(exported.model_path), *engine)
    known = _INPUTS[exported.graph] | _OPTIONS
    known |= {name for name, _ in exported.states} if exported.graph == "step" else _WHOLE
    for kind, named, there in (
        ("inputs", exported.inputs, session.get_inputs()),
        ("outputs", exported.outputs, session.get_outputs()),
    ):
        found = sorted(value.name for value in there)
        if found != sorted(named) or (kind == "inputs" and not set(named) <= known):
            raise ValueError(
                f"Sampler: {exported.model_path} has {kind} {found}, config.json says "
                f"{sorted(named)}"
            )
    return session


def _cut(values: Integers, lengths: Integers, stops: Integers) -> tuple[Integers, Integers]:
    """Ends each row behind its first stop symbol: 0 after it, its length up to it."""
    columns = np.arange(values.shape[1])
    hits = (values == stops[:, None]) & (columns < lengths[:, None])
    first = np.where(hits.any(1), hits.argmax(1) + 1, lengths)
    return np.where(columns < first[:, None], values, 0), first
