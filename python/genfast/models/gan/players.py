"""The two networks of a game: those that are given, and what any of them must return."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from genfast.models.modules import output_of
from genfast.nn import DCGANDiscriminator, DCGANGenerator, Perceptron

__all__ = [
    "check_rows",
    "generated",
    "given_discriminator",
    "given_generator",
    "scored",
]


def given_generator(model: Any) -> nn.Module:
    """The generator of a model's arguments."""
    bounded = model.levels is not None
    if model.architecture == "dcgan":
        return DCGANGenerator(
            model.latent,
            model.shape,
            width=model.width,
            condition=model.classes,
            norm=model.norm,
            bounded=bounded,
        )
    return Perceptron(
        (model.latent,),
        model.shape,
        width=model.width,
        depth=model.depth,
        condition=model.classes,
        activation="relu",
        final="tanh" if bounded else "none",
    )


def given_discriminator(model: Any) -> nn.Module:
    """The discriminator of a model's arguments.

    Penalties and spectral normalisation look at each row by itself, which batch normalisation
    mixes with others: under them it has none (Gulrajani et al. 2017, section 4).
    """
    sizes = {"width": model.width, "condition": model.classes}
    module: nn.Module
    if model.architecture == "dcgan":
        alone = model.norm == "batch" and (model.spectral_norm or model.penalised)
        module = DCGANDiscriminator(model.shape, norm=None if alone else model.norm, **sizes)
    else:
        module = Perceptron(model.shape, (1,), depth=model.depth, activation="leaky_relu", **sizes)
    if model.spectral_norm:
        for part in list(module.modules()):
            if isinstance(part, nn.Linear | nn.Conv2d):
                spectral_norm(part)
    return module


def generated(
    generator: nn.Module, shape: tuple[int, ...], z: Tensor, *condition: Tensor
) -> Float[Tensor, " n *shape"]:
    """What a generator makes of latents, or ValueError for another shape."""
    made: Tensor = output_of("GAN: generator", generator, [(z.shape[0], *shape)], z, *condition)
    return made


def scored(discriminator: nn.Module, x: Tensor, *condition: Tensor) -> Float[Tensor, " n"]:
    """The scores that a discriminator gives to rows, or ValueError for another shape."""
    n = len(x)
    name = "GAN: discriminator"
    scores: Tensor = output_of(name, discriminator, [(n,), (n, 1)], x, *condition)
    return scores.reshape(n)


def check_rows(model: nn.Module, n: int) -> None:
    """ValueError for a batch of no rows, or of one where normalisation needs others beside it."""
    if n == 0:
        raise ValueError("training_step: batch must hold at least one row, got none")
    # Of several processes each may have one; normalisation joins them.
    if n > 1 or (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return
    for name, part in model.named_modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training:
            raise ValueError(
                f"training_step: batch must hold at least 2 rows, as {name} normalises over them, "
                "got 1; take another batch_size, or norm='group'"
            )
