"""What latents are measured against: principal components, and a classifier of real digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from genfast.data import Images

__all__ = ["Judge", "class_pca_error"]

Floats = npt.NDArray[np.float64]


def class_pca_error(train: Images, held: Images, components: int) -> float:
    """Root mean square error, in levels, of held-out images by principal components.

    They are of the deviations from the mean image of each class, which is told, as it is to a model
    with classes; without labels, from the mean of all.

    Args:
        train: What means and components are of.
        held: What is reconstructed.
        components: How many numbers an image is told by.
    """
    from sklearn.decomposition import PCA  # type: ignore[import-untyped, unused-ignore]

    means = _class_means(train)
    known, unknown = (_flat(images.x) - means[_labels(images)] for images in (train, held))
    pca = PCA(min(components, *known.shape), svd_solver="full").fit(known)
    left = unknown - pca.inverse_transform(pca.transform(unknown))
    return float(np.sqrt(np.mean(left**2)))


class Judge:
    """Tells which class an image is of: a support vector machine with a Gaussian kernel.

    Args:
        train: Images with labels.
    """

    def __init__(self, train: Images) -> None:
        from sklearn.svm import SVC  # type: ignore[import-untyped, unused-ignore]

        self._levels = train.levels
        self._machine: Any = SVC(C=10.0).fit(_flat(train.x), _labels(train))

    def predict(
        self, x: Float[Tensor, "n c h w"] | Int64[Tensor, "n c h w"]
    ) -> Int64[Tensor, " n"]:
        """The labels of images, levels or shares of the highest one."""
        values = _flat(x) * (self._levels - 1 if x.is_floating_point() else 1)
        return torch.from_numpy(self._machine.predict(values))


def _class_means(images: Images) -> Floats:
    values, labels = _flat(images.x), _labels(images)
    means: Floats = np.stack(
        [values[labels == label].mean(0) for label in range(images.classes or 1)]
    )
    return means


def _labels(images: Images) -> npt.NDArray[np.int64]:
    labels = images.labels if images.labels is not None else torch.zeros(len(images)).long()
    array: npt.NDArray[np.int64] = labels.numpy()
    return array


def _flat(x: Tensor) -> Floats:
    array: Floats = x.flatten(1).double().numpy()
    return array
