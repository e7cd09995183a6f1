"""Drawing images: whole ones, under conditions, and completed from pixels that are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from genfast.arguments import RowOptions, check_count
from genfast.compiled import Compiled, choose_backend
from genfast.conditions import Conditions, check_conditions
from genfast.heads import Categorical
from genfast.pixels import Layout, check_images, checked_given
from genfast.random import fill_uniforms
from genfast.reference import draw_pixels

__all__ = ["RasterRequest", "backend_scores", "sample"]

# Rows drawn at a time: as many as fit into these bytes, but never fewer than this.
_BYTES, _FEWEST = 512 * 2**20, 64


@dataclass(frozen=True)
class RasterRequest:
    """What a draw of images starts from; options are one for all rows or a tensor (N,).

    Args:
        seed: 0 <= seed < 2**63; None takes 63 bits from torch's generator.
        index: Row i gets `index + i`; int64 (N,) is used as it is.
        classes: int64 (N,) labels, for a model made with `classes`.
        vector: float32 (N, V), for a model made with `vector`.
        features: float32 (N, F, H, W), for a model made with `features`.
        given: An image int64 (N, C, H, W) and a mask bool (N, 1, H, W) or (N, C, H, W), True where
            the image is taken as it is. A drawn site sees the given ones before it in raster order,
            none behind it. A head of whole pixels takes whole pixels only.
        temperature: Divides the scores; 0 draws the best level, the lowest of equals.
        top_k: Keeps the k best levels; None or 0 for off.
        top_p: Keeps the best levels up to this mass; None or 1 for off.
        backend: "auto", "cpu", "cuda" or "reference".
    """

    seed: int | Tensor | None = None
    index: int | Tensor = 0
    classes: Tensor | None = None
    vector: Tensor | None = None
    features: Tensor | None = None
    given: tuple[Tensor, Tensor] | None = None
    temperature: float | Tensor = 1.0
    top_k: int | Tensor | None = None
    top_p: float | Tensor | None = None
    backend: str = "auto"

    def options(self, name: str, n: int) -> RowOptions:
        """Seed, index and what bends the draw, of every row; `name` begins errors."""
        return RowOptions.of(
            name,
            n,
            seed=self.seed,
            index=self.index,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
        )

    def conditions(self, name: str, model: Any, n: int) -> Conditions:
        """Label, vector and features of every row, checked."""
        return check_conditions(name, model, n, self.classes, self.vector, self.features)

    def forced(self, name: str, model: Any, n: int) -> Int64[Tensor, "n sites c"] | None:
        """Levels that are given, -1 where one is to be drawn; None when nothing is given."""
        return None if self.given is None else checked_given(f"{name}: given", model, n, self.given)


class _Rows(NamedTuple):
    """Rows that are drawn together, on the CPU but for the conditions."""

    options: RowOptions
    conditions: Conditions
    forced: Tensor | None

    def cut(self, rows: slice) -> _Rows:
        every = torch.arange(len(self.options.seed))
        forced = None if self.forced is None else self.forced[rows].contiguous()
        return _Rows(self.options.select(every[rows]), self.conditions.rows(rows), forced)


def sample(model: Any, n: int, request: RasterRequest) -> Int64[Tensor, "n c h w"]:
    """Draws `n` images.

    Row i is what `n=1, index=index + i` draws, to the bit on one backend. Given levels own their
    draws and leave them unused, so an image completed under the seed that drew it is that image.

    A batch is drawn at once up to 64 images, and beyond that as many together as take 512 MiB of
    scratch, uniforms and values; where it is cut changes nothing.

    Args:
        model: A model with `shape`, `levels`, a head, `forward`, and for the compiled backend a
            program. It draws as in evaluation, and `training` stays as it was.
        n: Images; 0 gives a tensor of no rows.
        request: Seed, conditions and options.

    Returns:
        int64 (N, C, H, W) in [0, levels), on the model's device.

    Raises:
        ValueError: An argument is wrong; the message names it, what was expected and what came.
        FloatingPointError: A weight or a score is not finite, named with its place.
    """
    n = check_count("sample: n", n)
    layout = Layout.of(model)
    every = _Rows(
        request.options("sample", n),
        request.conditions("sample", model, n),
        request.forced("sample", model, n),
    )
    _check_bends(model.head, every.options)
    served, _ = choose_backend(model, request.backend)
    if served is None:
        _check_weights(model)
    device = next(model.parameters()).device
    values = torch.empty(n, layout.sites, layout.channels, dtype=torch.int64, device=device)
    together = _together(served, layout, n)
    for first in range(0, n, together):
        rows = slice(first, min(first + together, n))
        try:
            values[rows] = _draw(model, served, layout, every.cut(rows))
        except FloatingPointError as error:
            if first == 0:
                raise
            raise FloatingPointError(f"{error}, rows counted from {first}") from error
    return layout.to_images(values)


def backend_scores(
    model: Any, images: Int64[Tensor, "n c h w"], request: RasterRequest
) -> tuple[Float[Tensor, "n sites d p"] | None, str]:
    """Scores that the compiled backend computes when it is led through `images`, and who served.

    Args:
        model: As for `sample`.
        images: int64 (N, C, H, W), at least one.
        request: Its conditions and backend count.

    Returns:
        float32 (N, sites, D, P) on the CPU and "cpu" or "cuda"; or None and "reference", which has
        no others than `forward`'s.

    Raises:
        ValueError: As for `sample`.
    """
    check_images("backend_scores: images", images, model)
    layout, n = Layout.of(model), len(images)
    served, _ = choose_backend(model, request.backend)
    if served is None:
        return None, "reference"
    shape = (n, layout.sites, layout.parts, model.head.parameters)
    scores = torch.empty(shape, device=served.engine.device)
    rows = _Rows(
        RowOptions.of("backend_scores", n, seed=0),
        request.conditions("backend_scores", model, n),
        layout.to_sites(images.cpu()),
    )
    _draw_compiled(served, layout, rows, scores)
    return scores.cpu(), served.engine.backend


def _draw(model: Any, served: Compiled | None, layout: Layout, rows: _Rows) -> Tensor:
    """int64 (N, sites, C)."""
    if served is not None:
        return _draw_compiled(served, layout, rows)
    uniforms = _uniforms(layout, rows.options, torch.device("cpu"))
    return draw_pixels(model, uniforms, rows.forced, rows.options.draw, rows.conditions)


def _draw_compiled(
    served: Compiled, layout: Layout, rows: _Rows, scores: Tensor | None = None
) -> Tensor:
    """int64 (N, sites, C) on the engine's device, by one session for all sites."""
    n, engine = len(rows.options.seed), served.engine
    session = served.session(n)
    session.options(*rows.options.draw)
    shape = (n, layout.sites, layout.channels)
    values = torch.empty(shape, dtype=torch.int64, device=engine.device)
    session.bind(
        uniforms=_uniforms(layout, rows.options, engine.device),
        values=values,
        forced=None if rows.forced is None else rows.forced.to(engine.device),
        scores=scores,
        **_give(served, layout, rows.conditions, session),
    )
    engine.advance(session, 0, layout.sites)
    return values


def _give(served: Compiled, layout: Layout, conditions: Conditions, session: Any) -> dict[str, Any]:
    """Gives the session what is known from the start; what is known row by row is bound."""
    numbers = {buffer.name: number for number, buffer in enumerate(served.program.buffers)}
    arguments = conditions.to(served.engine.device, torch.float32).arguments
    by_site: dict[int, Tensor] = {}
    for given in served.program.inputs:
        number, value = numbers[given.target.name], arguments[given.target.name].detach()
        if given.phase == "start":
            session.input(number, value.cpu().contiguous())
        else:
            by_site[number] = layout.to_sites(value)
    return {"inputs": by_site} if by_site else {}


def _uniforms(
    layout: Layout, options: RowOptions, device: torch.device
) -> Float[Tensor, "n sites draws"]:
    """Those of site t are the draws t*d .. t*d + d - 1 of its image."""
    n = len(options.seed)
    uniforms = torch.empty(n, layout.sites * layout.uniforms, device=device)
    fill_uniforms(options.seed, options.index, torch.zeros(n, dtype=torch.int64), uniforms)
    return uniforms.view(n, layout.sites, layout.uniforms)


def _together(served: Compiled | None, layout: Layout, n: int) -> int:
    """Rows to draw at a time; at least 1."""
    if n <= _FEWEST or served is None:
        return _FEWEST
    # Uniforms, values, forced levels, and what the kernels keep of an image.
    arrays = layout.sites * (4 * layout.uniforms + 16 * layout.channels)
    return max(_FEWEST, _BYTES // (arrays + served.engine.scratch_bytes(served.executor)))


def _check_bends(head: Any, options: RowOptions) -> None:
    """ValueError for top-k or top-p where there are no classes to keep."""
    if isinstance(head, Categorical):
        return
    for name, on in (("top_k", options.top_k > 0), ("top_p", options.top_p < 1)):
        if on.any():
            value = getattr(options, name)[on][0].item()
            raise ValueError(f"sample: {name} must be off for the head {head}, got {value}")


def _check_weights(model: Any) -> None:
    """FloatingPointError for a NaN; the program names others, and -inf may exclude a level."""
    for name, weight in model.named_parameters():
        wrong = weight.detach().isnan()
        if wrong.any():
            place = tuple(int(i) for i in wrong.nonzero()[0])
            raise FloatingPointError(f"sample: weight {name} is nan at {place}")
