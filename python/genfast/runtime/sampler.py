"""Sampler: whole draws by the sampler's graph, site by site by the step graph beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genfast.runtime import symbols
from genfast.runtime.engine import Provider
from genfast.runtime.folder import Exported, read_exported
from genfast.runtime.images import conditions, given_levels, refuse
from genfast.runtime.one_pass import draw_one_pass
from genfast.runtime.opening import OPTIONS, open_graph
from genfast.runtime.rows import DRAW_LIMIT, Prompt, Rows, integer, whole_rows
from genfast.runtime.streaming import image_rows, sites
from genfast.runtime.uniforms import uniforms

__all__ = ["Drawn", "Sampler"]

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """What `Sampler.sample` drew.

    Args:
        values: int64 (N, T), the new sites alone, 0 behind a row's length; or (N, C, H, W) images;
            of one pass float32 (N, *shape), shares of the highest level or real numbers.
        lengths: int64 (N,), new sites of each row, the stop symbol included; of images all pixels;
            of one pass 1.
        seed: The seed that gives these values again; int64 (N,) when every row had its own.
    """

    values: NDArray[Any]
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
        sampler = Sampler("characters")
        drawn = sampler.sample(4, 200, seed=0, temperature=0.8)
        print(sampler.decode(drawn.values[0, : drawn.lengths[0]]))

        print(Sampler("digits").sample(4, seed=0, classes=[3, 1, 4, 1]).values)
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
        graph = self._exported.graph
        if graph not in ("sampler", "uniforms", "one_pass"):
            raise ValueError(f"Sampler: {path} has a {graph} graph; give the sampler's own folder")
        self._engine = (device, providers, threads)
        self._session = open_graph(self._exported, *self._engine)
        self._step: tuple[Exported, Any] | None = None

    @property
    def classes(self) -> int:
        """Symbols of the vocabulary, or levels of a pixel; 0 for real numbers."""
        return self._exported.classes

    @property
    def shape(self) -> tuple[int, ...] | None:
        """(C, H, W) of an image, (D,) of a vector; None for a sampler of sequences."""
        return self._exported.shape

    @property
    def providers(self) -> list[str]:
        """ONNX Runtime's providers that run, the first one first asked."""
        return list(self._session.get_providers())

    def sample(
        self,
        n: int,
        length: int | Any | None = None,
        *,
        seed: int | Any | None = None,
        index: int | Any = 0,
        temperature: float | Any = 1.0,
        prompt: Any | None = None,
        prompt_lengths: Any | None = None,
        top_k: int | Any | None = None,
        top_p: float | Any | None = None,
        stop: int | Any | None = None,
        classes: int | Any | None = None,
        vector: Any | None = None,
        features: Any | None = None,
        given: tuple[Any, Any] | None = None,
        truncation: float | Any | None = None,
    ) -> Drawn:
        """Draws `n` samples; every option is one for all rows, or (N,).

        Sequences take `length`, `prompt`, `prompt_lengths` and `stop`; images `given`, and the
        conditions that the model was made with; samples of one pass `classes` and `truncation`.

        Args:
            n: Samples; 0 gives arrays of no rows.
            length: New sites.
            seed: 0 <= seed < 2**63; None takes 63 bits from the system, and the result has them.
            index: Row i gets `index + i`; an array is used as it is.
            temperature: Divides the scores; 0 draws the best class, the lowest of equals. Of one
                pass it scales the latents.
            prompt: Integers (N, P), what each row begins with.
            prompt_lengths: Symbols of each row of `prompt` that count; all when None.
            top_k: Keeps the k best classes, 0 for off; where it was exported as an input.
            top_p: Keeps the best classes up to this mass, 1 for off; likewise.
            stop: Symbol after which a row ends, -1 for none; the exported one when None. One that
                was not exported is cut off here, after all sites were drawn.
            classes: Labels, one for all or (N,).
            vector: Numbers (N, V).
            features: Numbers (N, F, H, W).
            given: An image (N, C, H, W) and a mask bool (N, 1, H, W) or (N, C, H, W), True where
                the image is taken as it is; of a mixture whole pixels. A pixel sees those before
                it in raster order.
            truncation: Radius of the circle that each pair of latents is drawn in, of one pass.

        Raises:
            ValueError: An argument is wrong; the message names it, what was expected, what came.
        """
        n = integer("n", n)
        options = {"seed": seed, "index": index, "temperature": temperature}
        rows = Rows.of(self._exported, n, **options, top_k=top_k, top_p=top_p)
        told = {"classes": classes, "vector": vector, "features": features}
        ends = {"prompt": prompt, "prompt_lengths": prompt_lengths, "stop": stop}
        if self._exported.latent is not None:
            refuse(self._exported, length=length, **ends, given=given)
            made = draw_one_pass(self._session, self._exported, rows, truncation, told)
            return Drawn(made, np.ones(n, np.int64), rows.drawn_seed)
        refuse(self._exported, truncation=truncation)
        if self._exported.shape is not None:
            refuse(self._exported, length=length, **ends)
            return self._draw_images(n, rows, given, told)
        refuse(self._exported, **told, given=given)
        lengths = whole_rows("length", length, n, DRAW_LIMIT)
        before = Prompt.of(prompt, prompt_lengths, n, self.classes)
        stops = self._stops(stop, n)
        if not lengths.any():
            return Drawn(np.zeros((n, 0), np.int64), lengths, rows.drawn_seed)
        fed = self._feeds(rows, before, lengths)
        values, ends = self._session.run(["values", "lengths"], fed)
        values, lengths = _cut(values, ends[:, 0], stops)
        return Drawn(values, lengths, rows.drawn_seed)

    def _draw_images(self, n: int, rows: Rows, given: Any, told: dict[str, Any]) -> Drawn:
        fed = self._image_feeds(n, rows, given, told)
        channels, height, width = self._exported.shape or (0, 0, 0)
        lengths = np.full(n, height * width)
        if n == 0:
            return Drawn(np.zeros((0, channels, height, width), np.int64), lengths, rows.drawn_seed)
        named = {name: fed[name] for name in self._exported.inputs}
        (values,) = self._session.run(["values"], named)
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
        classes: int | Any | None = None,
        vector: Any | None = None,
        features: Any | None = None,
        given: tuple[Any, Any] | None = None,
    ) -> Iterator[Integers]:
        """Draws `n` samples by the step graph: sequences site by site, images row by row.

        Arguments are as for `sample`.

        Returns:
            An iterator of int64 (N,) without end; or of the H rows of images, int64 (N, C, W).

        Raises:
            OSError: The step graph's folder is missing.
            ValueError: An argument is wrong, or the export has no step graph.
        """
        n = integer("n", n, 1)
        exported, session = self._step_graph()
        options = {"seed": seed, "index": index, "temperature": temperature}
        rows = Rows.of(exported, n, **options, top_k=top_k, top_p=top_p)
        told = {"classes": classes, "vector": vector, "features": features}
        if exported.shape is not None:
            refuse(exported, prompt=prompt, prompt_lengths=prompt_lengths)
            fed = self._image_feeds(n, rows, given, told) | {"uniforms": self._image_uniforms(rows)}
            return image_rows(session, exported, fed)
        refuse(exported, **told, given=given)
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
        columns = {name: getattr(rows, name) for name in ("seed", "index", *OPTIONS)}
        columns |= {"length": lengths, "prompt_length": prompt.lengths}
        fed = {name: array[:, None] for name, array in columns.items()} | {"prompt": prompt.symbols}
        if self._exported.graph == "uniforms":
            total = int((prompt.lengths + lengths).max())
            fed["uniforms"] = uniforms(rows.seed, rows.index, np.zeros_like(rows.seed), total)
        return {name: fed[name] for name in self._exported.inputs}

    def _image_feeds(self, n: int, rows: Rows, given: Any, told: dict[str, Any]) -> dict[str, Any]:
        """All that a graph of images may ask for; uniforms only where it does."""
        columns = {name: getattr(rows, name)[:, None] for name in ("seed", "index", *OPTIONS)}
        fed = columns | conditions(self._exported, n, **told)
        fed["given"] = given_levels(self._exported, n, given)
        if self._exported.graph == "uniforms":
            fed["uniforms"] = self._image_uniforms(rows)
        return fed

    def _image_uniforms(self, rows: Rows) -> NDArray[np.float32]:
        """float32 (N, draws), those of every image, pixel by pixel."""
        _, height, width = self._exported.shape or (0, 0, 0)
        draws = height * width * self._exported.parts * self._exported.draws
        return uniforms(rows.seed, rows.index, np.zeros_like(rows.seed), draws)

    def _step_graph(self) -> tuple[Exported, Any]:
        """The step graph and its session, opened once."""
        if self._step is None:
            name = self._exported.step
            if name is None:
                raise ValueError(f"Sampler: {self._exported.path} has no step graph")
            step = read_exported(self._exported.path.resolve().parent / name)
            same = (step.classes, step.shape) == (self.classes, self.shape)
            if step.graph != "step" or not same:
                raise ValueError(f"Sampler: {step.path} has no step graph of this sampler")
            self._step = step, open_graph(step, *self._engine)
        return self._step


def _cut(values: Integers, lengths: Integers, stops: Integers) -> tuple[Integers, Integers]:
    """Ends each row behind its first stop symbol: 0 after it, its length up to it."""
    columns = np.arange(values.shape[1])
    hits = (values == stops[:, None]) & (columns < lengths[:, None])
    first = np.where(hits.any(1), hits.argmax(1) + 1, lengths)
    return np.where(columns < first[:, None], values, 0), first
