"""The rival: drawing from a `SequenceModel` as one would by hand in PyTorch, state kept."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from time import perf_counter
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from genfast.models import SequenceModel

#: What the network carries from site to site; None before the first.
State: TypeAlias = Any
Step: TypeAlias = Callable[[Tensor, State], tuple[Tensor, State]]


class PlainLoop:
    """A recurrent network stepped symbol by symbol in inference mode, in its fastest form.

    Two forms are tried on one thread and on all: `nn.LSTM` or `nn.GRU` on windows of one symbol,
    and the same weights in `torch.lstm_cell` or `torch.gru_cell`, layer by layer.

    Args:
        model: Its weights are used as they lie there.
        n: Texts drawn side by side.
        temperature: Above 0; divides the scores.
    """

    def __init__(self, model: SequenceModel, n: int, temperature: float) -> None:
        self.model, self.n, self.temperature = model, n, temperature
        self._most = torch.get_num_threads()
        self._step: Step = self._module_step
        self.threads = self._most

    def draw(
        self, uniforms: Float[Tensor, "n t"], given: Int64[Tensor, "n t"] | None = None
    ) -> Int64[Tensor, "n t"]:
        """One symbol for every uniform.

        Args:
            uniforms: float32 (N, T).
            given: The text that is fed back, in place of the symbols drawn here.

        Returns:
            int64 (N, T).
        """
        torch.set_num_threads(self.threads)
        try:
            with torch.inference_mode():
                return self._draw(uniforms, given)
        finally:
            torch.set_num_threads(self._most)

    def tune(self, uniforms: Float[Tensor, "n t"]) -> None:
        """Keeps the form and the number of threads that draw these fastest, each warmed up."""
        seconds = {}
        steps: tuple[Step, ...] = (self._module_step, self._cell_step)
        for step, threads in product(steps, sorted({1, self._most})):
            self._step, self.threads = step, threads
            self.draw(uniforms)
            start = perf_counter()
            self.draw(uniforms)
            seconds[step, threads] = perf_counter() - start
        self._step, self.threads = min(seconds, key=lambda choice: seconds[choice])

    @property
    def form(self) -> str:
        """What was chosen, in words."""
        names = ("nn.LSTM", "torch.lstm_cell") if self._is_lstm else ("nn.GRU", "torch.gru_cell")
        name = names[self._step != self._module_step]
        return f"{name} on {self.threads} thread{'s' * (self.threads > 1)}"

    @property
    def _is_lstm(self) -> bool:
        return isinstance(self.model.rnn, torch.nn.LSTM)

    def _draw(self, uniforms: Tensor, given: Tensor | None) -> Tensor:
        model, drawn = self.model, torch.empty(uniforms.shape, dtype=torch.int64)
        x, state = self._first(), None
        for t in range(uniforms.shape[1]):
            features, state = self._step(x, state)
            mass = torch.softmax(model.readout(features) / self.temperature, -1).cumsum(-1)
            edge = uniforms[:, t, None] * mass[:, -1:]
            drawn[:, t] = torch.searchsorted(mass, edge, right=True)[:, 0]
            x = model.embed((drawn if given is None else given)[:, t])
        return drawn

    def _first(self) -> Tensor:
        """What the first site sees, (N, E)."""
        model, start = self.model, self.model.start
        if start == "zeros":
            return model.embed.weight.new_zeros(self.n, model.embed.embedding_dim)
        symbol = model.head.classes if start == "learnt" else int(start)
        x: Tensor = model.embed(torch.full((self.n,), symbol))
        return x

    def _module_step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        features, state = self.model.rnn(x[:, None], state)
        return features[:, 0], state

    def _cell_step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The state is one entry a layer: h, or (h, c)."""
        rnn = self.model.rnn
        if state is None:
            zeros = x.new_zeros(self.n, rnn.hidden_size)
            state = [(zeros, zeros) if self._is_lstm else zeros] * rnn.num_layers
        after: State = []
        for before, weights in zip(state, rnn.all_weights, strict=True):
            if self._is_lstm:
                after.append(torch.lstm_cell(x, before, *weights))
                x = after[-1][0]
            else:
                x = torch.gru_cell(x, before, *weights)
                after.append(x)
        return x, after
