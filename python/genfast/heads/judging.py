"""Replay of a logistic mixture: whether uniforms ask for the pixel that a backend drew.

Which component was drawn nobody tells, so every one that the first uniform may choose is tried; a
pixel is right when in one of them each channel's uniform lies in the interval of its level:

    u in [1 - F(x + 1/2), 1 - F(x - 1/2)]        F the channel's logistic, in that component and
                                                 given the levels before; 0 or 1 at the outer edges

Intervals are widened in two ways, both measured from the reference alone. In uniforms by
`eps = 1e-6 + 8 x (gap between the float32 and the float64 CDF)`. In levels, because float32 places
a narrow logistic only so well, by 8 times the error of its location.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from genfast.heads.categorical import running_sum, tempered

if TYPE_CHECKING:
    from genfast.heads.logistic_mixture import LogisticMixture

__all__ = ["judge"]

# The narrowest widening of an interval, and how many times the reference's own float32 error.
_LEAST_EPS, _GAPS = 1e-6, 8.0
# A location known to this part of a level tells levels apart.
_MOST_SLACK = 2.0**-8
# At temperature 0 a location known to this part of a level tells all but its neighbours apart.
_MOST_SLACK_STILL = 0.5


def judge(
    head: LogisticMixture,
    exact: Float[Tensor, "m parameters"],
    close: Float[Tensor, "m parameters"],
    values: Int64[Tensor, "m channels"],
    uniforms: Float[Tensor, "m draws"],
    temperature: Float[Tensor, " m"],
) -> tuple[Bool[Tensor, " m"], Float[Tensor, " m"]]:
    """Whether each pixel is what its uniforms ask for, and the widening in uniforms, `eps`.

    Args:
        head: Whose pixels.
        exact: float64 reference parameters.
        close: The same parameters in float32.
        values: What was drawn.
        uniforms: The random numbers.
        temperature: Of each pixel.
    """
    uniforms, temperature = uniforms.double(), temperature.double()
    possible, eps = _components(head, exact, close, uniforms[:, 0], temperature)
    right, widening = _channels(head, exact, close, values, uniforms[:, 1:], temperature)
    widest = widening.amax(1).where(possible, 0.0).amax(-1)
    return (possible & right.all(1)).any(-1), torch.maximum(eps, widest)


def _components(
    head: LogisticMixture, exact: Tensor, close: Tensor, u: Tensor, temperature: Tensor
) -> tuple[Bool[Tensor, "m k"], Float[Tensor, " m"]]:
    """The components that the uniform may choose, and eps."""
    logits = [tempered(head.parts(p).logits, temperature) for p in (exact, close)]
    cdf, close_cdf = (_cdf(scores) for scores in logits)
    eps = _LEAST_EPS + _GAPS * (cdf - close_cdf).abs().amax(-1)
    below = torch.cat([torch.zeros_like(cdf[:, :1]), cdf[:, :-1]], -1)
    inside = (u[:, None] >= below - eps[:, None]) & (u[:, None] <= cdf + eps[:, None])
    best = logits[0] >= logits[0].amax(-1, keepdim=True) - eps[:, None]
    return torch.where(temperature[:, None] == 0, best, inside), eps


def _cdf(scores: Tensor) -> Tensor:
    running = running_sum(torch.exp(scores - scores.amax(-1, keepdim=True)))
    return running / running[:, -1:]


def _channels(
    head: LogisticMixture,
    exact: Tensor,
    close: Tensor,
    values: Tensor,
    u: Tensor,
    temperature: Tensor,
) -> tuple[Bool[Tensor, "m c k"], Float[Tensor, "m c k"]]:
    """Whether the uniform of each channel asks for its level in each component, and eps."""
    parts, close_parts = head.parts(exact), head.parts(close)
    x, v = values[..., None].double(), 1 - u[..., None]
    location = head.locations(parts, values)
    off = (location - head.locations(close_parts, values)).abs()
    slack = _GAPS * torch.maximum(off, 2.0**-24 * (head.levels + location.abs()))
    spread, close_spread = (
        head.spreads(some).double() * temperature[:, None, None] for some in (parts, close_parts)
    )
    low, high = x - 0.5 - location, x + 0.5 - location
    gap = torch.maximum(*((_f(e, spread) - _f(e, close_spread)).abs() for e in (low, high)))
    moved = torch.where(slack > _MOST_SLACK, slack / (4 * spread), 0.0)
    eps = _LEAST_EPS + _GAPS * gap + moved
    over = (x == 0) | (v >= _f(low - slack, spread) - eps)
    under = (x == head.levels - 1) | (v <= _f(high + slack, spread) + eps)
    still = (temperature == 0)[:, None, None]
    over = over.where(~still, (x == 0) | (low <= slack))
    under = under.where(~still, (x == head.levels - 1) | (high >= -slack))
    # No uniform is used at temperature 0: what cannot be told apart is levels.
    unknown = torch.where(slack < _MOST_SLACK_STILL, _LEAST_EPS, torch.inf)
    return over & under, eps.nan_to_num(nan=torch.inf).where(~still, unknown)


def _f(distance: Tensor, spread: Tensor) -> Tensor:
    """The logistic distribution function; a step where the spread is 0."""
    return torch.sigmoid((distance / spread).nan_to_num(nan=0.0))
