"""Models without weights: built on the meta device, compared with a file, given its tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from genfast.files.weights import DTYPES

__all__ = ["blank_model", "check_fits", "give_weights"]


def blank_model(kind: Any, arguments: Mapping[str, Any], stored: int, where: str) -> nn.Module:
    """`kind.from_config(arguments)` with shapes and no memory.

    Args:
        kind: The class.
        arguments: What its `config()` gave.
        stored: How many tensors there are to fill it; building ends when it asks for many more.
        where: Begins an error.

    Raises:
        ValueError: The class cannot be built of these arguments, with its reason.
    """
    try:
        with torch.device("meta"), _Blank(stored):
            model = kind.from_config(arguments)
    except Exception as error:
        # The arguments come from a file: whatever a class makes of them is the file's fault.
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{where}: {reason}") from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"{where}: from_config gave a {type(model).__name__}, no nn.Module")
    return model


def check_fits(
    model: nn.Module, tensors: Mapping[str, tuple[str, tuple[int, ...]]], where: str
) -> None:
    """ValueError unless names, shapes and kinds of tensors are those of a model.

    Args:
        model: Its tensors may lie on the meta device.
        tensors: dtype and shape by name; any floating dtype does where the model has one.
        where: Begins an error.
    """
    wanted = model.state_dict()
    for name in [*wanted, *tensors]:
        if name not in tensors or name not in wanted:
            what = "is missing" if name not in tensors else "is no tensor of the model"
            raise ValueError(f"{where}: {name[:80]!r} {what}")
        (dtype, shape), tensor = tensors[name], wanted[name]
        if shape != tuple(tensor.shape):
            raise ValueError(f"{where}: {name} must be {tuple(tensor.shape)}, got {shape}")
        floats = tensor.dtype.is_floating_point and DTYPES[dtype].is_floating_point
        if not floats and DTYPES[dtype] != tensor.dtype:
            raise ValueError(f"{where}: {name} must be {tensor.dtype}, got {dtype}")


def give_weights(model: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Makes tensors the parameters and buffers of a blank model, as they are.

    Weights that the model holds under two names are one again afterwards.

    Raises:
        ValueError: The model holds a tensor that its `state_dict` does not.
    """
    tied = _tied_names(model)
    model.load_state_dict(weights, assign=True)
    for first, *others in tied:
        for name in others:
            path, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(path), leaf, model.get_parameter(first))
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise ValueError(f"{where}: {name} of the model is not in its state_dict")


def _tied_names(model: nn.Module) -> Iterable[list[str]]:
    """The names of each parameter, where it has several."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [several for several in names.values() if len(several) > 1]


class _Blank(TorchFunctionMode):
    """Leaves weights as they are where a constructor would draw them, and counts what it makes.

    On the meta device there is nothing to draw, and torch imports its compiler to find out. A
    thousand layers take half a second and some megabytes to describe; few bytes can ask for them.
    """

    def __init__(self, stored: int) -> None:
        super().__init__()
        self._stored, self._left = stored, 2 * stored + 64

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWS:
            return kwargs.get("tensor", args[0] if args else None)
        self._left -= func is torch.empty
        if self._left < 0:
            raise ValueError(f"the arguments ask for more than {self._stored} tensors")
        return func(*args, **kwargs)


_DRAWS = frozenset({nn.init.normal_, nn.init.uniform_, Tensor.normal_, Tensor.uniform_})
