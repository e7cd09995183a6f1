"""Networks that a user may replace: called and checked, and written into the config of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genfast.arguments import described
from genfast.models.registry import is_registered, registered

__all__ = ["is_traced", "module_config", "module_of", "output_of"]


def output_of(
    name: str, module: nn.Module, shapes: Sequence[tuple[int, ...]], *inputs: Tensor
) -> Any:
    """What a module makes of its inputs.

    Args:
        name: Of the module, for the message: "VAE: encoder".
        module: Called with `inputs`.
        shapes: Those that its output may have.
        inputs: The first is what it works on, a second one the condition.

    Raises:
        ValueError: The output is no tensor of such a shape; that and the right one are said.
    """
    output = module(*inputs)
    if is_traced():
        return output
    if not isinstance(output, Tensor) or tuple(output.shape) not in shapes:
        wanted = " or ".join(map(str, shapes))
        given = ", ".join(str(tuple(value.shape)) for value in inputs)
        raise ValueError(f"{name} must give {wanted} for inputs {given}, got {described(output)}")
    return output


def is_traced() -> bool:
    """Whether a compiler or an exporter looks on: numbers cannot be checked then."""
    return torch.compiler.is_compiling()


def module_config(name: str, module: nn.Module) -> dict[str, Any]:
    """A module of the user's own as JSON: its registered class, and its `config()`.

    Args:
        name: For the message: "VAE: encoder".
        module: The module.

    Raises:
        ValueError: Its class is not registered.
    """
    kind = type(module)
    if not is_registered(kind):
        raise ValueError(
            f"{name} must be of a class with config() and from_config() and @genfast.register "
            f"before it, so that a saved model can be loaded, got a {kind.__name__}"
        )
    return {"class": kind.__name__, "arguments": module.config()}  # type: ignore[operator]


def module_of(name: str, config: object) -> nn.Module:
    """The module that `module_config` wrote down, with new weights.

    Raises:
        ValueError: The config is malformed, its class is unknown, or refuses the arguments.
    """
    if not isinstance(config, Mapping) or set(config) != {"class", "arguments"}:
        raise ValueError(f"{name} must have the keys class and arguments, got {config!r:.80}")
    if not isinstance(config["class"], str) or not isinstance(config["arguments"], Mapping):
        raise ValueError(f"{name} must be a name and arguments, got {config!r:.80}")
    module = registered(config["class"]).from_config(config["arguments"])
    if not isinstance(module, nn.Module):
        raise ValueError(f"{name}: from_config gave a {type(module).__name__}, no nn.Module")
    return module
