"""Distributions so simple that one sees whether a model has learnt them."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from genfast.random import fold, normals, uniforms

__all__ = ["eight_centres", "eight_gaussians"]

_MODES = 8


def eight_centres(radius: float = 2.0) -> Float[Tensor, "8 2"]:
    """Where the eight Gaussians stand, evenly on a circle, float32 (8, 2); the first on the right.

    ::

          3 2 1
         4     0
          5 6 7
    """
    angle = 2 * math.pi * torch.arange(_MODES) / _MODES
    return radius * torch.stack([angle.cos(), angle.sin()], -1)


def eight_gaussians(
    n: int, seed: int = 0, *, radius: float = 2.0, sigma: float = 0.05
) -> Float[Tensor, "n 2"]:
    """Points of eight small Gaussians on a circle, all as likely: a game that loses modes shows it.

    Args:
        n: Points.
        seed: 0 <= seed < 2**63; point i is a function of the seed and of i.
        radius: Of the circle.
        sigma: Standard deviation of each Gaussian along an axis.

    Returns:
        float32 (n, 2).

    Raises:
        ValueError: A number is out of range.
    """
    for name, number in (("radius", radius), ("sigma", sigma)):
        if not 0 <= number < math.inf:
            raise ValueError(f"eight_gaussians: {name} must be at least 0, got {number!r}")
    mode = (_MODES * uniforms(fold(seed, "prior"), n, 1)[:, 0]).long()
    return eight_centres(radius)[mode] + sigma * normals(fold(seed, "noise"), n, 2)
