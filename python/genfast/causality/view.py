"""How `check_causality` reads a model: values in, scores out, whatever its layout is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from genfast.causality.order import Order
from genfast.models import SequenceModel

__all__ = ["Tape", "View"]

# Values of a batch, all rows together: enough to keep two cores busy, a few hundred MB at most.
_BATCH_SITES, _MOST_ROWS = 8192, 32


class Tape(NamedTuple):
    """Scores that remember what they were made from.

    leaf: what the network sees, a tensor that requires a gradient.
    scores: (N, S, D, P).
    fold: from a gradient of `leaf` to the size of what each value got, (N, S, C).
    """

    leaf: Tensor
    scores: Tensor
    fold: Callable[[Tensor], Tensor]


class View:
    """A copy of a model in eval mode, as a map from values (N, S, C) to scores (N, S, D, P).

    Args:
        model: What is checked; it is not touched.
        shape: (C, H, W), (T,) or (T, C).
        levels: Values are int64 in [0, levels); None for float values.
        conditions: Further arguments of `forward`, a row a sample.
        arrange: Brings what the model gives into (N, H, W, D, P) or (N, T, P).
        dtype: Of the copy; None leaves it as it is.
        least: A batch has so many rows, or more.
    """

    def __init__(
        self,
        model: nn.Module,
        shape: tuple[int, ...],
        levels: int | None,
        conditions: Mapping[str, Tensor],
        arrange: Callable[[Tensor], Tensor] | None,
        dtype: torch.dtype | None,
        least: int = 2,
    ) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        if dtype is not None:
            self.model.to(dtype)
        tensor = [*self.model.parameters(), *self.model.buffers(), torch.empty(0)][0]
        self.device, self.dtype = tensor.device, dtype or tensor.dtype
        self.shape, self.levels, self._arrange = shape, levels, arrange
        self.sites = shape[1:] if len(shape) == 3 else shape[:1]
        self.channels = {1: 1, 2: shape[-1], 3: shape[0]}[len(shape)]
        count = Order(self.sites, self.channels, 1).count
        self.rows = max(least, min(_MOST_ROWS, _BATCH_SITES // count))
        self.conditions = {name: self._fitted(rows) for name, rows in conditions.items()}

    def values(self, generator: torch.Generator) -> Shaped[Tensor, "n s c"]:
        """Random values of a batch."""
        shape = (self.rows, Order(self.sites, self.channels, 1).count, self.channels)
        if self.levels is None:
            return torch.randn(shape, generator=generator, dtype=self.dtype).to(self.device)
        return torch.randint(self.levels, shape, generator=generator).to(self.device)

    def others(
        self, values: Shaped[Tensor, "*any"], generator: torch.Generator
    ) -> Shaped[Tensor, "*any"]:
        """For every value another one."""
        if self.levels is None:
            step = torch.rand(values.shape, generator=generator, dtype=values.dtype)
            return values + 0.5 + step.to(values.device)
        shift = torch.randint(1, self.levels, values.shape, generator=generator)
        return (values + shift.to(values.device)) % self.levels

    @torch.no_grad()
    def scores(self, values: Shaped[Tensor, "n s c"]) -> Float[Tensor, "n s d p"]:
        """Scores of a batch, through `forward`."""
        return self._sited(self.model(self._input(values), **self.conditions))

    def tape(self, values: Shaped[Tensor, "n s c"]) -> Tape | None:
        """Scores with the way back to what the network sees; None where it sees integers."""
        x = self._input(values)
        if self.levels is None:
            leaf = x.requires_grad_()
            scores = self.model(leaf, **self.conditions)
            return Tape(leaf, self._sited(scores), self._valued)
        if hasattr(self.model, "encode") and hasattr(self.model, "network"):
            return self._encoded(x)
        if type(self.model).forward is SequenceModel.forward:
            return self._embedded(x)
        return None

    def _encoded(self, x: Tensor) -> Tape:
        """PixelCNN: the network behind its input layer, (N, C * E, H, W)."""
        model: Any = self.model
        leaf = model.encode(x).detach().requires_grad_()
        scores = self._sited(model.network(leaf, **self.conditions))
        return Tape(
            leaf,
            scores,
            lambda g: self._valued(g.abs().reshape(len(g), self.channels, -1, *self.sites).sum(2)),
        )

    def _embedded(self, x: Tensor) -> Tape:
        """SequenceModel: every token gets a row of its own behind those of the embedding, so that
        the gradient says which token was looked up, wherever the model shifts it to."""
        model: Any = self.model
        table = model.embed.weight.detach()
        leaf = table[x].requires_grad_()
        numbers = len(table) + torch.arange(x.numel(), device=x.device).reshape(x.shape)
        weights = {"embed.weight": torch.cat([table, leaf.flatten(0, 1)])}
        scores = self._sited(torch.func.functional_call(model, weights, (numbers,)))
        return Tape(leaf, scores, lambda g: g.abs().sum(-1, keepdim=True))

    def _input(self, values: Tensor) -> Tensor:
        """Values (N, S, C) as the model takes them."""
        if len(self.shape) == 3:
            return values.transpose(1, 2).reshape(len(values), *self.shape)
        return values.reshape(len(values), *self.shape).clone()

    def _valued(self, grad: Tensor) -> Tensor:
        """The way back, of a gradient."""
        if len(self.shape) == 3:
            return grad.flatten(2).transpose(1, 2)
        return grad.reshape(len(grad), -1, self.channels)

    def _sited(self, scores: Tensor) -> Tensor:
        """What the model gives as (N, S, D, P), or ValueError."""
        scores = scores if self._arrange is None else self._arrange(scores)
        axes = "(N, H, W, D, P)" if len(self.sites) == 2 else "(N, T, P)"
        shaped = scores.ndim == axes.count(",") + 1
        if not shaped or scores.shape[: 1 + len(self.sites)] != (self.rows, *self.sites):
            raise ValueError(
                f"check_causality: the model must give scores {axes} of {(self.rows, *self.sites)} "
                f"sites, got {tuple(scores.shape)}; `arrange` may bring them into this order"
            )
        if scores.isnan().any():
            raise FloatingPointError("check_causality: the model gives scores that are NaN")
        draws = scores.shape[-2] if len(self.sites) == 2 else 1
        if draws not in (1, self.channels):
            raise ValueError(
                f"check_causality: a site has 1 or {self.channels} draws (D), got {draws}"
            )
        return scores.reshape(self.rows, -1, draws, scores.shape[-1])

    def _fitted(self, rows: Tensor) -> Tensor:
        """A condition, repeated to as many rows as a batch has."""
        rows = rows.to(self.device, self.dtype if rows.is_floating_point() else rows.dtype)
        return rows[torch.arange(self.rows, device=self.device) % len(rows)]
