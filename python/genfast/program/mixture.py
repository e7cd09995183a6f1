"""The draw of a pixel from a mixture of discretised logistics in NumPy, to the letter of the head.

`genfast.heads.LogisticMixture` has the distribution and the order of the parameters.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from genfast.program.categorical import Scores, categorical

__all__ = ["logistic_mixture", "mixture_parameters"]

#: Log-scales are clamped to this.
LOG_SCALES = (-7.0, 20.0)
#: What stands for a uniform of 0 in the inverse CDF.
LEAST_UNIFORM = 2.0**-25
#: A draw is nowhere farther from its location than this, in levels.
FARTHEST = 1e30


def mixture_parameters(channels: int) -> int:
    """Parameters of one component: a logit, means, log-scales, couplings."""
    return 1 + 2 * channels + channels * (channels - 1) // 2


def logistic_mixture(
    scores: Scores,
    uniforms: NDArray[np.float32],
    levels: int,
    temperature: float = 1.0,
) -> NDArray[np.int64]:
    """The levels of one pixel, int64 (channels,).

    Computes in the dtype of `scores`.

    Args:
        scores: float32 or float64 (parameters,) of the pixel.
        uniforms: in [0, 1); the first chooses the component, each other one a channel's level.
        levels: of a channel.
        temperature: divides the logits of components and multiplies scales; 0 takes the component
            of the highest logit and the levels nearest to its means.

    Raises:
        FloatingPointError: scores hold NaN or an infinity.
    """
    if not np.isfinite(scores).all():
        raise FloatingPointError("scores hold NaN or an infinity")
    number, channels = scores.dtype.type, len(uniforms) - 1
    grouped = scores.reshape(mixture_parameters(channels), -1)
    component = grouped[:, categorical(grouped[0], float(uniforms[0]), temperature)]
    means, log_scales, couplings = np.split(component[1:], [channels, 2 * channels])
    spreads, couplings = np.exp(np.clip(log_scales, *LOG_SCALES)), np.tanh(couplings)
    half = number((levels - 1) / 2)
    values = np.zeros(channels, np.int64)
    for c in range(channels):
        before = values[:c].astype(scores.dtype) / half - 1
        location = (means[c] + couplings[c * (c - 1) // 2 :][:c] @ before + 1) * half
        u = number(uniforms[c + 1])
        logistic = np.log(1 - u) - np.log(max(u, number(LEAST_UNIFORM)))
        with np.errstate(over="ignore"):
            deviation = spreads[c] * half * logistic * number(temperature)
        y = location + np.clip(deviation, -FARTHEST, FARTHEST)
        values[c] = math.floor(np.clip(y + number(0.5), 0, levels - 1))
    return values
