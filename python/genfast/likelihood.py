"""Bits a dimension: the likelihood of data as images are compared by it."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from genfast.arguments import check_count, described
from genfast.reference import evaluating

__all__ = ["bits_per_dim"]


def bits_per_dim(model: Any, x: Tensor, *, batch_size: int = 64, **conditions: Tensor) -> float:
    """-log2 p(x) a dimension, the mean over all of `x`: what a perfect coder would spend.

    Args:
        model: With `log_prob(x, **conditions)` in nats, (N,).
        x: N examples, such as int64 (N, C, H, W); every entry of one is a dimension.
        batch_size: Examples that are computed together.
        conditions: Further arguments of `log_prob`, tensors of N rows: `classes=labels`. Of
            sequences with `lengths`, entries behind a row's length are no dimensions.

    Returns:
        Bits; the model is evaluated (no dropout) and `training` stays as it was.

    Raises:
        ValueError: There is no example or no dimension, or a condition has other rows than `x`.

    Source: van den Oord et al. 2016, Pixel Recurrent Neural Networks, section 5.1.
    """
    size = check_count("bits_per_dim: batch_size", batch_size, 1)
    if not isinstance(x, Tensor) or x.ndim < 2 or x.numel() == 0:
        raise ValueError(f"bits_per_dim: x must be a tensor of examples, got {described(x)}")
    for name, value in conditions.items():
        if not isinstance(value, Tensor) or len(value) != len(x):
            raise ValueError(
                f"bits_per_dim: {name} must be a tensor of N={len(x)} rows, got {described(value)}"
            )
    dimensions = int(conditions["lengths"].sum()) if "lengths" in conditions else x.numel()
    if dimensions < 1:
        raise ValueError("bits_per_dim: lengths must not all be 0")
    nats = 0.0
    with evaluating(model):
        for first in range(0, len(x), size):
            rows = slice(first, first + size)
            given = {name: value[rows] for name, value in conditions.items()}
            nats -= float(model.log_prob(x[rows], **given).double().sum())
    return nats / dimensions / math.log(2)
