"""Autoencoder: a bottleneck, and what comes out of it again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from jaxtyping import Float, Int64
from torch import Tensor, nn

from genfast.models.autoencoder.base import Coder
from genfast.models.autoencoder.likelihoods import exact
from genfast.models.autoencoder.losses import loss_of
from genfast.models.examples import batch_of
from genfast.models.registry import register

__all__ = ["Autoencoder"]


@register
class Autoencoder(Coder):
    """x --encoder--> z --decoder--> x, through a bottleneck of `latent` numbers.

    Latents have no distribution, so there is nothing to sample from: `VAE` has one.

    Args:
        shape, levels, latent, classes, architecture, width, depth: As of `VAE`.
        loss: "squared" error; or "bernoulli", the cross-entropy of shares of the highest level.
        encoder: A module of your own: float32 (N, *shape), levels from -1 to 1, to (N, L). With
            classes it is called with float32 (N, classes), the label one-hot, too.
        decoder: A module of your own: (N, L), and the label alike, to (N, *shape): levels from -1
            to 1, logits for "bernoulli", or real numbers.

    Attributes:
        figures: What was measured of the model, by name; saved with it.

    Raises:
        ValueError: An argument is out of range.
    """

    OPTIONS: ClassVar[tuple[str, ...]] = ("loss",)
    has_prior = False

    def __init__(
        self,
        shape: Sequence[int],
        levels: int | None = None,
        *,
        latent: int = 16,
        loss: Literal["squared", "bernoulli"] = "squared",
        classes: int | None = None,
        architecture: Literal["mlp", "convolutional"] = "mlp",
        width: int | None = None,
        depth: int | None = None,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
    ) -> None:
        super().__init__(
            shape, levels, latent=latent, classes=classes, architecture=architecture, width=width,
            depth=depth,
        )  # fmt: skip
        self.output, self.loss = loss_of("Autoencoder", loss, self.levels), loss
        self.make_modules(encoder=encoder, decoder=decoder)

    @property
    def draw_example(self) -> str:
        """Lines of Python for the model card, which use `model` and show what comes."""
        given = "" if self.classes is None else f", torch.arange(4) % {self.classes}"
        made = f"z = torch.randn(4, {self.latent})"
        return f"import torch\n\n{made}\nx = model.decode(z{given})\nprint(x)"

    def encode(
        self, x: Tensor, classes: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n latent"]:
        """Latents, differentiable.

        Args:
            x: int64 (N, *shape) in [0, levels), or float32 shares of the highest level; float32
                where there are no levels.
            classes: int64 (N,), where the model has classes.

        Returns:
            float32 (N, L).

        Raises:
            ValueError: An argument is wrong, or the encoder gives another shape.
        """
        return exact(self.encoded("encode", x, classes))

    def reconstruct(
        self, x: Tensor, classes: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, " n *shape"]:
        """`decode` of `encode`: as `decode`, differentiable."""
        return self.decode(self.encode(x, classes), classes)

    def training_step(self, batch: Any, step: int) -> dict[str, Any]:
        """The loss of a batch, the mean over elements of the data.

        Args:
            batch: int64 (N, *shape) or float32 data; or a tuple of them and int64 (N,) labels; or a
                dict with the keys x and classes.
            step: Number of the step; not used.

        Returns:
            `loss`, a scalar, 0 without an example.
        """
        x, classes = batch_of("training_step", batch)
        z = self.encode(x, classes)
        parameters = self.decoded_parameters("training_step", z, classes)
        if not len(x):
            return {"loss": parameters.sum()}
        return {"loss": self.output(parameters, self.from_levels(x))}
