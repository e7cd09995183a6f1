"""What one-pass models of images are held against.

They see the same training images: principal components of as many numbers as a latent has, and a
Gaussian of all pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from genfast.data import Images


def shares(images: Images) -> Tensor:
    """Pixels as shares of the highest level, float64 (N, D)."""
    return images.x.flatten(1).double() / (images.levels - 1)


def squared_error(held: Images, restored: Tensor) -> float:
    """Mean over images and pixels, of shares of the highest level."""
    return float((restored.double().flatten(1) - shares(held)).square().mean())


def pca_error(train: Images, held: Images, components: int) -> float:
    """Squared error of held-out images that this many principal components restore.

    What lies outside [0, 1] is brought back, to the benefit of the components.
    """
    pca = PCA(components, svd_solver="full").fit(shares(train).numpy())
    restored = pca.inverse_transform(pca.transform(shares(held).numpy()))
    return squared_error(held, torch.from_numpy(restored).clamp(0, 1))


def mean_error(train: Images, held: Images) -> float:
    """Squared error of the mean image: what nothing at all restores."""
    return squared_error(held, shares(train).mean(0).expand(len(held), -1))


def gaussian_images(train: Images, n: int, seed: int) -> Tensor:
    """Samples of a Gaussian with the mean and covariance of the pixels, as levels.

    Rounded and cut off at the lowest and highest level: so they look as much like images as they
    can. int64 (n, C, H, W).
    """
    pixels = shares(train).numpy()
    drawn = np.random.default_rng(seed).multivariate_normal(
        pixels.mean(0), np.cov(pixels.T), n, method="eigh"
    )
    levels = torch.from_numpy(drawn).clamp(0, 1) * (train.levels - 1)
    return levels.round().long().reshape(n, *train.shape)
