"""Likelihoods: how data scatter around what a decoder says, and how probable they are then."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from genfast.heads.bins import log_bin

__all__ = ["LIKELIHOODS", "Bernoulli", "Gaussian", "Likelihood", "Logistic", "likelihood_of"]

#: Log-scales of `Gaussian` and `Logistic` are clamped to this: the floor of PixelCNN++, so that no
#: density grows without bound on data that never vary; and where more changes nothing.
LOG_SCALES = (-7.0, 5.0)
# So many scales beyond the range of levels, float32 knows a logistic as 0 or 1.
_FAR = 30.0


@dataclass(frozen=True)
class Bernoulli:
    """Two levels: 1 with the probability sigmoid(logit); one parameter an element, the logit.

    Shares between 0 and 1 are no data of it: cross-entropy with them is no probability.
    """

    parameters: ClassVar[int] = 1

    def log_prob(
        self, parameters: Float[Tensor, "n 1 *shape"], x: Shaped[Tensor, " n *shape"]
    ) -> Float[Tensor, " n"]:
        """log p(x) in nats of int64 (N, *shape) levels, 0 or 1."""
        logits = exact(parameters)[:, 0]
        return logsigmoid(logits * (2 * x - 1)).flatten(1).sum(1)

    def mean(self, parameters: Float[Tensor, "n 1 *shape"]) -> Float[Tensor, " n *shape"]:
        """The probability of 1."""
        return exact(parameters)[:, 0].sigmoid()


@dataclass(frozen=True)
class Gaussian:
    """Real numbers; two parameters an element, the mean and the logarithm of the scale.

    The probability is a density, in the unit of the data: brought to another unit, other bits.
    """

    parameters: ClassVar[int] = 2

    def log_prob(
        self, parameters: Float[Tensor, "n 2 *shape"], x: Shaped[Tensor, " n *shape"]
    ) -> Float[Tensor, " n"]:
        """log p(x) in nats of float (N, *shape)."""
        mean, log_scale = _parts(parameters)
        deviation = (x - mean) * torch.exp(-log_scale)
        nats = -0.5 * deviation.square() - log_scale - 0.5 * math.log(2 * math.pi)
        return nats.flatten(1).sum(1)

    def mean(self, parameters: Float[Tensor, "n 2 *shape"]) -> Float[Tensor, " n *shape"]:
        """The mean."""
        return _parts(parameters)[0]


@dataclass(frozen=True)
class Logistic:
    """Levels as the bins of a logistic; two parameters an element, location and log-scale.

    Where levels lie from -1 to 1, as a decoder's neighbours see them (Kingma et al. 2016, section
    5; Salimans et al. 2017, section 2.1). The probabilities of all levels of an element sum to 1.

    Args:
        levels: At least 2.
    """

    levels: int
    parameters: ClassVar[int] = 2

    def log_prob(
        self, parameters: Float[Tensor, "n 2 *shape"], x: Shaped[Tensor, " n *shape"]
    ) -> Float[Tensor, " n"]:
        """log p(x) in nats of int64 (N, *shape) levels."""
        location, log_scale = _parts(parameters)
        centre = (location + 1) * ((self.levels - 1) / 2)
        nats = log_bin(x.to(centre.dtype), centre, log_scale, self.levels)
        return nats.flatten(1).sum(1)

    def mean(self, parameters: Float[Tensor, "n 2 *shape"]) -> Float[Tensor, " n *shape"]:
        """The mean as a share of the highest level: of the logistic, clipped to the levels.

        With m and s the location and the scale in shares,

            E = integral from 0 to 1 of P(share > t) dt = s (softplus(m/s) - softplus((m - 1)/s))

        which the mean over bins rounds; a scale of a level and more it rounds by nothing.
        """
        location, log_scale = _parts(parameters)
        scale = log_scale.exp() / 2
        # Farther off nothing changes, and the difference would be one of large numbers.
        far = 1 + _FAR * scale
        share = torch.minimum(torch.maximum((location + 1) / 2, -far), far)
        mean = scale * (softplus(share / scale) - softplus((share - 1) / scale))
        return mean.clamp(0, 1)


Likelihood: TypeAlias = Bernoulli | Gaussian | Logistic

#: What a model may be made with.
LIKELIHOODS = ("bernoulli", "gaussian", "logistic")


def likelihood_of(name: str, likelihood: object, levels: int | None) -> Likelihood:
    """The likelihood of a word, for data with so many levels.

    Args:
        name: Of the class, for the message.
        likelihood: One of `LIKELIHOODS`.
        levels: Of the data, None for real numbers.

    Raises:
        ValueError: Another word, or the likelihood is of other data.
    """
    if likelihood == "gaussian" and levels is None:
        return Gaussian()
    if likelihood == "bernoulli" and levels == 2:
        return Bernoulli()
    if likelihood == "logistic" and levels is not None:
        return Logistic(levels)
    wanted = {
        "gaussian": "levels=None: it is of real numbers; 'logistic' is of levels",
        "bernoulli": "levels=2: it is of two levels; 'logistic' is of more",
        "logistic": "levels: it is of levels; 'gaussian' is of real numbers",
    }
    if isinstance(likelihood, str) and likelihood in wanted:
        raise ValueError(
            f"{name}: likelihood {likelihood!r} needs {wanted[likelihood]}; got levels={levels}"
        )
    raise ValueError(
        f"{name}: likelihood must be one of {', '.join(LIKELIHOODS)}, got {likelihood!r:.80}"
    )


def exact(values: Tensor) -> Tensor:
    """At least float32: what autocast made half becomes whole."""
    return values if values.dtype == torch.float64 else values.float()


def _parts(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Location and log-scale, this clamped."""
    location, log_scale = exact(parameters).unbind(1)
    return location, log_scale.clamp(*LOG_SCALES)
