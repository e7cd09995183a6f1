"""Normals and latents in more bits than the core's, from the words of Threefry in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from test_core_uniforms import threefry2x32

Array = NDArray[Any]
Exact = np.longdouble


def uniforms(seed: int, index: int, shape: tuple[int, int], long: bool) -> tuple[Array, Array]:
    """The u and v of each pair, (n, pairs): 24 bits of a word, or 53 of a block's two."""
    n, columns = shape
    blocks = 2 * ((columns + 1) // 2) if long else (columns + 1) // 2
    counter = np.empty((n, blocks, 2), np.uint32)
    counter[..., 0] = (index + np.arange(n, dtype=np.int64)).astype(np.uint32)[:, None]
    counter[..., 1] = np.arange(blocks)
    words = threefry2x32([seed & 0xFFFFFFFF, seed >> 32], counter).astype(np.uint64)
    if not long:
        u, v = (words[..., i] >> np.uint64(8) for i in range(2))
        return u.astype(Exact) / 2**24, v.astype(Exact) / 2**24
    value = (words[..., 0] << np.uint64(21) | words[..., 1] >> np.uint64(11)).astype(Exact) / 2**53
    return value[:, 0::2], value[:, 1::2]


@dataclass
class Noise:
    """The normals of rows, and the radius of the pair that each belongs to."""

    normals: Array
    radius: Array


def noise(
    seed: int, index: int, shape: tuple[int, int], long: bool = False, mass: Any = 1.0
) -> Noise:
    u, v = uniforms(seed, index, shape, long)
    mass = np.asarray(mass, Exact).reshape(-1, 1)
    r, angle = np.sqrt(-2 * np.log1p(-mass * u)), 8 * np.arctan(Exact(1)) * v
    pairs = np.stack([r * np.cos(angle), r * np.sin(angle)], -1).reshape(shape[0], -1)
    return Noise(pairs[:, : shape[1]], np.repeat(r, 2, 1)[:, : shape[1]])


@dataclass
class Latents:
    """reparameterize and its gradients in more bits, with the size of each result's error."""

    z: Array
    kl: Array
    by_mean: Array
    by_logvar: Array
    z_size: Array
    kl_size: Array
    by_mean_size: Array
    by_logvar_size: Array


def latents(mean: Array, logvar: Array, grad_z: Array, grad_kl: Array, drawn: Noise) -> Latents:
    m, given, gz = (x.astype(Exact) for x in (mean, logvar, grad_z))
    gkl = grad_kl.astype(Exact)[:, None]
    bounded = np.clip(given, -30, 20)
    sigma, grown, inside = np.exp(bounded / 2), np.expm1(bounded), given == bounded
    spread = sigma * drawn.normals
    return Latents(
        m + spread,
        (m * m + grown - bounded).sum(-1) / 2,
        gz + gkl * m,
        np.where(inside, gz * spread + gkl * grown, 0) / 2,
        np.abs(m) + sigma * drawn.radius,
        (m * m + np.abs(grown) + np.abs(bounded)).sum(-1) / 2,
        np.abs(gz) + np.abs(gkl * m),
        np.abs(gz) * sigma * drawn.radius + np.abs(gkl * grown),
    )
