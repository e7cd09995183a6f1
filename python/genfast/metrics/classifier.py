"""A small classifier of the data at hand: what it sees in images is what measures compare."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.nn import functional

from genfast.arguments import check_count, described
from genfast.data import Images
from genfast.metrics.checks import check_enough
from genfast.pixels import check_images
from genfast.random import fold
from genfast.reference import evaluating
from genfast.training.fit import fit
from genfast.watching import watched

__all__ = ["Classifier", "recognised", "train_classifier"]

# Images that go through the network at a time.
_CHUNK = 256
# The side down to which stages halve an image before the dense layer.
_LAST_SIDE = 4


class Classifier(nn.Module):
    """A convolutional network from images to labels; `train_classifier` makes a trained one::

        (C, H, W) -- 3x3, 3x3 -- [3x3 halving, 3x3] until 4x4 or less -- dense -- dense
                    width             2 width                            |        |
                                                                     features  classes

    A ReLU stands behind every layer but the last. Two convolutions of each size, and features
    behind their ReLU, make these far from linear in the pixels: else a Gaussian with the mean and
    covariance of the pixels would have nearly those of real features, too.

    Args:
        shape: (C, H, W) of an image.
        levels: Values of a channel, at least 2.
        classes: Labels, at least 2.
        features: F, width of the layer before the last.
        width: Channels of the first convolution.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        levels: int,
        classes: int,
        *,
        features: int = 64,
        width: int = 32,
    ) -> None:
        super().__init__()
        self.shape, self.levels, self.classes = shape, levels, classes
        channels, *sides = shape
        stages, channels = _stage(channels, width, stride=1), width
        while max(sides) > _LAST_SIDE:
            stages += _stage(channels, 2 * width, stride=2)
            channels, sides = 2 * width, [-(-side // 2) for side in sides]
        self.stages = nn.Sequential(*stages, nn.Flatten())
        self.dense = nn.Linear(channels * sides[0] * sides[1], features)
        self.dropout = nn.Dropout(0.3)
        self.readout = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Float[Tensor, "n classes"]:
        """Logits of images, int64 levels or shares of the highest level."""
        logits: Tensor = self.readout(self.dropout(self._seen(x)))
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], step: int) -> dict[str, Tensor]:
        """The loss of images int64 (N, C, H, W) and labels int64 (N,)."""
        x, labels = batch
        return {"loss": functional.cross_entropy(self(x), labels)}

    def features(self, x: Tensor) -> Float64[Tensor, "n f"]:
        """What the layer before the last says of images, in evaluation mode.

        Args:
            x: int64 (N, C, H, W) in [0, levels), or floating-point shares of the highest level in
                [0, 1], as models draw them.

        Returns:
            float64 (N, F).

        Raises:
            ValueError: Images of another dtype, shape or device, or a value out of range.
        """
        return self._in_parts("features", x, self._seen).double()

    def predict(self, x: Tensor) -> Int64[Tensor, " n"]:
        """The likeliest label of each image; images as `features` takes them."""
        return self._in_parts("predict", x, self).argmax(1)

    def accuracy(self, x: Tensor, labels: Int64[Tensor, " n"]) -> float:
        """Share of the images whose likeliest label is theirs."""
        return recognised(x, labels, self)

    def _seen(self, x: Tensor) -> Float[Tensor, "n f"]:
        shares = x.to(self.dense.weight.dtype)
        shares = shares if x.is_floating_point() else shares / (self.levels - 1)
        features: Tensor = self.dense(self.stages(2 * shares - 1))
        return features.relu()

    def _in_parts(self, name: str, x: Tensor, of: Any) -> Tensor:
        self._check(f"{name}: x", x)
        with evaluating(self):
            parts = [of(rows) for rows in watched(torch.split(x, _CHUNK), name)]
        return torch.cat(parts)

    def _check(self, name: str, x: Tensor) -> None:
        if not isinstance(x, Tensor) or not x.is_floating_point():
            check_images(name, x, self)
            return
        c, h, w = self.shape
        if x.ndim != 4 or tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"{name} must be shares (N, C, H, W) with C={c}, H={h}, W={w}, got {described(x)}"
            )
        wrong = ~((x >= 0) & (x <= 1))
        if wrong.any():
            place = tuple(wrong.nonzero()[0].tolist())
            raise ValueError(
                f"{name} must be int64 levels, or shares of the highest level from 0 to 1, "
                f"got {x[place].item()} at {list(place)}"
            )


def _stage(before: int, width: int, stride: int) -> list[nn.Module]:
    """Two convolutions, the first from so many channels and with this stride."""
    first = nn.Conv2d(before, width, 3, stride=stride, padding=1)
    return [first, nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]


def train_classifier(
    images: Images,
    *,
    features: int = 64,
    width: int = 32,
    epochs: int = 20,
    seed: int = 0,
    progress: bool = True,
) -> Classifier:
    """A `Classifier` of these images, in evaluation mode; on digits a matter of seconds.

    On one machine and number of threads it is a function of the images and the seed alone.

    Args:
        images: With labels, such as the training half of `genfast.data.digits().split()`.
        features: F, width of the layer before the last.
        width: Channels of the first convolution.
        epochs: How often it sees each image.
        seed: Of its first weights and the order of the images.
        progress: Whether to show a live line, where standard error is a terminal.

    Raises:
        ValueError: The images have no labels, fewer than 2 classes, or one of these has no image.
        KeyboardInterrupt: Ctrl-C: half a classifier would measure nothing.
    """
    for name, value in (("features", features), ("width", width), ("epochs", epochs)):
        check_count(f"train_classifier: {name}", value, 1)
    if images.labels is None:
        raise ValueError(f"train_classifier: images must have labels, got {images.name} without")
    counts = images.labels.bincount(minlength=images.classes or 0)
    if len(counts) < 2 or not counts.all():
        raise ValueError(
            "train_classifier: images must show at least 2 classes, and each of them, "
            f"got {counts.tolist()} images of each"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold(seed, "init"))
        model = Classifier(images.shape, images.levels, len(counts), features=features, width=width)
    history = fit(model, images.tensors, epochs=epochs, held_out=0.0, seed=seed, progress=progress)
    if history.stopped == "interrupted":
        raise KeyboardInterrupt("train_classifier: interrupted")
    return model.eval()


def recognised(samples: Tensor, labels: Int64[Tensor, " n"], classifier: Any) -> float:
    """Share of samples that a classifier takes for what they were to be.

    Args:
        samples: (N, ...), as the classifier takes them.
        labels: int64 (N,), the class that each was drawn under.
        classifier: With `predict(samples) -> (N,)` labels, tensor or array: a `Classifier`, or, to
            be independent of it, one of another family.

    Raises:
        ValueError: There is no sample, or labels or predictions are not (N,).

    Source: Shmelkov, Schmid and Alahari 2018, section 3.2: their "GAN-test".
    """
    n = len(samples)
    check_enough("recognised: samples", samples, 1, "to be recognised")
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.shape != (n,):
        raise ValueError(
            f"recognised: labels must be int64 (N,) with N={n}, got {described(labels)}"
        )
    found = torch.as_tensor(classifier.predict(samples))
    if found.shape != (n,):
        raise ValueError(
            f"recognised: classifier must predict (N,) labels with N={n}, got {described(found)}"
        )
    return float((found.cpu() == labels.cpu()).double().mean())
