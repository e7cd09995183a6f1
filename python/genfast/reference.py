"""The reference backend: the model's own `forward`, rerun for every site on what came before it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from genfast.conditions import Conditions
from genfast.heads import Categorical, DrawOptions
from genfast.pixels import Layout

__all__ = ["Drawable", "ReferenceSession", "draw_pixels", "evaluating"]

# Flipping `training` is seen by every thread that holds the model.
_EVALUATING = threading.RLock()


class Drawable(Protocol):
    """What a model offers to be drawn from: scores of every site, and the head that reads them."""

    head: Categorical

    def __call__(self, tokens: Tensor) -> Tensor: ...


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation behaviour, no gradients, no autocast; `training` of every part is put back."""
    device = next((p.device.type for p in module.parameters()), "cpu")
    with _EVALUATING, torch.no_grad(), torch.autocast(device, enabled=False):
        training = [part for part in module.modules() if part.training]
        try:
            for part in training:
                part.training = False
            yield
        finally:
            for part in training:
                part.training = True


class ReferenceSession:
    """What `_core.Session` does, in plain PyTorch: slow, and obviously right.

    Its state is what was drawn so far; every site runs the network from the start.

    Args:
        model: Gives scores (N, T, classes) of tokens (N, T), site t seeing `tokens[:, :t]` only.
        batch: Rows.
    """

    def __init__(self, model: Any, batch: int) -> None:
        self._model, self._head = model, model.head
        self._device = next(model.parameters()).device
        # What was drawn, with room for at least one symbol more.
        self._tokens = torch.zeros(batch, 16, dtype=torch.int64)
        self._lengths = torch.zeros(batch, dtype=torch.int64)
        self._options = DrawOptions(torch.ones(batch), self._lengths.clone(), torch.ones(batch))
        self._bound: dict[str, Tensor | None] = {}
        self.position = 0

    @property
    def batch(self) -> int:
        return len(self._tokens)

    def options(self, temperature: Tensor, top_k: Tensor, top_p: Tensor) -> None:
        """Sets what bends the draw of every row; copied."""
        self._options = DrawOptions(temperature.clone(), top_k.clone(), top_p.clone())

    def bind(
        self,
        uniforms: Tensor,
        values: Tensor,
        forced: Tensor | None = None,
        scores: Tensor | None = None,
        log_probs: Tensor | None = None,
    ) -> None:
        """Arrays that `advance` reads and fills; shapes as in `_core.Session.bind`."""
        self._bound = {
            "uniforms": uniforms,
            "values": values,
            "forced": forced,
            "scores": scores,
            "log_probs": log_probs,
        }

    def advance(self, first: int, count: int, threads: int) -> int:
        """Draws `count` sites into columns `first ..` of the bound arrays."""
        for column in range(first, first + count):
            self._site(column)
        return count

    def reset(self, rows: Tensor) -> None:
        """These rows begin again."""
        self._tokens[rows], self._lengths[rows] = 0, 0

    def select(self, rows: Tensor) -> None:
        """Keeps these rows of the batch, in this order; bound arrays are released."""
        self._tokens, self._lengths = self._tokens[rows], self._lengths[rows]
        self._options = DrawOptions(*(option[rows] for option in self._options))
        self._bound = {}

    def state(self) -> tuple[Tensor, Tensor, int]:
        """A copy of what was drawn so far."""
        return self._tokens.clone(), self._lengths.clone(), self.position

    def restore(self, state: tuple[Tensor, Tensor, int]) -> None:
        """Goes back to a `state`."""
        tokens, lengths, self.position = state
        self._tokens, self._lengths = tokens.clone(), lengths.clone()

    def _site(self, column: int) -> None:
        """One site of every row; nothing of the session changes before it is drawn."""
        scores = self._scores()
        uniforms = self._bound["uniforms"]
        assert uniforms is not None
        drawn = self._head.draw(scores, uniforms[:, column], self._options, self.position)
        forced = self._bound["forced"]
        if forced is not None:
            given = forced[:, column, 0]
            drawn = torch.where(given >= 0, given, drawn)
        results = {"values": drawn, "scores": scores}
        if self._bound["log_probs"] is not None:
            results["log_probs"] = self._head.log_prob(scores, drawn)
        for name, result in results.items():
            array = self._bound[name]
            if array is not None:
                array[:, column] = result.reshape(array[:, column].shape)
        self._append(drawn)

    def _scores(self) -> Tensor:
        """float32 (N, classes): scores of every row's next site."""
        # The network needs a symbol at the site itself, and does not see it.
        prefix = self._tokens[:, : int(self._lengths.max()) + 1]
        with evaluating(self._model):
            scores: Tensor = self._model(prefix.to(self._device))
        if scores.shape != (*prefix.shape, self._head.parameters):
            raise ValueError(
                f"draw: forward must give (N, T, {self._head.parameters}) scores of "
                f"{tuple(prefix.shape)} symbols, got {tuple(scores.shape)}"
            )
        rows = torch.arange(self.batch)
        return scores[rows.to(scores.device), self._lengths.to(scores.device)].float().cpu()

    def _append(self, drawn: Tensor) -> None:
        """Writes the drawn symbols behind every row."""
        self._tokens[torch.arange(self.batch), self._lengths] = drawn
        if int(self._lengths.max()) + 2 > self._tokens.shape[1]:
            self._tokens = nn.functional.pad(self._tokens, (0, self._tokens.shape[1]))
        self._lengths, self.position = self._lengths + 1, self.position + 1


def draw_pixels(
    model: Any,
    uniforms: Tensor,
    forced: Tensor | None,
    options: DrawOptions,
    conditions: Conditions,
) -> Tensor:
    """Draws images by running `forward` for every draw on an image that is 0 from there on.

    Args:
        model: Gives scores (N, H, W, D, P) of images (N, C, H, W), each part of a pixel seeing
            only what is drawn before it.
        uniforms: float32 (N, sites, uniforms a pixel).
        forced: int64 (N, sites, C), values to take in place of a draw, -1 to draw.
        options: Of every row.
        conditions: Of every row, on any device.

    Returns:
        int64 (N, sites, C) on the CPU.

    Raises:
        ValueError: `forward` gives another shape.
        FloatingPointError: Scores that nothing can be drawn from, naming row and site.
    """
    layout = Layout.of(model)
    values = torch.zeros(len(uniforms), layout.sites, layout.channels, dtype=torch.int64)
    for site in range(layout.sites):
        for part in range(layout.parts):
            channels = layout.channels_of(part)
            scores = _pixel_scores(model, layout, values, conditions)[:, site, part]
            own = uniforms[:, site, layout.uniforms_of(part)]
            drawn = model.head.draw(scores, own, options, site).view(len(values), -1)
            if forced is not None:
                given = forced[:, site, channels]
                drawn = torch.where(given >= 0, given, drawn)
            values[:, site, channels] = drawn
    return values


def _pixel_scores(model: Any, layout: Layout, values: Tensor, conditions: Conditions) -> Tensor:
    """float32 (N, sites, D, P) on the CPU: scores of images as they are drawn so far."""
    weight = next(model.parameters())
    given = conditions.to(weight.device, weight.dtype).arguments
    with evaluating(model):
        scores: Tensor = model(layout.to_images(values).to(weight.device), **given)
    wanted = (len(values), layout.rows, layout.columns, layout.parts, model.head.parameters)
    if scores.shape != wanted:
        raise ValueError(
            f"draw: forward must give scores (N, H, W, D, P) of shape {wanted}, "
            f"got {tuple(scores.shape)}"
        )
    return scores.flatten(1, 2).float().cpu()
