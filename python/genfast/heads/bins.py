"""Discretised logistics: how likely a logistic number falls into the bin of a level."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

__all__ = ["log_bin"]


def log_bin(values: Tensor, locations: Tensor, log_scales: Tensor, levels: int) -> Tensor:
    """log p(level) of logistics, in nats; all shapes broadcast.

    A level x owns [x - 1/2, x + 1/2); the bin of the lowest level reaches to -inf, that of the
    highest to +inf (Salimans et al. 2017, section 2.1). With s the logistic function, a and b the
    edges of a bin in units of the scale,

        s(b) - s(a) = s(b) s(-a) (1 - exp(a - b))

    in whose factors nothing cancels; a - b is known from the scale alone.

    Args:
        values: Levels in [0, levels), in the dtype of the others.
        locations: Centres, counted in levels.
        log_scales: Of the scale where levels lie from -1 to 1.
        levels: At least 2.
    """
    width = torch.exp(-log_scales) * (2 / (levels - 1))
    below = logsigmoid(-(values - 0.5 - locations) * width)
    above = logsigmoid((values + 0.5 - locations) * width)
    inside = torch.log(-torch.expm1(-width))
    lowest, highest = values == 0, values == levels - 1
    edges = torch.where(lowest, above, below)
    return torch.where(lowest | highest, edges, below + above + inside)
