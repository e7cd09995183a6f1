"""Models whose samples take one pass: normal latents in, samples out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from genfast.conditions import check_conditions
from genfast.random import normals, resolve_seed

__all__ = ["LatentModel"]

# Samples that are drawn at a time, so that feature maps take bounded memory.
_CHUNK = 256


class LatentModel(nn.Module):
    """z ~ N(0, 1), x = decode(z): what decoders of autoencoders and generators of games share.

    A family sets the attributes and gives `decode`. Data with levels are int64 in [0, levels), and
    what is made of latents are shares of the highest level, in [0, 1]; data without are float32, as
    they are.

    Attributes:
        shape: Of one sample: (C, H, W) of an image, (D,) of a vector.
        levels: Values of an element of the data; None for real numbers.
        latent: L, width of a latent.
        classes: Number of labels that a sample may have; None for none.
    """

    shape: tuple[int, ...]
    levels: int | None
    latent: int
    classes: int | None
    vector = None
    features = None

    def decode(
        self, z: Float[Tensor, "n latent"], classes: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n *shape"]:
        """What latents stand for, differentiable.

        Args:
            z: float32 (N, L).
            classes: int64 (N,), where the model has classes.

        Returns:
            float32 (N, *shape): shares of the highest level, or real numbers as the data are.
        """
        raise NotImplementedError

    def latents(
        self,
        n: int,
        *,
        seed: int | Int64[Tensor, " n"] | None = None,
        index: int | Int64[Tensor, " n"] = 0,
        temperature: float | Float[Tensor, " n"] = 1.0,
        truncation: float | Float[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "n latent"]:
        """The latents that `sample` decodes; see there."""
        device = next(self.parameters()).device
        z = normals(seed, n, self.latent, index=index, truncation=truncation, device=device)
        scale = torch.as_tensor(temperature, dtype=torch.float32).to(device)
        if scale.shape not in ((), (n,)) or not bool((scale >= 0).all()):
            raise ValueError(
                f"sample: temperature must be at least 0, a number or (N,) with N={n}, "
                f"got {temperature!r}"
            )
        return z * scale.expand(n)[:, None]

    def sample(
        self,
        n: int,
        *,
        seed: int | Int64[Tensor, " n"] | None = None,
        index: int | Int64[Tensor, " n"] = 0,
        classes: int | Int64[Tensor, " n"] | None = None,
        temperature: float | Float[Tensor, " n"] = 1.0,
        truncation: float | Float[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "n *shape"]:
        """Draws `n` samples, in evaluation mode; sample i is that of `n=1, index=index + i`, to
        rounding.

        Args:
            n: Samples; 0 gives a tensor of no rows.
            seed: 0 <= seed < 2**63, or one a row; None takes 63 bits from torch's generator.
            index: Row i has `index + i`; a tensor is used as it is.
            classes: Labels, one for all or int64 (N,), where the model has classes.
            temperature: Scales the latents; 0 is the middle of the latent space.
            truncation: Radius of the circle that each pair of latents is drawn in; see
                `genfast.random.normals`.

        Returns:
            As `decode`, on the model's device.

        Raises:
            ValueError: An argument is wrong; the message names it, what was expected, what came.
        """
        z = self.latents(
            n, seed=resolve_seed(seed), index=index, temperature=temperature, truncation=truncation
        )
        if isinstance(classes, int):
            classes = torch.full((n,), classes, device=z.device)
        given = check_conditions("sample", self, n, classes, None, None).arguments
        made = z.new_empty(n, *self.shape)
        with _drawing(self):
            for rows in torch.arange(n).split(_CHUNK):
                chunk = slice(int(rows[0]), int(rows[-1]) + 1)
                label = {name: value[chunk] for name, value in given.items()}
                made[chunk] = self.decode(z[chunk], **label)
        return made

    def to_levels(self, x: Float[Tensor, "n *shape"]) -> Int64[Tensor, "n *shape"]:
        """The nearest levels of what `decode` gave, int64 in [0, levels), as the data are."""
        if self.levels is None:
            raise ValueError(f"to_levels: {type(self).__name__} has real numbers, no levels")
        return (x.clamp(0, 1) * (self.levels - 1)).round().long()

    def from_levels(self, x: Tensor) -> Float[Tensor, "n *shape"]:
        """The data as shares of the highest level, or as they are where there are no levels."""
        weight = next(self.parameters())
        return x.to(weight.dtype) if self.levels is None else x.to(weight.dtype) / (self.levels - 1)


@contextmanager
def _drawing(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; the mode of every module is put back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
