"""The compiled program of a model: made once, made anew when the weights differ, never stale."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.nn.utils.parametrize import is_parametrized

from genfast._extension import core
from genfast.program import Program

__all__ = ["Compiled", "NotCompilableError", "choose_backend", "compiled", "weights_hash"]

BACKENDS = ("auto", "cpu", "cuda", "reference")


class NotCompilableError(ValueError):
    """The model does something that its program does not say."""


@dataclass(frozen=True)
class Compiled:
    """A program with its weights packed for one instruction set.

    Args:
        program: The optimised program.
        executor: `_core.Executor` of it.
        key: What it was made from; another key makes it stale.
    """

    program: Program
    executor: Any
    key: tuple[int, str]


_KEPT: WeakKeyDictionary[nn.Module, Compiled] = WeakKeyDictionary()
_LOCK = threading.Lock()


def compiled(model: Any) -> Compiled:
    """The compiled program of `model` as its weights are now.

    A 64-bit hash of all parameters and buffers decides: version counters miss fused optimisers
    and writes to `.data`.

    Args:
        model: An nn.Module with `program()`.

    Raises:
        NotCompilableError: The model does something that its program does not say.
        FloatingPointError: A weight is not finite.
    """
    check_visible(model)
    key = (weights_hash(model), core.default_isa())
    with _LOCK:
        kept = _KEPT.get(model)
    if kept is None or kept.key != key:
        program = model.program().optimized()
        kept = Compiled(program, core.Executor(program.lower(), key[1]), key)
        with _LOCK:
            _KEPT[model] = kept
    return kept


def choose_backend(model: Any, backend: str) -> tuple[Compiled | None, str]:
    """What serves `model`, and why: the compiled program, or None for the reference.

    Args:
        model: What is drawn from.
        backend: "auto", "cpu", "cuda" or "reference"; only "auto" may fall back.

    Raises:
        ValueError: An unknown backend, or a named one that cannot serve, with the reason.
        FloatingPointError: A weight is not finite.
    """
    if backend not in BACKENDS:
        raise ValueError(f"draw: backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if backend == "cuda":
        raise ValueError(
            "draw: backend 'cuda' does not draw sequences or images yet; use 'auto' or 'cpu'"
        )
    if backend == "reference":
        return None, "asked for"
    try:
        return compiled(model), "the program says all that the model does"
    except NotCompilableError as reason:
        if backend == "cpu":
            raise ValueError(f"draw: backend 'cpu' cannot serve: {reason}") from reason
        return None, str(reason)


def check_visible(model: nn.Module) -> None:
    """NotCompilableError when something changes what `forward` computes, unseen by a program."""
    kind = type(model)
    writer = next((base for base in kind.__mro__ if "program" in vars(base)), None)
    if writer is None:
        raise NotCompilableError(f"{kind.__name__} has no program")
    # A subclass that writes its own forward has to write its own program, too.
    for method in ("forward", "__call__"):
        owner = next(base for base in kind.__mro__ if method in vars(base))
        if not issubclass(writer, owner):
            raise NotCompilableError(
                f"{owner.__name__} overrides {method} and has no program of its own"
            )
    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        raise NotCompilableError("a global forward hook is registered")
    for path, part in model.named_modules():
        reason = _invisible(part)
        if reason:
            raise NotCompilableError(f"{path or kind.__name__} {reason}")


def _invisible(part: nn.Module) -> str | None:
    """What makes this module compute something else than its type says."""
    if part._forward_hooks or part._forward_pre_hooks:
        return "has a forward hook"
    if is_parametrized(part):
        return "is parametrized"
    if "forward" in vars(part):
        return "has a forward of its own"
    return None


def weights_hash(model: nn.Module) -> int:
    """64-bit hash of every parameter and buffer: order, names, shapes, dtypes, bytes.

    What the modules say of themselves counts, too: a layer exchanged for one of other settings has
    other weights only by chance.
    """
    tensors: list[tuple[str, Tensor]] = [*model.named_parameters(remove_duplicate=False)]
    tensors += model.named_buffers(remove_duplicate=False)
    described = [repr(model), *(f"{name} {t.dtype} {tuple(t.shape)}" for name, t in tensors)]
    text = np.frombuffer("\n".join(described).encode(), np.uint8)
    return int(core.weight_hash([text, *(_bytes(tensor) for _, tensor in tensors)]))


def _bytes(tensor: Tensor) -> Tensor:
    """The bytes of a tensor on the CPU, whatever its dtype; a view where that is possible."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
