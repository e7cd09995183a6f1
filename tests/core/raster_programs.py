"""Image networks small enough to read: their program for the core, and plain float64 scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.int64]
ABOVE = [(-1, -1), (-1, 0), (-1, 1)]
BESIDE = [(0, -1), (0, 0)]


def shifted(grid: Any, dy: int, dx: int, border: Any) -> Any:
    """(N, H, W, ...): at each site the value dy rows and dx columns away, or the border."""
    h, w = grid.shape[1:3]
    moved = np.full_like(grid, border)
    to_y, to_x = slice(max(0, -dy), h - max(0, dy)), slice(max(0, -dx), w - max(0, dx))
    from_y, from_x = slice(max(0, dy), h - max(0, -dy)), slice(max(0, dx), w - max(0, -dx))
    if to_y.start < to_y.stop and to_x.start < to_x.stop:
        moved[:, to_y, to_x] = grid[:, from_y, from_x]
    return moved


class Image:
    """Taps of symbols, layers of row code, residual blocks, and a draw a channel.

        row     v0 = gate(T x{3 taps above}),  v1 = gate(W v0{9 taps, of this row all}) ...
                a.row = T x{taps above} + F features,  n.row = W m{3 taps above}
        site    a = a.row + T x[0,-1] + U v,  m = relu(W relu(a)),
                n = relu(n.row + W m{2 taps}),  a + W n,  scores, x0, scores1(x0), x1

    Args:
        core: the compiled core.
        shape: rows and columns.
        width: of every layer.
        depth: residual blocks.
        vertical: layers of row code, each of which looks one column further ahead.
        channels: draws a site.
        features: width of an input known ahead of the row, or 0.
        reach: how far the taps of the symbols look, up, left and right.
    """

    def __init__(
        self,
        core: Any,
        shape: tuple[int, int],
        width: int,
        *,
        depth: int = 2,
        vertical: int = 0,
        channels: int = 1,
        features: int = 0,
        levels: int = 3,
        reach: int = 1,
        seed: int = 0,
    ) -> None:
        self.core, self.shape, self.width, self.levels = core, shape, width, levels
        self.depth, self.vertical, self.channels = depth, vertical, channels
        self.features, self.rng = features, np.random.default_rng(seed)
        self.above = [(-dy, dx) for dy in range(reach, 0, -1) for dx in range(-reach, reach + 1)]
        table, mat = self._table, self._weight
        self.tables = {tap: table() for tap in [*self.above, (0, -1)]}
        self.first = table(2 * width)
        self.layers = [
            {tap: mat(2 * width, width) for tap in [*ABOVE, (0, -1), (0, 0), (0, 1)]}
            for _ in range(max(0, vertical - 1))
        ]
        self.feed, self.given = mat(width, width), mat(width, max(1, features))
        self.blocks = [
            (
                mat(width, width),
                {tap: mat(width, width) for tap in [*ABOVE, *BESIDE]},
                mat(width, width),
            )
            for _ in range(depth)
        ]
        self.readouts = [3 * mat(levels, width) for _ in range(channels)]
        self.couple = 2 * self._table(levels)
        self.biases = [self._weight(n) for n in (width, 2 * width, width, levels)]

    def _weight(self, *shape: int) -> NDArray[np.float32]:
        scale = np.float32(2 * shape[-1] ** -0.5)
        return self.rng.uniform(-1, 1, shape).astype(np.float32) * scale

    def _table(self, width: int | None = None) -> NDArray[np.float32]:
        shape = self.levels + 1, width or self.width
        return self.rng.uniform(-1, 1, shape).astype(np.float32)

    def program(self, *, zero_bias_relu: bool = False) -> Any:
        """As the core takes it. zero_bias_relu: each relu has a bias of zeros, and is not fused."""
        p = self.core.Program("raster", *self.shape)
        zeros = np.zeros(self.width, np.float32) if zero_bias_relu else None
        names = iter(range(1000))

        def add(phase: str, epilogue: str, bias: Any, terms: Any, width: int = self.width) -> int:
            buffer = p.buffer(f"b{next(names)}", width, "f32", 0)
            p.sum(phase, [buffer], epilogue, bias, terms, [])
            return int(buffer)

        def mats(weights: Any, buffer: int, taps: Any) -> list[Any]:
            return [("mat", weights[tap], (buffer, *tap)) for tap in taps]

        drawn = [p.buffer(f"x{c}", 1, "sym", self.levels) for c in range(self.channels)]
        (b_a, b_v, b_n, b_s), x = self.biases, drawn[-1]
        looks = [("look", self.tables[tap], (x, *tap)) for tap in self.above]
        if self.features:
            self.input = p.buffer("features", self.features, "f32", 0)
            p.input(self.input, "row")
            looks.append(("mat", self.given, (self.input, 0, 0)))
        a_row = add("row", "none", b_a, looks)
        terms = [("add", None, (a_row, 0, 0)), ("look", self.tables[0, -1], (x, 0, -1))]
        if self.vertical:
            v = add("row", "gate", b_v, [("look", self.first, (x, -1, 1))])
            for layer in self.layers:
                v = add("row", "gate", b_v, mats(layer, v, layer))
            terms.append(("mat", self.feed, (v, 0, 0)))
        a = add("site", "none", None, terms)
        for w0, w1, w2 in self.blocks:
            act = add("site", "relu", zeros, [("add", None, (a, 0, 0))])
            m = add("site", "relu", None, [("mat", w0, (act, 0, 0))])
            n_row = add("row", "none", b_n, mats(w1, m, ABOVE))
            n = add("site", "relu", None, [("add", None, (n_row, 0, 0)), *mats(w1, m, BESIDE)])
            a = add("site", "none", None, [("add", None, (a, 0, 0)), ("mat", w2, (n, 0, 0))])
        act = add("site", "relu", zeros, [("add", None, (a, 0, 0))])
        for c, readout in enumerate(self.readouts):
            terms = [("mat", readout, (act, 0, 0))]
            if c > 0:
                terms.append(("look", self.couple, (drawn[c - 1], 0, 0)))
            scores = add("site", "none", b_s, terms, self.levels)
            p.draw("site", [drawn[c]], "categorical", (scores, 0, 0))
        p.finish()
        return p

    def scores(self, values: Values, features: Any = None) -> NDArray[np.float64]:
        """Scores (N, sites, channels, levels) of every draw given those before it."""
        x = values.reshape(len(values), *self.shape, self.channels)
        x, b = x.astype(np.int64), [bias.astype(np.float64) for bias in self.biases]

        def look(table: Any, tap: tuple[int, int], channel: int = -1) -> Any:
            return table.astype(np.float64)[shifted(x[..., channel], *tap, self.levels)]

        def mats(weights: Any, grid: Any) -> Any:
            return sum(
                shifted(grid, *tap, 0) @ w.T.astype(np.float64) for tap, w in weights.items()
            )

        def gate(z: Any) -> Any:
            return np.tanh(z[..., : self.width]) / (1 + np.exp(-z[..., self.width :]))

        a = b[0] + sum(look(table, tap) for tap, table in self.tables.items())
        if self.features:
            grid = features.astype(np.float64).reshape(len(values), *self.shape, self.features)
            a = a + grid @ self.given.T.astype(np.float64)
        if self.vertical:
            v = gate(b[1] + look(self.first, (-1, 1)))
            for layer in self.layers:
                v = gate(b[1] + mats(layer, v))
            a = a + v @ self.feed.T.astype(np.float64)
        for w0, w1, w2 in self.blocks:
            m = np.maximum(0, np.maximum(0, a) @ w0.T.astype(np.float64))
            a = a + np.maximum(0, b[2] + mats(w1, m)) @ w2.T.astype(np.float64)
        each = [b[3] + np.maximum(0, a) @ readout.T.astype(np.float64) for readout in self.readouts]
        for c in range(1, self.channels):
            each[c] = each[c] + look(self.couple, (0, 0), c - 1)
        return np.stack(each, -2).reshape(len(values), -1, self.channels, self.levels)


class Drawing:
    """A session over an image network, with arrays of its own bound to it."""

    def __init__(
        self, net: Image, n: int, isa: str = "", features: Any = None, program: Any = None
    ) -> None:
        sites, d = net.shape[0] * net.shape[1], net.channels
        words = np.random.default_rng(7).integers(2**24, size=(17, sites, d))[:n]
        self.net, self.sites = net, sites
        self.uniforms = (words * 2.0**-24).astype(np.float32)
        self.values = np.full((n, sites, d), -9, np.int64)
        self.forced = np.full((n, sites, d), -1, np.int64)
        self.scores = np.zeros((n, sites, d, net.levels), np.float32)
        self.log_probs = np.zeros((n, sites, d), np.float32)
        program = program or net.program()
        self.inputs = {} if features is None else {net.input: features[:n].copy()}
        self.session = net.core.Session(net.core.Executor(program, isa), n)
        self.bind()

    def bind(self) -> None:
        arrays = self.uniforms, self.values, self.forced, self.scores, self.log_probs
        self.session.bind(*arrays, inputs=self.inputs)

    def advance(self, threads: int = 1, chunks: Any = None) -> Drawing:
        """All sites at once, or as many at a time as `chunks` says, over and over."""
        sizes = iter(()) if chunks is None else iter(chunks)
        while (at := self.session.position) < self.sites:
            count = min(next(sizes, self.sites), self.sites - at)
            assert self.session.advance(at, count, threads) == count
        return self

    def same(self, other: Drawing) -> bool:
        """Whether both drew the same to the bit, as far as rows are common."""
        n = min(len(self.values), len(other.values))
        return all(
            np.array_equal(getattr(self, name)[:n], getattr(other, name)[:n])
            for name in ("values", "scores", "log_probs")
        )
