"""Arguments of a GAN: checked, and to JSON and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from genfast.files.limits import (
    MOST_CLASSES,
    MOST_DEPTH,
    MOST_WIDTH,
    checked_size,
)
from genfast.models.gan.objectives import OBJECTIVES
from genfast.models.modules import module_config, module_of

__all__ = [
    "arguments_of",
    "check_choices",
    "check_modules",
    "check_weights",
    "checked_sizes",
    "config_of",
]

KEYS = (
    "shape",
    "levels",
    "latent",
    "objective",
    "classes",
    "architecture",
    "width",
    "depth",
    "norm",
    "discriminator_steps",
    "gradient_penalty",
    "r1",
    "r1_every",
    "spectral_norm",
    "label_smoothing",
    "generator",
    "discriminator",
)
_PLAYERS = ("generator", "discriminator")
_MOST = {
    "latent": MOST_WIDTH,
    "classes": MOST_CLASSES,
    "width": MOST_WIDTH,
    "depth": MOST_DEPTH,
    "discriminator_steps": MOST_DEPTH,
    "r1_every": MOST_WIDTH,
}
_OPTIONAL = ("classes",)


def config_of(model: Any) -> dict[str, Any]:
    """What a model is made of, as JSON.

    Raises:
        ValueError: A module of the user's own cannot be built again.
    """
    values = {name: getattr(model, name) for name in KEYS if name not in _PLAYERS}
    own = {
        name: module_config(f"GAN: {name}", getattr(model, name)) if name in model.own else None
        for name in _PLAYERS
    }
    return values | own | {"shape": list(model.shape)}


def arguments_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for the constructor, which checks their values.

    Raises:
        ValueError: A key is missing or unknown, or a module cannot be built.
    """
    for key in [*KEYS, *config]:
        if key not in config or key not in KEYS:
            what = "is missing" if key in KEYS else "is unknown"
            raise ValueError(f"GAN: argument {key[:40]!r} {what}")
    own = {
        name: module_of(f"GAN: {name}", config[name])
        for name in _PLAYERS
        if config[name] is not None
    }
    return dict(config) | own


def checked_sizes(**sizes: object) -> tuple[Any, ...]:
    """Sizes as integers in the order given, optional ones as None, or ValueError."""
    return tuple(
        None
        if size is None and name in _OPTIONAL
        else checked_size(f"GAN: {name}", size, _MOST[name])
        for name, size in sizes.items()
    )


def check_choices(objective: str, architecture: str, norm: object) -> None:
    """ValueError for the first that is none of its words."""
    if not isinstance(objective, str) or objective not in OBJECTIVES:
        raise ValueError(
            f"GAN: objective must be one of {', '.join(OBJECTIVES)}, got {objective!r:.80}"
        )
    if architecture not in ("mlp", "dcgan"):
        raise ValueError(f"GAN: architecture must be 'mlp' or 'dcgan', got {architecture!r:.80}")
    if norm not in ("batch", "group", None):
        raise ValueError(f"GAN: norm must be 'batch', 'group' or None, got {norm!r:.80}")


def check_weights(objective: str, smoothing: object, **weights: object) -> None:
    """ValueError for a weight of a penalty below 0, or labels smoothed that there are not."""
    for name, weight in weights.items():
        if not _is_number(weight) or not 0 <= weight < math.inf:  # type: ignore[operator]
            raise ValueError(f"GAN: {name} must be a number of at least 0, got {weight!r:.80}")
    if not _is_number(smoothing) or not 0 <= smoothing < 1:  # type: ignore[operator]
        raise ValueError(
            f"GAN: label_smoothing must be at least 0 and below 1, got {smoothing!r:.80}"
        )
    if smoothing and not OBJECTIVES[objective].has_labels:
        raise ValueError(
            f"GAN: label_smoothing must be 0 for {objective!r}, which has no labels, "
            f"got {smoothing}"
        )


def check_modules(spectral_norm: object, **modules: object) -> None:
    """ValueError for a player that is no module, or spectral normalisation of a user's own."""
    for name, module in modules.items():
        if module is not None and not isinstance(module, nn.Module):
            raise ValueError(f"GAN: {name} must be an nn.Module or None, got {module!r:.80}")
    if not isinstance(spectral_norm, bool):
        raise ValueError(f"GAN: spectral_norm must be True or False, got {spectral_norm!r:.80}")
    if spectral_norm and modules["discriminator"] is not None:
        raise ValueError(
            "GAN: spectral_norm must be False for a discriminator of your own, which you can put "
            "torch.nn.utils.parametrizations.spectral_norm on"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
