"""Models whose samples take one pass: normal latents in, samples out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from genfast.arguments import RowOptions, check_count, described
from genfast.conditions import check_conditions
from genfast.models.modules import is_traced
from genfast.random import normals, resolve_seed
from genfast.reference import evaluating

__all__ = ["LatentModel", "slerp"]

# Samples that are drawn at a time, so that feature maps take bounded memory.
_CHUNK = 256
# Two directions this close to one line (sine of their angle) have no arc between them.
_STRAIGHT = 1e-4


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
        has_prior: Whether latents are distributed as N(0, 1), so that samples can be drawn.
    """

    shape: tuple[int, ...]
    levels: int | None
    latent: int
    classes: int | None
    has_prior = True
    vector = None
    features = None

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next((p.dtype for p in self.parameters()), torch.float32)

    def decode(
        self, z: Float[Tensor, "n latent"], classes: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, " n *shape"]:
        """What latents stand for, differentiable.

        The latent varies while the class is held, and the class while the latent is held, by
        giving the one or the other again and again; `cross` makes a table of both.

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
        n = check_count("sample: n", n)
        # The seed is checked where it is used; here it would be drawn from torch's generator.
        scale = RowOptions.of("sample", n, seed=0, temperature=temperature).temperature
        z = normals(
            resolve_seed(seed), n, self.latent, index=index, truncation=truncation,
            device=self.device,
        )  # fmt: skip
        return z * scale.to(z.device)[:, None]

    def sample(
        self,
        n: int,
        *,
        seed: int | Int64[Tensor, " n"] | None = None,
        index: int | Int64[Tensor, " n"] = 0,
        classes: int | Int64[Tensor, " n"] | None = None,
        temperature: float | Float[Tensor, " n"] = 1.0,
        truncation: float | Float[Tensor, " n"] | None = None,
    ) -> Float[Tensor, " n *shape"]:
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
                Or latents of the model have no distribution.
        """
        if not self.has_prior:
            raise ValueError(
                f"sample: {type(self).__name__} has no distribution of latents to draw from; "
                "decode latents of your own, or train a VAE"
            )
        n = check_count("sample: n", n)
        labels = self.labels("sample", n, classes)
        z = self.latents(n, seed=seed, index=index, temperature=temperature, truncation=truncation)
        return self.decoded(z, labels)

    def interpolate(
        self,
        start: Float[Tensor, "n latent"],
        end: Float[Tensor, "n latent"],
        steps: int = 8,
        *,
        classes: int | Int64[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "n steps *shape"]:
        """What lies between latents, along the arc from one to the other; see `slerp`.

        Args:
            start, end: float32 (N, L).
            steps: Places on the way, both ends included; at least 2.
            classes: Labels, held on the way: one for all or int64 (N,), where the model has
                classes.

        Returns:
            float32 (N, steps, *shape), as `decode`.
        """
        self.check_latents("interpolate: start", start)
        self.check_latents("interpolate: end", end, len(start))
        steps, n = check_count("interpolate: steps", steps, 2), len(start)
        labels = self.labels("interpolate", n, classes)
        way = slerp(start, end, torch.linspace(0, 1, steps, device=start.device))
        labels = None if labels is None else labels.repeat_interleave(steps)
        made = self.decoded(way.flatten(0, 1), labels)
        return made.reshape(n, steps, *self.shape)

    def traverse(
        self,
        z: Float[Tensor, " latent"],
        values: Sequence[float] | Float[Tensor, " v"] = (-3, -2, -1, 0, 1, 2, 3),
        *,
        dimensions: Sequence[int] | None = None,
        classes: int | None = None,
    ) -> Float[Tensor, "d v *shape"]:
        """What each dimension of the latent space does: one at a time takes other values.

        Args:
            z: float32 (L,), the latent that all start from.
            values: V numbers that a dimension takes in turn.
            dimensions: Those that vary, all of them when None.
            classes: The label, where the model has classes.

        Returns:
            float32 (D, V, *shape), as `decode`; row d varies `dimensions[d]`.
        """
        if not isinstance(z, Tensor) or z.ndim != 1:
            raise ValueError(f"traverse: z must be float32 (L,), got {described(z)}")
        self.check_latents("traverse: z", z[None])
        moved = range(self.latent) if dimensions is None else list(dimensions)
        if not all(0 <= dimension < self.latent for dimension in moved):
            raise ValueError(
                f"traverse: dimensions must be at least 0 and below {self.latent}, got {moved!r}"
            )
        taken = torch.as_tensor(values, dtype=z.dtype, device=z.device)
        table = z.repeat(len(moved), len(taken), 1)
        for row, dimension in enumerate(moved):
            table[row, :, dimension] = taken
        labels = self.labels("traverse", table[..., 0].numel(), classes)
        made = self.decoded(table.flatten(0, 1), labels)
        return made.reshape(*table.shape[:2], *self.shape)

    def cross(
        self, z: Float[Tensor, "n latent"], classes: Int64[Tensor, " m"] | None = None
    ) -> Float[Tensor, "n m *shape"]:
        """Every latent under every class: a row holds the latent while the class varies, a column
        the class while the latent varies.

        Args:
            z: float32 (N, L).
            classes: int64 (M,), all that the model has when None.

        Returns:
            float32 (N, M, *shape), as `decode`.
        """
        self.check_latents("cross: z", z)
        if self.classes is None:
            raise ValueError(f"cross: {type(self).__name__} must have classes, got none")
        if classes is None:
            classes = torch.arange(self.classes, device=self.device)
        check_conditions("cross", self, len(classes), classes)
        n, m = len(z), len(classes)
        made = self.decoded(z.repeat_interleave(m, 0), classes.repeat(n))
        return made.reshape(n, m, *self.shape)

    def to_levels(self, x: Float[Tensor, " n *shape"]) -> Int64[Tensor, " n *shape"]:
        """The nearest levels of what `decode` gave, int64 in [0, levels), as the data are."""
        if self.levels is None:
            raise ValueError(f"to_levels: {type(self).__name__} has real numbers, no levels")
        return (x.clamp(0, 1) * (self.levels - 1)).round().long()

    def from_levels(self, x: Tensor) -> Float[Tensor, " n *shape"]:
        """Levels as shares of the highest one; shares and real numbers as they are."""
        if self.levels is None or x.is_floating_point():
            return x.to(self.dtype)
        return x.to(self.dtype) / (self.levels - 1)

    def decoded(
        self, z: Float[Tensor, "n latent"], classes: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, " n *shape"]:
        """`decode` in evaluation mode without gradients, some rows at a time."""
        made = torch.empty(len(z), *self.shape, dtype=self.dtype, device=self.device)
        with evaluating(self):
            for first in range(0, len(z), _CHUNK):
                rows = slice(first, first + _CHUNK)
                made[rows] = self.decode(z[rows], None if classes is None else classes[rows])
        return made

    def labels(
        self, name: str, n: int, classes: int | Int64[Tensor, " n"] | None
    ) -> Int64[Tensor, " n"] | None:
        """Labels of `n` rows, one for all or each its own, or ValueError."""
        given: Any = classes
        if isinstance(classes, int) and not isinstance(classes, bool):
            given = torch.full((n,), classes, device=self.device)
        return check_conditions(name, self, n, given).classes

    def condition(
        self, name: str, n: int, classes: Int64[Tensor, " n"] | None
    ) -> tuple[Float[Tensor, "n k"], ...]:
        """What modules are told of the classes: one-hot rows, or nothing where there are none."""
        if not is_traced():
            check_conditions(name, self, n, classes)
        if self.classes is None or classes is None:
            return ()
        each = torch.arange(self.classes, device=classes.device)
        return ((classes[:, None] == each).to(self.dtype),)

    def check_latents(self, name: str, z: Tensor, n: int | None = None) -> None:
        """ValueError unless `z` is float (N, L), on the model's device."""
        if is_traced():
            return
        rows = "" if n is None else f"N={n}, "
        wanted = f"float32 (N, L) with {rows}L={self.latent}"
        if not isinstance(z, Tensor) or not z.is_floating_point() or z.ndim != 2:
            raise ValueError(f"{name} must be {wanted}, got {described(z)}")
        if z.shape[1] != self.latent or len(z) != (len(z) if n is None else n):
            raise ValueError(f"{name} must be {wanted}, got {described(z)}")
        if z.device != self.device:
            raise ValueError(f"{name} must be on {self.device}, as the model is, got {z.device}")


def slerp(
    start: Float[Tensor, "n latent"],
    end: Float[Tensor, "n latent"],
    shares: Float[Tensor, " steps"],
) -> Float[Tensor, "n steps latent"]:
    """Spherical interpolation (Shoemake 1985; White 2016, Sampling Generative Networks)::

        sin((1 - t) w) / sin(w) start + sin(t w) / sin(w) end      w  the angle between them

    Normal latents of many dimensions lie near a sphere, and so does what is between them. Where
    the angle is 0 or half a turn, or a latent is 0, there is no arc: the straight line is taken.

    Args:
        start, end: (N, L).
        shares: t, of the way.
    """
    # Float32 takes equal directions for ones that are half a thousandth apart.
    a, b, t = start.double(), end.double(), shares.double()[None]
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=-1).clamp(-1, 1)
    angle = torch.arccos(cosine)[:, None]
    nowhere = (a.norm(dim=-1) == 0) | (b.norm(dim=-1) == 0)
    straight = (angle.sin() < _STRAIGHT) | nowhere[:, None]
    sine = angle.sin().where(~straight, 1.0)
    first = (((1 - t) * angle).sin() / sine).where(~straight, 1 - t)
    second = ((t * angle).sin() / sine).where(~straight, t)
    way = first[..., None] * a[:, None] + second[..., None] * b[:, None]
    return way.to(start.dtype)
