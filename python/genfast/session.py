"""Session: a batch in the middle of being drawn, compiled or by the reference alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from genfast.arguments import RowOptions, check_count, check_rows, check_symbols, check_tokens
from genfast.compiled import choose_backend
from genfast.engines import CpuEngine, Engine
from genfast.random import fill_uniforms
from genfast.reference import ReferenceSession

__all__ = ["Session", "SessionState"]

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class SessionState:
    """A copy of where a session stands; `Session.restore` takes it back."""

    core: Any
    positions: Tensor
    options: RowOptions


class Session:
    """Draws a batch site by site, with the weights that the model has now.

    Uniforms are made for `chunk` sites at a time, in arrays bound once, so memory does not grow.
    Row i draws what `Session(model, 1, index=index + i)` draws, however the work is cut.

    Args:
        model: A model with a head and, for the compiled backend, a program.
        n: Rows, at least 1.
        seed: One for all, or int64 (N,); None takes 63 bits from torch's generator.
        index: Row i gets `index + i`; int64 (N,) is used as it is.
        temperature: One for all, or float (N,); 0 draws the best class.
        top_k: One for all, or int64 (N,); None or 0 for off.
        top_p: One for all, or float (N,); None or 1 for off.
        backend: "auto", "cpu", "cuda" or "reference".
        log_prob: Whether `log_probs` is filled: log-probability of every symbol under the model.
        scores: Whether `scores` is filled: parameters of every site.
        chunk: Sites whose uniforms lie in memory.

    Raises:
        ValueError: An argument is wrong, or the named backend cannot serve.
    """

    def __init__(
        self,
        model: Any,
        n: int,
        *,
        seed: int | Tensor | None = None,
        index: int | Tensor = 0,
        temperature: float | Tensor = 1.0,
        top_k: int | Tensor | None = None,
        top_p: float | Tensor | None = None,
        backend: str = "auto",
        log_prob: bool = False,
        scores: bool = False,
        chunk: int = 256,
    ) -> None:
        n = check_count("Session: n", n, 1)
        if hasattr(model, "levels"):
            raise ValueError(f"Session: model must draw sequences, got {type(model).__name__}")
        self.chunk = check_count("Session: chunk", chunk, 1)
        self._options = RowOptions.of(
            "Session",
            n,
            seed=seed,
            index=index,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
        )
        self._head, self._wants = model.head, (scores, log_prob)
        served, _ = choose_backend(model, backend)
        # The reference's arrays lie on the CPU.
        self._engine: Engine = served.engine if served else CpuEngine()
        self._core: Any = served.session(n) if served else ReferenceSession(model, n)
        #: "cpu", "cuda" or "reference".
        self.backend = served.engine.backend if served else "reference"
        #: Where results are given: the device that the model was on.
        self.device = next(model.parameters()).device
        # Position of the core at which each row began.
        self._begun = torch.zeros(n, dtype=torch.int64)
        #: float32 (N, count) and (N, count, classes) of the last `advance`; None unless asked for.
        self.log_probs: Float[Tensor, "n count"] | None = None
        self.scores: Float[Tensor, "n count classes"] | None = None
        self._bind()

    @property
    def batch(self) -> int:
        """Rows."""
        return len(self._begun)

    @property
    def seed(self) -> Int64[Tensor, " n"]:
        """Seed of every row."""
        return self._options.seed.clone()

    @property
    def positions(self) -> Int64[Tensor, " n"]:
        """Sites finished, of every row since its own start."""
        return int(self._core.position) - self._begun

    def advance(self, count: int, forced: Tensor | None = None) -> Int64[Tensor, "n count"]:
        """Draws `count` sites.

        Interrupted by a signal, the session stays behind the last site that was finished.

        Args:
            count: Sites.
            forced: int64 (N, count) on the CPU, symbols to take in place of a draw, -1 to draw.

        Returns:
            The symbols, forced ones included, on the device that the model was on.

        Raises:
            ValueError: `forced` has a wrong dtype, shape or symbol.
            FloatingPointError: A score is NaN or +inf, or nothing is left to draw; `restore` or
                `reset` every row before going on.
        """
        count = check_count("advance: count", count)
        if forced is not None:
            self._check_forced(forced, count)
        results = {
            name: array.new_empty(self.batch, count, array.shape[2], device=self.device)
            for name, array in self._arrays.items()
        }
        done = 0
        while done < count:
            column = self._fill()
            sites = min(self.chunk - column, count - done)
            here, there = slice(column, column + sites), slice(done, done + sites)
            self._forced[:, here, 0] = -1 if forced is None else forced[:, there]
            self._engine.advance(self._core, column, sites)
            for name, result in results.items():
                result[:, there] = self._arrays[name][:, here]
            done += sites
        self.scores = results.get("scores")
        self.log_probs = results["log_probs"][..., 0] if "log_probs" in results else None
        return results["values"][..., 0]

    def reset(self, rows: Tensor, **options: Any) -> None:
        """These rows begin again, at site 0 of their own.

        Args:
            rows: int64 (M,).
            options: `seed`, `index`, `temperature`, `top_k` or `top_p` of these rows, as for the
                session; what is not named stays. A number for `index` is given to row `rows[0]`,
                the next row gets one more.
        """
        rows = check_rows("reset: rows", rows, self.batch)
        if options:
            changed = RowOptions.of("reset", len(rows), **({"seed": 0} | options))
            self._options.put(rows, changed, set(options))
            self._core.options(*self._options.draw)
        if len(rows) > 0:
            self._core.reset(rows)
        self._begun[rows] = self._core.position
        self._filled = -1

    def select(self, rows: Tensor) -> None:
        """Keeps these rows, int64 (M,), in this order; a row may be repeated."""
        rows = check_rows("select: rows", rows, self.batch)
        check_count("select: number of rows", len(rows), 1)
        self._core.select(rows)
        self._options, self._begun = self._options.select(rows), self._begun[rows]
        self._bind()

    def state(self) -> SessionState:
        """A copy of where the session stands, and of its options."""
        every = torch.arange(self.batch)
        return SessionState(self._core.state(), self.positions, self._options.select(every))

    def restore(self, state: SessionState) -> None:
        """Goes back to a `state` of this session, or of one of the same model and batch."""
        if len(state.positions) != self.batch:
            raise ValueError(
                f"restore: state must have {self.batch} rows, got {len(state.positions)}"
            )
        self._core.restore(state.core)
        self._options = state.options.select(torch.arange(self.batch))
        self._core.options(*self._options.draw)
        self._begun = self._core.position - state.positions
        self._filled = -1

    def _bind(self) -> None:
        """Makes the chunk's arrays, where the engine wants them, and gives them to the core."""
        head, device, sites = self._head, self._engine.device, (self.batch, self.chunk)
        scores, log_prob = self._wants
        self._uniforms = torch.empty(*sites, head.draws, device=device)
        self._forced = torch.full((*sites, head.draws), -1, device=device)
        self._arrays = {"values": torch.empty_like(self._forced)}
        if scores:
            self._arrays["scores"] = torch.empty(*sites, head.parameters, device=device)
        if log_prob:
            self._arrays["log_probs"] = torch.empty_like(self._uniforms)
        self._core.options(*self._options.draw)
        self._core.bind(uniforms=self._uniforms, forced=self._forced, **self._arrays)
        # Position of the core at which column 0 stands, -1 when the uniforms are not made.
        self._filled = -1

    def _fill(self) -> int:
        """Makes uniforms when the chunk is used up; returns the column of the next site."""
        column = int(self._core.position) - self._filled
        if self._filled >= 0 and column < self.chunk:
            return column
        first = self.positions * self._head.draws
        uniforms = self._uniforms.view(self.batch, -1)
        fill_uniforms(self._options.seed, self._options.index, first, uniforms)
        self._filled = int(self._core.position)
        return 0

    def _check_forced(self, forced: Tensor, count: int) -> None:
        check_tokens("advance: forced", forced, _CPU, self.batch, "(N, count)")
        if forced.shape[1] != count:
            raise ValueError(
                f"advance: forced must be int64 (N, count) with count={count}, "
                f"got {tuple(forced.shape)}"
            )
        check_symbols("advance: forced", forced, self._head.classes, -1)
