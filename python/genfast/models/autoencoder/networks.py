"""The encoders and decoders that are given: which class, made of which arguments."""

from __future__ import annotations

from typing import Any, TypeAlias

from genfast.models.registry import register
from genfast.nn import ConvolutionalDecoder, ConvolutionalEncoder, Perceptron

__all__ = ["ARCHITECTURES", "DEFAULTS", "Network", "decoder_of", "encoder_of"]

#: A class, and what its `config()` says of the instance.
Network: TypeAlias = tuple[type[Any], dict[str, Any]]

#: Width and depth of each architecture where none are given.
DEFAULTS = {"mlp": (256, 2), "convolutional": (32, 1)}
ARCHITECTURES = tuple(DEFAULTS)

# So that a model which was given one of another size can be saved.
for _kind in (Perceptron, ConvolutionalEncoder, ConvolutionalDecoder):
    register(_kind)


def encoder_of(model: Any, outputs: int) -> Network:
    """An encoder for a model with `architecture`, `shape`, `width`, `depth`, `classes`.

    Args:
        model: The model.
        outputs: Numbers that it gives of an example.
    """
    sizes = {"width": model.width, "depth": model.depth, "condition": model.classes}
    if model.architecture == "mlp":
        return Perceptron, _perceptron(list(model.shape), [outputs], sizes)
    return ConvolutionalEncoder, {"shape": list(model.shape), "outputs": outputs, **sizes}


def decoder_of(model: Any, parameters: int) -> Network:
    """A decoder for such a model.

    Args:
        model: The model, with `latent`, too.
        parameters: Numbers that it gives for an element of an example.
    """
    sizes = {"width": model.width, "depth": model.depth, "condition": model.classes}
    if model.architecture == "mlp":
        outputs = list(model.shape) if parameters == 1 else [parameters, *model.shape]
        return Perceptron, _perceptron([model.latent], outputs, sizes)
    return ConvolutionalDecoder, {
        "inputs": model.latent,
        "shape": list(model.shape),
        "parameters": parameters,
        **sizes,
    }


def _perceptron(inputs: list[int], outputs: list[int], sizes: dict[str, Any]) -> dict[str, Any]:
    return {"inputs": inputs, "outputs": outputs, **sizes, "activation": "silu", "final": "none"}
