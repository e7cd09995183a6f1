"""Losses of a plain autoencoder: what it makes of data against the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from genfast.models.autoencoder.likelihoods import exact

__all__ = ["LOSSES", "CrossEntropy", "Loss", "SquaredError", "loss_of"]


@dataclass(frozen=True)
class SquaredError:
    """The squared difference; of shares where the data have levels.

    Args:
        shares: Whether data have levels. A decoder then gives numbers from -1 to 1, as an encoder
            sees them, and what lies outside is cut off when it is looked at.
    """

    shares: bool
    parameters: ClassVar[int] = 1

    def __call__(
        self, parameters: Float[Tensor, "n 1 *shape"], target: Float[Tensor, " n *shape"]
    ) -> Float[Tensor, ""]:
        """The mean over all elements; `target` are shares or real numbers."""
        return mse_loss(self._made(parameters), target.to(exact(parameters).dtype))

    def mean(self, parameters: Float[Tensor, "n 1 *shape"]) -> Float[Tensor, " n *shape"]:
        """What is made: shares or real numbers."""
        made = self._made(parameters)
        return made.clamp(0, 1) if self.shares else made

    def _made(self, parameters: Tensor) -> Tensor:
        made = exact(parameters)[:, 0]
        return (made + 1) / 2 if self.shares else made


@dataclass(frozen=True)
class CrossEntropy:
    """The cross-entropy of shares with Bernoulli variables, of their logits."""

    parameters: ClassVar[int] = 1

    def __call__(
        self, parameters: Float[Tensor, "n 1 *shape"], target: Float[Tensor, " n *shape"]
    ) -> Float[Tensor, ""]:
        """The mean over all elements; `target` are shares."""
        logits = exact(parameters)[:, 0]
        return binary_cross_entropy_with_logits(logits, target.to(logits.dtype))

    def mean(self, parameters: Float[Tensor, "n 1 *shape"]) -> Float[Tensor, " n *shape"]:
        """Shares."""
        return exact(parameters)[:, 0].sigmoid()


Loss: TypeAlias = SquaredError | CrossEntropy

#: What an autoencoder may be made with.
LOSSES = ("squared", "bernoulli")


def loss_of(name: str, loss: object, levels: int | None) -> Loss:
    """The loss of a word, or ValueError; "bernoulli" is of data with levels alone."""
    if loss == "squared":
        return SquaredError(levels is not None)
    if loss == "bernoulli" and levels is not None:
        return CrossEntropy()
    if loss == "bernoulli":
        raise ValueError(f"{name}: loss 'bernoulli' needs levels, as it is of shares; got none")
    raise ValueError(f"{name}: loss must be one of {', '.join(LOSSES)}, got {loss!r:.80}")
