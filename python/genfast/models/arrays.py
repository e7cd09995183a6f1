"""Weights of a model as the arrays of a program."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genfast.compiled import NotCompilableError

__all__ = ["Array", "weight_array"]

Array = NDArray[np.float32]


def weight_array(module: nn.Module, path: str, name: str) -> Array:
    """A float32 copy of a parameter on the CPU.

    Args:
        module: Whose parameter it is.
        path: Of the module, for errors.
        name: Of the parameter.

    Raises:
        NotCompilableError: It is no plain nn.Parameter, or a readout's bias of -inf.
        FloatingPointError: It is not finite, named with its place.
    """
    weight = getattr(module, name)
    if type(weight) is not nn.Parameter:
        raise NotCompilableError(
            f"{path}.{name} is a {type(weight).__name__}, no plain nn.Parameter"
        )
    array = weight.detach().to("cpu", torch.float32, copy=True)
    _check_finite(f"{path}.{name}", array)
    result: Array = array.numpy()
    return result


def _check_finite(name: str, weight: Tensor) -> None:
    """FloatingPointError unless finite; a readout's bias of -inf, which excludes a symbol, is right
    for `forward` but not for a program."""
    wrong = ~weight.isfinite()
    if name.endswith("readout.bias") and wrong.any() and (weight[wrong] == -torch.inf).all():
        raise NotCompilableError(f"{name} is -inf for some symbols")
    if wrong.any():
        place = tuple(int(i) for i in wrong.nonzero()[0])
        raise FloatingPointError(f"program: weight {name} is {weight[place].item()} at {place}")
