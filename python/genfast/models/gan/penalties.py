"""What keeps a discriminator smooth: penalties on how its scores change with what it sees."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["gradient_penalty", "slopes", "zero_centred_penalty"]

Score = Callable[[Tensor], Tensor]


def gradient_penalty(
    score: Score,
    real: Float[Tensor, " n *shape"],
    fake: Float[Tensor, " n *shape"],
    share: Float[Tensor, "n 1"],
) -> Float[Tensor, ""]:
    """Mean of (|dD/dx| - 1)^2 between real and fake rows (Gulrajani et al. 2017, eq. 3).

    Args:
        score: D, each row by itself.
        real, fake: Rows of what it sees.
        share: How much of the real one there is in each mixture, in [0, 1].
    """
    share = share.reshape(-1, *[1] * (real.ndim - 1))
    between = torch.lerp(fake, real, share).detach().requires_grad_()
    return (slopes(score(between), between) - 1).square().mean()


def zero_centred_penalty(
    scores: Float[Tensor, " n"], real: Float[Tensor, " n *shape"]
) -> Float[Tensor, ""]:
    """Mean of |dD/dx|^2 / 2 at real rows, R1 without its weight (Mescheder et al. 2018, eq. 9).

    Args:
        scores: D of `real`, each row by itself.
        real: Requires a gradient.
    """
    return slopes(scores, real).square().mean() / 2


def slopes(scores: Float[Tensor, " n"], x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n"]:
    """|dD/dx| of every row, differentiable itself."""
    (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    # A root has no slope at 0; squared again, a penalty has one.
    slope: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return slope
