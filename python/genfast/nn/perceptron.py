"""Perceptron: fully connected layers between tensors of any two shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from genfast.files.limits import (
    MOST_CLASSES,
    MOST_DEPTH,
    MOST_ELEMENTS,
    MOST_WIDTH,
    checked_size,
)
from genfast.nn.options import checked_keys, with_condition

__all__ = ["Perceptron"]

_ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
}
_FINALS: Mapping[str, type[nn.Module]] = {"none": nn.Identity, "tanh": nn.Tanh}
_MOST_NUMBERS = 2**32


class Perceptron(nn.Module):
    """`outputs` numbers of `inputs` numbers, through `depth` hidden layers of `width` units.

    Args:
        inputs: Shape of a row that comes in.
        outputs: Shape of a row that goes out; the product of either is at most 2**32.
        width: Units of a hidden layer, 1 to 65,536.
        depth: Hidden layers, 1 to 1,024.
        condition: Width of what else it is told, None for nothing; it stands beside the inputs.
        activation: "silu", "relu" or "leaky_relu" (of slope 0.01).
        final: "none", or "tanh" for outputs from -1 to 1.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        *,
        width: int = 256,
        depth: int = 2,
        condition: int | None = None,
        activation: str = "silu",
        final: str = "none",
    ) -> None:
        super().__init__()
        self.inputs, self.outputs = _checked("inputs", inputs), _checked("outputs", outputs)
        self.width = checked_size("Perceptron: width", width, MOST_WIDTH)
        self.depth = checked_size("Perceptron: depth", depth, MOST_DEPTH)
        self.condition = None
        if condition is not None:
            self.condition = checked_size("Perceptron: condition", condition, MOST_CLASSES)
        for name, value, known in (
            ("activation", activation, _ACTIVATIONS),
            ("final", final, _FINALS),
        ):
            if not isinstance(value, str) or value not in known:
                raise ValueError(
                    f"Perceptron: {name} must be one of {', '.join(known)}, got {value!r:.80}"
                )
        self.activation, self.final = activation, final
        sizes = [math.prod(self.inputs) + (self.condition or 0)] + [self.width] * self.depth
        layers = ((nn.Linear(*pair), _ACTIVATIONS[activation]()) for pair in pairwise(sizes))
        self.hidden = nn.Sequential(*(part for layer in layers for part in layer))
        self.readout = nn.Linear(self.width, math.prod(self.outputs))
        self.squash = _FINALS[final]()

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor as JSON."""
        return {
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "width": self.width,
            "depth": self.depth,
            "condition": self.condition,
            "activation": self.activation,
            "final": self.final,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Perceptron:
        """The module that `config()` wrote down, with new weights, or ValueError."""
        return cls(**checked_keys("Perceptron", config, cls.__init__))

    def forward(
        self, x: Float[Tensor, " n *inputs"], condition: Float[Tensor, "n k"] | None = None
    ) -> Float[Tensor, " n *outputs"]:
        """What goes out.

        Args:
            x: (N, *inputs).
            condition: (N, K), where the module was made with one.
        """
        flat = with_condition("Perceptron", x.flatten(1), condition, self.condition)
        output: Tensor = self.squash(self.readout(self.hidden(flat)))
        return output.reshape(x.shape[0], *self.outputs)


def _checked(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(sizes, Sequence) or isinstance(sizes, str) or not 1 <= len(sizes) <= 4:
        raise ValueError(f"Perceptron: {name} must be 1 to 4 sizes, got {sizes!r:.80}")
    right = tuple(checked_size(f"Perceptron: {name}", size, MOST_ELEMENTS) for size in sizes)
    if math.prod(right) > _MOST_NUMBERS:
        raise ValueError(f"Perceptron: {name} must hold at most 2**32 numbers, got {right}")
    return right
