"""Conditioning: what a label, a vector and a map of features add to the inputs of a layer."""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor, nn

__all__ = ["Conditioning"]


class Conditioning(nn.Module):
    """Adds `V y` to pre-activations, for every condition y: van den Oord et al. 2016b, equation 4.

    There is no bias: the layer has one. A map of features is seen pixel by pixel, through a 1x1
    convolution (the paper's section 2.3, for conditions that have a place).

    Args:
        width: Channels of what is added to.
        classes: Number of labels, or None for no label.
        vector: Width of a vector, or None.
        features: Channels of a map, or None.
    """

    def __init__(
        self,
        width: int,
        classes: int | None = None,
        vector: int | None = None,
        features: int | None = None,
    ) -> None:
        super().__init__()
        self.classes = None if classes is None else nn.Embedding(classes, width)
        self.vector = None if vector is None else nn.Linear(vector, width, bias=False)
        self.features = None if features is None else nn.Conv2d(features, width, 1, bias=False)

    def forward(
        self,
        input: Float[Tensor, "n width h w"],
        classes: Int64[Tensor, " n"] | None = None,
        vector: Float[Tensor, "n v"] | None = None,
        features: Float[Tensor, "n f h w"] | None = None,
    ) -> Float[Tensor, "n width h w"]:
        """`input` and what the conditions add.

        Raises:
            ValueError: A condition is missing, or there is no place for it.
        """
        for name, value in {"classes": classes, "vector": vector, "features": features}.items():
            if (getattr(self, name) is None) != (value is None):
                wanted = "None" if getattr(self, name) is None else "a tensor"
                got = "None" if value is None else "a tensor"
                raise ValueError(f"forward: {name} must be {wanted} for this model, got {got}")
        if self.classes is not None:
            input = input + self.classes(classes)[:, :, None, None]
        if self.vector is not None and vector is not None:
            vector = vector.to(self.vector.weight.dtype)
            input = input + self.vector(vector)[:, :, None, None]
        if self.features is not None and features is not None:
            input = input + self.features(features.to(self.features.weight.dtype))
        return input
