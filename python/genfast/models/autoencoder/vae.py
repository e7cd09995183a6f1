"""VAE: the variational autoencoder, its bounds and its pictures, in plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from genfast.arguments import check_count, described
from genfast.models.autoencoder.base import Coder, checked_number
from genfast.models.autoencoder.likelihoods import exact, likelihood_of
from genfast.models.examples import batch_of
from genfast.models.registry import register
from genfast.models.turn import Turn
from genfast.ops import reparameterize
from genfast.ops.reparameterize import HIGHEST_LOGVAR, LOWEST_LOGVAR
from genfast.random import fold, normals, row_indices
from genfast.reference import evaluating

__all__ = ["VAE"]

# Rows that are decoded together for a bound, draws of one example counted each.
_ROWS = 2048


@register
class VAE(Coder):
    """p(x) = integral of p(x | z) N(z; 0, 1), learnt by a bound of it (Kingma and Welling 2013)::

        x --encoder--> mean, logvar --> z = mean + exp(logvar / 2) eps --decoder--> p(x | z)

        log p(x) >= E_q log p(x | z) - KL(q(z | x) || N(0, 1))                            the bound

    Training minimises `reconstruction + beta KL` (Higgins et al. 2017). With `free_bits` every
    dimension of the latent may spend so many nats on an example for nothing, `max(free_bits, KL)`
    in place of its KL (Kingma et al. 2016, section C.8; there of the mean over a batch, here of
    each example by itself, so that a batch may be cut as one likes). Bounds that are measured have
    neither.

    Samples and reconstructions are the likelihood's mean, without its noise.

    Args:
        shape: Of an example: (C, H, W) of an image, C to 16, sides to 16,384; (D,) of a vector, D
            to 2**24.
        levels: Values of an element, 2 to 65,536; None for real numbers.
        latent: L, width of a latent, 1 to 65,536.
        likelihood: "bernoulli" of two levels, "logistic" of levels, "gaussian" of real numbers;
            when None "gaussian" without levels, "bernoulli" for two, "logistic" for more.
        beta: Weight of the KL in training, at least 0.
        free_bits: Nats of a dimension that cost nothing in training, at least 0.
        classes: Number of labels that an example may have, None for none; encoder and decoder are
            told the label.
        architecture: "mlp" or "convolutional", of the modules that are not given.
        width: Units of a layer, or features of the largest maps, 1 to 65,536; 256 or 32 when None.
        depth: Hidden layers, or convolutions of each size, 1 to 1,024; 2 or 1 when None.
        encoder: A module of your own: float32 (N, *shape), levels from -1 to 1, to (N, 2L), means
            and log-variances side by side. With classes it is called with float32 (N, classes), the
            label one-hot, too.
        decoder: A module of your own: (N, L), and the label alike, to (N, P, *shape), parameters
            of the likelihood: P = 1 (the axis may be missing) for "bernoulli", else 2.

    Attributes:
        figures: What was measured of the model, by name; saved with it.

    Raises:
        ValueError: An argument is out of range.
    """

    OPTIONS: ClassVar[tuple[str, ...]] = ("likelihood", "beta", "free_bits")
    codes: ClassVar[int] = 2

    def __init__(
        self,
        shape: Sequence[int],
        levels: int | None = None,
        *,
        latent: int = 16,
        likelihood: Literal["bernoulli", "gaussian", "logistic"] | None = None,
        beta: float = 1.0,
        free_bits: float = 0.0,
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
        if likelihood is None:
            usual: Any = {None: "gaussian", 2: "bernoulli"}
            likelihood = usual.get(self.levels, "logistic")
        self.output = likelihood_of("VAE", likelihood, self.levels)
        self.likelihood = likelihood
        self.beta = checked_number("VAE: beta", beta)
        self.free_bits = checked_number("VAE: free_bits", free_bits)
        self.make_modules(encoder=encoder, decoder=decoder)

    @property
    def draw_example(self) -> str:
        """Lines of Python for the model card, which draw from `model` and show it."""
        given = "" if self.classes is None else f", classes=torch.arange(4) % {self.classes}"
        lines = ["import torch", ""] if given else []
        return "\n".join([*lines, f"x = model.sample(4, seed=0{given})", "print(x)"])

    def encode(
        self, x: Tensor, classes: Int64[Tensor, " n"] | None = None
    ) -> tuple[Float[Tensor, "n latent"], Float[Tensor, "n latent"]]:
        """q(z | x): its means and log-variances, differentiable.

        Args:
            x: int64 (N, *shape) in [0, levels), or float32 shares of the highest level, such as
                `sample` gives; float32 where there are no levels.
            classes: int64 (N,), where the model has classes.

        Returns:
            Two times float32 (N, L); log-variances are clamped to [-30, 20].

        Raises:
            ValueError: An argument is wrong, or the encoder gives another shape.
        """
        mean, log_variance = _halves(self.encoded("encode", x, classes))
        return mean, _clamped(log_variance)

    def reconstruct(
        self, x: Tensor, classes: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, " n *shape"]:
        """`decode` of the means of `encode`: as `decode`, differentiable."""
        return self.decode(self.encode(x, classes)[0], classes)

    def dimension_kl(
        self, x: Tensor, classes: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n latent"]:
        """Nats that each dimension of the latent tells of an example; near 0 where it is unused."""
        return _kl(*self.encode(x, classes))

    def elbo(
        self,
        x: Tensor,
        classes: Int64[Tensor, " n"] | None = None,
        *,
        seed: int = 0,
        index: int = 0,
    ) -> Float[Tensor, " n"]:
        """The bound of log p(x) in nats, by one draw of z; beta and free bits have no part in it.

        Args:
            x: int64 (N, *shape) in [0, levels), or float32 where there are no levels.
            classes: int64 (N,), where the model has classes.
            seed: Of the draws, 0 <= seed < 2**63; the same numbers each time unless it is another.
            index: Number of the first example under the seed.
        """
        mean, log_variance = _halves(self.encoded("elbo", x, classes, shares=False))
        z, kl = reparameterize(mean, log_variance, seed=fold(seed, "latent"), index=index)
        return self._fit(z, x, classes) - kl

    def log_prob(
        self,
        x: Tensor,
        classes: Int64[Tensor, " n"] | None = None,
        *,
        importance: int = 64,
        seed: int = 0,
        index: int | Int64[Tensor, " n"] = 0,
    ) -> Float[Tensor, " n"]:
        """A bound of log p(x) in nats, tighter the more draws it is of; differentiable.

            log p(x) >= E log (1/K) sum over k of p(x | z_k) p(z_k) / q(z_k | x),    z_k from q

        Burda et al. 2016, Importance Weighted Autoencoders, equation 8; float64.

        Args:
            x, classes: As of `elbo`.
            importance: K, draws of z for each example. They are decoded 2,048 rows at a time.
            seed: Of the draws, 0 <= seed < 2**63; the same numbers each time unless it is another.
            index: Number of the first example under the seed; a tensor is used as it is.

        Returns:
            float64 (N,).
        """
        draws = check_count("log_prob: importance", importance, 1)
        mean, log_variance = _halves(self.encoded("log_prob", x, classes, shares=False))
        indices = row_indices("log_prob: index", index, len(x))
        step = max(1, _ROWS // max(len(x), 1))
        each = torch.tensor([fold(seed, "latent", k) for k in range(draws)])
        weights = [
            self._log_weights(x, classes, mean, _clamped(log_variance), seeds, indices)
            for seeds in torch.split(each, step)
        ]
        return torch.cat(weights, 1).logsumexp(1) - math.log(draws)

    def bits_per_dim(
        self,
        x: Tensor,
        classes: Int64[Tensor, " n"] | None = None,
        *,
        importance: int = 64,
        seed: int = 0,
        batch_size: int = 64,
    ) -> float:
        """-log2 p(x) a dimension by the bound of `log_prob`, the mean over all of `x`, in
        evaluation mode; with a "gaussian" likelihood of a density.

        Args:
            x, classes, importance, seed: As of `log_prob`.
            batch_size: Examples that are computed together; it changes the result by rounding.
        """
        size = check_count("bits_per_dim: batch_size", batch_size, 1)
        if not isinstance(x, Tensor) or not x.numel():
            raise ValueError(f"bits_per_dim: x must hold at least one example, got {described(x)}")
        nats = 0.0
        with evaluating(self):
            for first in range(0, len(x), size):
                rows = slice(first, first + size)
                given = None if classes is None else classes[rows]
                some = self.log_prob(x[rows], given, importance=importance, seed=seed, index=first)
                nats -= float(some.sum())
        return nats / x.numel() / math.log(2)

    def training_step(self, batch: Any, step: int, turn: Turn) -> dict[str, Any]:
        """The loss of a batch: mean nats an element of the data.

        Args:
            batch: int64 (N, *shape) or float32 data; or a tuple of them and int64 (N,) labels; or a
                dict with the keys x and classes.
            step: Number of the step; not used.
            turn: Whose `seed` and `index` draw the latents.

        Returns:
            `loss`, a scalar, 0 without an example; `sites`, how many elements it is the mean of;
            `kl` and `reconstruction`, mean nats of an example.
        """
        x, classes = batch_of("training_step", batch)
        mean, log_variance = _halves(self.encoded("training_step", x, classes, shares=False))
        z, kl = reparameterize(mean, log_variance, seed=turn.seed, index=turn.index)
        fit = self._fit(z, x, classes)
        paid = kl
        if self.free_bits:
            paid = _kl(mean, log_variance).clamp(min=self.free_bits).sum(1)
        loss, n = (self.beta * paid - fit).sum() / max(x.numel(), 1), max(len(x), 1)
        return {
            "loss": loss,
            "sites": x.numel(),
            "kl": kl.detach().sum() / n,
            "reconstruction": -fit.detach().sum() / n,
        }

    def _fit(self, z: Tensor, x: Tensor, classes: Tensor | None) -> Float[Tensor, " n"]:
        """log p(x | z)."""
        nats: Tensor = self.output.log_prob(self.decoded_parameters("decode", z, classes), x)
        return nats

    def _log_weights(
        self,
        x: Tensor,
        classes: Tensor | None,
        mean: Tensor,
        log_variance: Tensor,
        seeds: Int64[Tensor, " k"],
        indices: Int64[Tensor, " n"],
    ) -> Float[Tensor, "n k"]:
        """log p(x, z) - log q(z | x) of one z for each seed, float64."""
        n, k = len(x), len(seeds)
        eps = normals(
            seeds.repeat(n), n * k, self.latent, index=indices.repeat_interleave(k), device=x.device
        ).to(mean.dtype)  # fmt: skip
        spread = log_variance.repeat_interleave(k, 0)
        z = mean.repeat_interleave(k, 0) + torch.exp(spread / 2) * eps
        labels = None if classes is None else classes.repeat_interleave(k)
        fit = self._fit(z, x.repeat_interleave(k, 0), labels)
        # The constants of both normals are the same.
        prior = (eps.square() - z.square() + spread).double().sum(1) / 2
        return (fit.double() + prior).reshape(n, k)


def _halves(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Means and log-variances of what an encoder gives; `reparameterize` clamps these itself."""
    mean, log_variance = exact(codes).chunk(2, -1)
    return mean, log_variance


def _clamped(log_variance: Tensor) -> Tensor:
    return log_variance.clamp(LOWEST_LOGVAR, HIGHEST_LOGVAR)


def _kl(mean: Tensor, log_variance: Tensor) -> Float[Tensor, "n latent"]:
    """KL(N(mean, variance) || N(0, 1)) of every dimension, in nats."""
    bounded = _clamped(log_variance)
    return (mean.square() + torch.expm1(bounded) - bounded) / 2
