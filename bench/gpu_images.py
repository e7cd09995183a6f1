"""Rivals that draw images on a GPU, and the passes that are the yardstick: all of them captured.

    a pass    the network over a batch of images, in every form of `image_forwards`
    naive     the network again for every site: one site, its draw with it, is a CUDA graph
    cached    `CachedDrawer`, every feature once: a whole image is a CUDA graph

Whatever the host does between kernels is gone then, and kernels alone are compared.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench import gpu
from bench.cached_torch import CachedDrawer
from bench.image_forwards import Forward
from bench.image_task import CACHED, FORWARD, NAIVE, Contender, ImageTask, drawn
from genfast import PixelCNN
from genfast.program import Program

#: Sites that the naive draw really makes; its time is scaled to all.
NAIVE_SITES = 8


def pass_over(form: str, forward: Forward, encoded: Tensor, graph: bool) -> Contender:
    """One pass of the network over a batch."""

    @torch.inference_mode()
    def run() -> Tensor:
        return forward(encoded)

    if not graph:
        return Contender(FORWARD, form, 1, run)
    return Contender(FORWARD, f"{form}, a graph", 1, gpu.captured(run, encoded.device))


class Naive:
    """The whole network for each site, one site a call; which one is counted on the device.

    Args:
        model: Encodes images; on the device.
        forward: A form of the pass.
        uniforms: float32 (N, sites, channels).
    """

    def __init__(self, model: PixelCNN, forward: Forward, uniforms: Tensor) -> None:
        self._model, self._forward = model, forward
        n, device = len(uniforms), uniforms.device
        self._uniforms = uniforms.flatten(1).T.contiguous()
        self._x = torch.zeros(n, *model.shape, dtype=torch.int64, device=device)
        # Values in the order of draws: pixel by pixel, the channels of each beside each other.
        self.values = torch.zeros(n, self._uniforms.shape[0], dtype=torch.int64, device=device)
        self._draw = torch.zeros(1, dtype=torch.int64, device=device)

    @torch.inference_mode()
    def one(self) -> None:
        """The next draw."""
        scores = self._forward(self._model.encode(self._x)).flatten(1, 3)
        here = scores.index_select(1, self._draw)[:, 0]
        uniform = self._uniforms.index_select(0, self._draw)[0]
        self.values.index_copy_(1, self._draw, drawn(here, uniform)[:, None])
        channels, rows, columns = self._model.shape
        self._x.copy_(self.values.view(-1, rows, columns, channels).permute(0, 3, 1, 2))
        self._draw += 1

    @torch.inference_mode()
    def begin(self) -> None:
        """Back to the first draw, of an empty image."""
        for tensor in (self._x, self.values, self._draw):
            tensor.zero_()


def naive_draw(
    model: PixelCNN, passing: tuple[str, Forward], uniforms: Tensor, sites: int = NAIVE_SITES
) -> Contender:
    """As every tutorial draws, but captured: a few sites, scaled to all."""
    form, forward = passing
    naive = Naive(model, forward, uniforms)
    made = min(sites * uniforms.shape[2], uniforms[0].numel())
    one = gpu.captured(naive.one, uniforms.device)

    def draw() -> Tensor:
        naive.begin()
        for _ in range(made):
            one()
        return naive.values[:, :made]

    return Contender(NAIVE, form, 1, draw, uniforms[0].numel() / made)


def cached_draw(
    program: Program, task: ImageTask, uniforms: Tensor, dtype: torch.dtype, compiled: bool
) -> Contender:
    """Every feature once, a whole batch of images one graph."""
    drawer = CachedDrawer(program, task.batch, compiled, uniforms.device, dtype)
    form = f"{'compiled' if compiled else 'eager'}, an image a graph"
    return Contender(CACHED, form, 1, gpu.captured(lambda: drawer.draw(uniforms), uniforms.device))
