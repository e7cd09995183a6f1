"""The compiled draw of images beside PyTorch: first the same images, then the time."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from time import perf_counter
from typing import TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from genfast.demo.timing import alternately
from genfast.models import PixelCNN
from genfast.random import uniforms

__all__ = ["DrawTiming", "compare_drawing"]

#: Scores of all pixels of a batch of images.
Forward: TypeAlias = Callable[[Tensor], Tensor]

# Pixels that are drawn naively; the time of the rest is that of as many forward passes more.
_PIXELS = 4
# A form whose first pass takes this many times as long as the fastest one is not tried again.
_HOPELESS = 4.0
# Rounding makes about one draw in a million differ; more than this is an error.
_MOST_DIFFERING = 1e-4


@dataclass(frozen=True)
class DrawTiming:
    """Drawers on the same weights and the same random numbers.

    Attributes:
        n: Images of the batch.
        draws: Values compared, of all images together.
        differing: Values that PyTorch draws differently, given the same ones before.
        compiled: Median seconds of the compiled draw of the batch.
        forward: The same of one forward pass of the batch, in its fastest form.
        form: What that form is.
        naive: The same of drawing with a forward pass a pixel, scaled from `pixels` of them.
        pixels: Pixels that were drawn naively.
    """

    n: int
    draws: int
    differing: int
    compiled: float
    forward: float
    form: str
    naive: float
    pixels: int


def compare_drawing(
    model: PixelCNN, classes: Int64[Tensor, " n"], *, seed: int, temperature: float
) -> DrawTiming:
    """Draws a batch both ways, alternately.

    Args:
        model: Conditional on labels, with a categorical head; on the CPU.
        classes: int64 (N,).
        seed: Of the images.
        temperature: Above 0.

    Raises:
        RuntimeError: They draw different values more often than rounding explains.
    """
    n, sites = len(classes), model.shape[1] * model.shape[2]

    def compiled() -> Tensor:
        return model.sample(n, seed=seed, classes=classes, temperature=temperature, backend="cpu")

    images = compiled()
    numbers = uniforms(seed, n, images[0].numel())
    differing = int((_drawn_again(model, images, classes, numbers, temperature) != images).sum())
    _check_agreement(differing, images.numel())
    form, forward = _fastest_forward(model, images, classes)
    pixels = min(_PIXELS, sites)
    drawers: list[Callable[[], object]] = [
        compiled,
        lambda: forward(images),
        lambda: _draw_naively(forward, images, numbers, temperature, pixels),
    ]
    drawing, passing, pixel_by_pixel = alternately(drawers)
    naive = pixel_by_pixel * sites / pixels
    return DrawTiming(n, images.numel(), differing, drawing, passing, form, naive, pixels)


def _drawn_again(
    model: PixelCNN, images: Tensor, classes: Tensor, numbers: Tensor, temperature: float
) -> Tensor:
    """What plain PyTorch draws at every pixel and channel, given the drawn ones before it."""
    with torch.inference_mode():
        scores = model(images, classes=classes) / temperature  # (N, H, W, C, levels)
    shape = (len(images), *scores.shape[1:4])
    return _draw(scores, numbers.view(shape)).permute(0, 3, 1, 2)


def _draw(
    scores: Float[Tensor, "*sites levels"], numbers: Float[Tensor, "*sites"]
) -> Int64[Tensor, "*sites"]:
    mass = torch.softmax(scores, -1).cumsum(-1)
    edge = numbers[..., None] * mass[..., -1:]
    return torch.searchsorted(mass, edge, right=True)[..., 0]


def _draw_naively(
    forward: Forward, like: Tensor, numbers: Tensor, temperature: float, pixels: int
) -> Int64[Tensor, "n c h w"]:
    """The first pixels as every tutorial draws them: the whole network for each channel."""
    x = torch.zeros_like(like)
    channels, _, columns = x.shape[1:]
    for pixel, channel in product(range(pixels), range(channels)):
        row, column = divmod(pixel, columns)
        scores = forward(x)[:, row, column, channel] / temperature
        x[:, channel, row, column] = _draw(scores, numbers[:, pixel * channels + channel])
    return x


def _fastest_forward(model: PixelCNN, images: Tensor, classes: Tensor) -> tuple[str, Forward]:
    """One pass over a batch by each eager form, and the form that took the shortest."""
    last = deepcopy(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    forms, most = {"NCHW": model, "channels last": last}, torch.get_num_threads()

    def run(form: str, threads: int, x: Tensor) -> Tensor:
        torch.set_num_threads(threads)
        try:
            with torch.inference_mode():
                scores: Tensor = forms[form](x, classes=classes)
        finally:
            torch.set_num_threads(most)
        return scores

    def seconds(choice: tuple[str, int]) -> float:
        start = perf_counter()
        run(*choice, images)
        return perf_counter() - start

    best: dict[tuple[str, int], float] = {}
    for choice in product(forms, sorted({1, most})):
        once = seconds(choice)
        # Where neighbours hold threads up, one pass takes seconds.
        again = once <= _HOPELESS * min(best.values(), default=once)
        best[choice] = min([once, *(seconds(choice) for _ in range(2 if again else 0))])
    form, threads = min(best, key=lambda choice: best[choice])
    said = f"eager, {form}, {threads} thread{'s' * (threads > 1)}"
    return said, lambda x: run(form, threads, x)


def _check_agreement(differing: int, draws: int) -> None:
    if differing > max(2, draws * _MOST_DIFFERING):
        raise RuntimeError(
            f"compare_drawing: the compiled draw must agree with PyTorch, got {differing} other "
            f"values of {draws}"
        )
