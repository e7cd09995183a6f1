"""Replay of images: scores, draws and whole images of a backend against the reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from genfast.heads import Categorical, DrawOptions
from genfast.pixels import Layout, check_images
from genfast.random import resolve_seed, uniforms_reference
from genfast.rasters import RasterRequest, backend_scores, sample
from genfast.testing.draws import (
    ReplayReport,
    Sites,
    check_draws,
    check_judged,
    check_scores,
    reference_scores,
)

__all__ = ["ImageReplay", "PixelHead", "replay_images", "replay_images_drawn"]


class PixelHead(Protocol):
    """What a head that is not categorical offers, so that its draws can be replayed."""

    def judge(
        self,
        exact: Float[Tensor, "m p"],
        close: Float[Tensor, "m p"],
        values: Int64[Tensor, "m v"],
        uniforms: Float[Tensor, "m d"],
        options: DrawOptions,
    ) -> tuple[Tensor, Tensor]:
        """Whether the uniforms ask for the values, bool (M,), and the eps of each, float64 (M,).

        Args:
            exact: float64 reference parameters.
            close: The same parameters in float32: their gap alone may widen eps beyond 1e-6.
            values: What was drawn.
            uniforms: The random numbers that a draw owns.
            options: Options of each draw.
        """


def replay_images(
    model: Any,
    n: int = 4,
    *,
    seed: int | Tensor | None = 0,
    backend: str = "cpu",
    whole: bool = True,
    **options: Any,
) -> ReplayReport:
    """Draws images with a backend and checks scores, draws and images against the reference.

    Args:
        model: What is drawn from.
        n: Images, at least 1.
        seed: As for `sample`.
        backend: The backend to check.
        whole: Whether to draw the images with the reference backend, too, and compare: it runs the
            network once a channel of a pixel.
        options: Further fields of `genfast.rasters.RasterRequest`: conditions, `given`, and so on.

    Raises:
        AssertionError: Naming row, pixel and numbers, when a score is off by more than `TOLERANCE`,
            a draw is not what its uniform asks for, or more than 0.1% of the draws were skipped.
    """
    request = RasterRequest(seed=resolve_seed(seed), backend=backend, **options)
    values = sample(model, n, request)
    scores, served = backend_scores(model, values, request)
    report = replay_images_drawn(model, values, request, scores, backend=served)
    if not whole:
        return report
    other = sample(model, n, replace(request, backend="reference"))
    share = float((values == other).flatten(1).all(-1).float().mean())
    return replace(report, equal_samples=share)


def replay_images_drawn(
    model: Any,
    values: Int64[Tensor, "n c h w"],
    request: RasterRequest,
    scores: Float[Tensor, "n sites d p"] | None = None,
    *,
    backend: str = "",
) -> ReplayReport:
    """Checks images that any backend drew, draw by draw, and scores where it gives them.

    Args:
        model: What was drawn from; causal: pixels behind a draw are in `values` already.
        values: int64 (N, C, H, W), what was drawn, and what was given as it is.
        request: What the draw began with; its seed is a number or int64 (N,). Draws whose first
            channel is given are not asked.
        scores: float32 (N, H*W, D, P), the backend's scores of `values`.
        backend: What drew, for the report.

    Raises:
        AssertionError: As for `replay_images`, or when a given level is not in `values`.
        ValueError: `values` or `request` does not fit the model.
    """
    return ImageReplay(model, request).check(values, scores, backend=backend)


class ImageReplay:
    """Replay of what several backends draw from one request.

    What the reference says of a batch is kept, so that of an equal one it is not asked again.

    Args:
        model: What was drawn from; its weights must stay as they are.
        request: What every draw began with; see `replay_images_drawn`.
    """

    def __init__(self, model: Any, request: RasterRequest) -> None:
        self._model, self._request, self._layout = model, request, Layout.of(model)
        #: A batch's levels to the reference's scores of its draws.
        self._scores: dict[bytes, tuple[Tensor, Tensor]] = {}
        #: Those of a batch that was found right to how many of its draws were skipped.
        self._skipped: dict[bytes, int] = {}

    def check(
        self,
        values: Int64[Tensor, "n c h w"],
        scores: Float[Tensor, "n sites d p"] | None = None,
        *,
        backend: str = "",
    ) -> ReplayReport:
        """`replay_images_drawn` of the model and the request.

        Args:
            values: int64 (N, C, H, W), what was drawn, and what was given as it is.
            scores: float32 (N, H*W, D, P), the backend's scores of `values`.
            backend: What drew, for the report.

        Raises:
            AssertionError: As for `replay_images`, or when a given level is not in `values`.
            ValueError: `values` or the request does not fit the model.
        """
        n, layout = len(values), self._layout
        check_images("replay: values", values, self._model, n)
        forced = self._request.forced("replay", self._model, n)
        sites = layout.to_sites(values.cpu())
        if forced is not None and not torch.equal(sites.where(forced >= 0, -1), forced):
            raise AssertionError("replay: values differ from what was given")
        key = sites.numpy().tobytes()
        exact, close = self._reference(key, values)
        error = None
        if scores is not None:
            everywhere = torch.ones(exact.shape[:2], dtype=torch.bool)
            error = check_scores(scores.flatten(1, 2), exact, everywhere, layout.named)
        free = torch.ones_like(sites, dtype=torch.bool) if forced is None else forced < 0
        places = free.view(n, exact.shape[1], -1)[..., 0].nonzero()
        if key not in self._skipped:
            self._skipped[key] = _check_places(
                self._model.head, layout, exact, close, sites, self._request, places
            )
        return ReplayReport(backend, len(places), self._skipped[key], error, None)

    def _reference(self, key: bytes, values: Tensor) -> tuple[Tensor, Tensor]:
        """The reference's scores of every draw in order, float64 and float32 (N, draws, P)."""
        if key not in self._scores:
            exact, close = (
                _draws(self._model, values, self._request, dtype)
                for dtype in (torch.float64, torch.float32)
            )
            self._scores[key] = exact, close
        return self._scores[key]


def _draws(
    model: Any, values: Tensor, request: RasterRequest, dtype: torch.dtype
) -> Float[Tensor, "n draws p"]:
    """The reference's scores of every draw, in order."""
    conditions = request.conditions("replay", model, len(values))
    arguments = conditions.to(torch.device("cpu"), dtype).arguments
    return reference_scores(model, dtype, values.cpu(), **arguments).flatten(1, 3)


def _check_places(
    head: Any,
    layout: Layout,
    exact: Tensor,
    close: Tensor,
    sites: Tensor,
    request: RasterRequest,
    places: Tensor,
) -> int:
    """Asks the draws at `places` (M, 2); returns how many were skipped."""
    n, draws = exact.shape[:2]
    rows, numbers = places.T
    options = request.options("replay", n)
    firsts = torch.zeros(n, dtype=torch.int64)
    uniforms = uniforms_reference(options.seed, options.index, firsts, draws * layout.draws)
    asked = Sites(
        exact[rows, numbers],
        close[rows, numbers],
        sites.view(n, draws, -1)[rows, numbers],
        uniforms.view(n, draws, -1)[rows, numbers],
        options.select(rows).draw,
        places,
        layout.named,
    )
    if not isinstance(head, Categorical):
        return check_judged(head, asked)
    flat = replace(asked, values=asked.values[:, 0], uniforms=asked.uniforms[:, 0])
    return check_draws(flat)
