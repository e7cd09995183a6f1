"""The compiled program of a model: made once, made anew when the weights differ, never stale."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from torch import nn
from torch.nn.modules import module as torch_module
from torch.nn.utils.parametrize import is_parametrized

from genfast import engines
from genfast._extension import core
from genfast.engines import Engine, RefusedError
from genfast.hashing import weights_hash
from genfast.program import Program

__all__ = [
    "Choice",
    "Compiled",
    "FallbackWarning",
    "NotCompilableError",
    "choose_backend",
    "compiled",
    "find_backend",
]

BACKENDS = ("auto", "cpu", "cuda", "reference")


class NotCompilableError(ValueError):
    """The model does something that its program does not say."""


class FallbackWarning(UserWarning):
    """Samples of a model on a GPU are drawn on the CPU."""


@dataclass(frozen=True)
class Compiled:
    """A program with its weights packed for one engine.

    Args:
        program: The optimised program.
        executor: What the engine made of it.
        key: Hash of the weights that it was made from, and the engine; another key makes it stale.
    """

    program: Program
    executor: Any
    key: tuple[int, Engine]

    @property
    def engine(self) -> Engine:
        """What it draws on."""
        return self.key[1]

    def session(self, n: int) -> Any:
        """A core session of `n` rows."""
        return self.engine.session(self.executor, n)


class Choice(NamedTuple):
    """What serves a model: a compiled program, or None for the reference.

    `reason` says why; `refusal` why not the GPU that the model is on, "" where that is no question.
    """

    served: Compiled | None
    reason: str
    refusal: str = ""


# Of each model what its present weights were compiled to, at most once for an engine.
_KEPT: WeakKeyDictionary[nn.Module, tuple[Compiled, ...]] = WeakKeyDictionary()
_LOCK = threading.Lock()
# Refusals that were told.
_TOLD: set[str] = set()


def compiled(model: Any, engine: Engine | None = None) -> Compiled:
    """The compiled program of `model` as its weights are now.

    A 64-bit hash of all parameters and buffers decides: version counters miss fused optimisers
    and writes to `.data`.

    Args:
        model: An nn.Module with `program()`.
        engine: What it is to run on; the CPU by its widest instruction set when None.

    Raises:
        NotCompilableError: The model does something that its program does not say.
        RefusedError: The engine cannot run the program.
        FloatingPointError: A weight is not finite.
    """
    check_visible(model)
    engine = engine or engines.CpuEngine(core.default_isa())
    key = (weights_hash(model), engine)
    with _LOCK:
        kept = [one for one in _KEPT.get(model, ()) if one.key[0] == key[0]]
    for one in kept:
        if one.engine == engine:
            return one
    program = kept[0].program if kept else model.program().optimized()
    made = Compiled(program, engine.executor(program.lower()), key)
    with _LOCK:
        _KEPT[model] = (*kept, made)
    return made


def choose_backend(model: Any, backend: str) -> tuple[Compiled | None, str]:
    """What serves `model`, and why: the compiled program, or None for the reference.

    Warns once for each reason where "auto" draws from a model on a GPU on the CPU.

    Args:
        model: What is drawn from.
        backend: "auto", "cpu", "cuda" or "reference"; only "auto" may fall back.

    Raises:
        ValueError: An unknown backend, or a named one that cannot serve, with the reason.
        FloatingPointError: A weight is not finite.
    """
    choice = find_backend(model, backend)
    if choice.refusal and choice.refusal not in _TOLD:
        _TOLD.add(choice.refusal)
        warnings.warn(
            f"draw: the model is on a GPU, its samples are drawn on the CPU: {choice.refusal}. "
            "backend='cpu' draws there without this warning",
            FallbackWarning,
            stacklevel=2,
        )
    return choice.served, choice.reason


def find_backend(model: Any, backend: str) -> Choice:
    """`choose_backend` without a warning."""
    if backend not in BACKENDS:
        raise ValueError(f"draw: backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if backend == "reference":
        return Choice(None, "asked for")
    try:
        return _find_compiled(model, backend)
    except (NotCompilableError, RefusedError) as reason:
        if backend != "auto":
            raise ValueError(f"draw: backend {backend!r} cannot serve: {reason}") from reason
        return Choice(None, str(reason))


def _find_compiled(model: Any, backend: str) -> Choice:
    """The compiled program of the engine that is asked for, or of the best one for "auto"."""
    why, refusal = "the program says all that the model does", ""
    if backend == "cuda" or (backend == "auto" and on_gpu(model)):
        try:
            return Choice(compiled(model, engines.CudaEngine.of(model)), why)
        except RefusedError as reason:
            if backend == "cuda":
                raise
            refusal = str(reason)
    served = compiled(model)
    return Choice(served, f"{why}; not on the GPU: {refusal}" if refusal else why, refusal)


def on_gpu(model: nn.Module) -> bool:
    """Whether the model's parameters are on a GPU that CUDA drives."""
    first = next(model.parameters(), None)
    return first is not None and first.device.type == "cuda"


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
