"""What the two players of a game want: losses of the scores that the discriminator gives.

With r the scores of real rows and f those of fakes, s the logistic function, means over rows:

=================  =============================  ==============  ==============================
objective          the discriminator's loss       the generator's  source
=================  =============================  ==============  ==============================
"original"         -log s(r) - log(1 - s(f))      log(1 - s(f))   Goodfellow et al. 2014, eq. 1
"non-saturating"   -log s(r) - log(1 - s(f))      -log s(f)       the same, section 3
"least-squares"    ((r - 1)^2 + f^2) / 2          (f - 1)^2 / 2   Mao et al. 2017, eq. 9
"hinge"            max(0, 1 - r) + max(0, 1 + f)  -f              Miyato et al. 2018, eq. 16, 17
"wasserstein"      f - r                          -f              Arjovsky et al. 2017, eq. 2
=================  =============================  ==============  ==============================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import relu, softplus

__all__ = [
    "OBJECTIVES",
    "Objective",
    "critic",
    "hinge_discriminator",
    "least_squares_discriminator",
    "least_squares_generator",
    "logistic_discriminator",
    "non_saturating_generator",
    "saturating_generator",
    "score_generator",
]

Scores = Float[Tensor, " n"]


def logistic_discriminator(real: Scores, fake: Scores, smoothing: float = 0.0) -> Tensor:
    """-(1 - a) log s(r) - a log(1 - s(r)) - log(1 - s(f)), a the one-sided smoothing of labels
    (Salimans et al. 2016, section 3.4)."""
    # log(1 - s(r)) = log s(r) - r.
    return (softplus(-real) + smoothing * real).mean() + softplus(fake).mean()


def saturating_generator(fake: Scores) -> Tensor:
    """log(1 - s(f))."""
    return -softplus(fake).mean()


def non_saturating_generator(fake: Scores) -> Tensor:
    """-log s(f)."""
    return softplus(-fake).mean()


def least_squares_discriminator(real: Scores, fake: Scores, smoothing: float = 0.0) -> Tensor:
    """((r - (1 - a))^2 + f^2) / 2, a the one-sided smoothing of labels."""
    return ((real - (1 - smoothing)).square().mean() + fake.square().mean()) / 2


def least_squares_generator(fake: Scores) -> Tensor:
    """(f - 1)^2 / 2."""
    return (fake - 1).square().mean() / 2


def hinge_discriminator(real: Scores, fake: Scores, smoothing: float = 0.0) -> Tensor:
    """max(0, 1 - r) + max(0, 1 + f); there are no labels to smooth."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def critic(real: Scores, fake: Scores, smoothing: float = 0.0) -> Tensor:
    """f - r; there are no labels to smooth."""
    return fake.mean() - real.mean()


def score_generator(fake: Scores) -> Tensor:
    """-f."""
    return -fake.mean()


@dataclass(frozen=True)
class Objective:
    """One row of the table.

    Attributes:
        discriminator: The loss of real scores, fake ones, and the smoothing of labels.
        generator: The loss of fake scores.
        has_labels: Whether labels can be smoothed.
        betas: Of Adam, as the sources have them.
    """

    discriminator: Callable[[Tensor, Tensor, float], Tensor]
    generator: Callable[[Tensor], Tensor]
    has_labels: bool = True
    betas: tuple[float, float] = (0.5, 0.999)


_CALM = (0.0, 0.9)

#: By name.
OBJECTIVES = MappingProxyType(
    {
        "original": Objective(logistic_discriminator, saturating_generator),
        "non-saturating": Objective(logistic_discriminator, non_saturating_generator),
        "least-squares": Objective(least_squares_discriminator, least_squares_generator),
        "hinge": Objective(hinge_discriminator, score_generator, has_labels=False, betas=_CALM),
        "wasserstein": Objective(critic, score_generator, has_labels=False, betas=_CALM),
    }
)
