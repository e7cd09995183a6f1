"""`genfast sample` for models of one pass: latents of a seed, and what is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from genfast.models.latent import LatentModel

if TYPE_CHECKING:
    from genfast.commands.sample_images import ImageOptions

__all__ = ["draw_in_one_pass", "is_one_pass"]

# What these models have not; None where it is left out.
_MISSING = ("top_k", "top_p")


def is_one_pass(model: Any) -> bool:
    """Whether a model's samples are made of latents, in one pass."""
    return isinstance(model, LatentModel)


def draw_in_one_pass(
    options: ImageOptions, model: Any, seed: int, classes: Tensor | None
) -> Float[Tensor, " n *shape"]:
    """Samples: shares of the highest level, or real numbers.

    Raises:
        ValueError: An option is wrong for this model.
    """
    for name in _MISSING:
        if getattr(options, name) is not None:
            raise ValueError(
                f"sample: {name} is no option for a model that draws in one pass, got "
                f"{getattr(options, name)}"
            )
    arguments: dict[str, Any] = {
        "seed": seed,
        "index": options.index,
        "temperature": options.temperature,
        "truncation": options.truncation,
    }
    if options.backend in ("cpu", "cuda"):
        raise ValueError(
            "sample: backend must be auto, reference or onnx for a model that draws in one pass, "
            f"got {options.backend}"
        )
    if options.backend == "onnx":
        from genfast.runtime import Sampler

        labels = None if classes is None else classes.numpy()
        drawn = Sampler(options.run).sample(options.num, classes=labels, **arguments)
        return torch.from_numpy(drawn.values)
    given = {} if classes is None else {"classes": classes}
    made: Tensor = model.sample(options.num, **arguments, **given)
    return made
