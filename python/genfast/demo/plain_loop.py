"""The rival: drawing from a `SequenceModel` as one would by hand in PyTorch, state kept."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from time import perf_counter
from typing import TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from genfast.models import SequenceModel

State: TypeAlias = tuple[Tensor, Tensor] | None
Step: TypeAlias = Callable[[Tensor, State], tuple[Tensor, tuple[Tensor, Tensor]]]


class PlainLoop:
    """A one-layer LSTM stepped symbol by symbol in inference mode, in its fastest form.

    Two forms are tried on one thread and on all: `nn.LSTM` on windows of one symbol, and the same
    weights in `torch.lstm_cell`.

    Args:
        model: An LSTM of depth 1 with a learnt start; its weights are used as they lie there.
        n: Texts drawn side by side.
        temperature: Above 0; divides the scores.
    """

    def __init__(self, model: SequenceModel, n: int, temperature: float) -> None:
        if not isinstance(model.rnn, torch.nn.LSTM) or model.rnn.num_layers != 1:
            raise ValueError(f"PlainLoop: model must have one layer of LSTM, got {model.rnn}")
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
        name = "nn.LSTM" if self._step == self._module_step else "torch.lstm_cell"
        return f"{name} on {self.threads} thread{'s' * (self.threads > 1)}"

    def _draw(self, uniforms: Tensor, given: Tensor | None) -> Tensor:
        model, drawn = self.model, torch.empty(uniforms.shape, dtype=torch.int64)
        symbol = torch.full((self.n,), model.head.classes)
        state: State = None
        for t in range(uniforms.shape[1]):
            features, state = self._step(model.embed(symbol), state)
            mass = torch.softmax(model.readout(features) / self.temperature, -1).cumsum(-1)
            edge = uniforms[:, t, None] * mass[:, -1:]
            drawn[:, t] = torch.searchsorted(mass, edge, right=True)[:, 0]
            symbol = (drawn if given is None else given)[:, t]
        return drawn

    def _module_step(self, x: Tensor, state: State) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        features, state = self.model.rnn(x[:, None], state)
        return features[:, 0], state

    def _cell_step(self, x: Tensor, state: State) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        rnn = self.model.rnn
        if state is None:
            state = (x.new_zeros(self.n, rnn.hidden_size), x.new_zeros(self.n, rnn.hidden_size))
        w_ih, w_hh, b_ih, b_hh = rnn.all_weights[0]
        h, c = torch.lstm_cell(x, state, w_ih, w_hh, b_ih, b_hh)
        return h, (h, c)
