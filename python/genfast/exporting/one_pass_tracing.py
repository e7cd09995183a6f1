"""A module of PyTorch as an ONNX graph, by torch's own exporter.

Of its two ways the one through `torch.export` is taken: the other, by TorchScript, is deprecated.
It needs the package onnxscript.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genfast.compiled import NotCompilableError
from genfast.exporting.nodes import OPSET
from genfast.models.latent import LatentModel

__all__ = ["plain_copy", "trace"]


def plain_copy(model: LatentModel) -> LatentModel:
    """The model in evaluation mode on the CPU, in float32, its parametrisations computed.

    Raises:
        NotCompilableError: A module cannot be copied.
    """
    try:
        copied = copy.deepcopy(model)
    except Exception as error:
        raise NotCompilableError(
            f"export: {type(model).__name__} cannot be exported: it cannot be copied: "
            f"{_reason(error)}"
        ) from error
    copied.eval().requires_grad_(False).to("cpu", torch.float32)
    for module in list(copied.modules()):
        if parametrize.is_parametrized(module):
            _compute(module)
    return copied


def _compute(module: nn.Module) -> None:
    """Puts what parametrisations give in their place.

    `remove_parametrizations` takes them from the class, which the module that was copied shares.
    """
    parametrized: Any = module._modules["parametrizations"]
    values = {name: getattr(module, name).detach() for name in parametrized}
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module._modules["parametrizations"]
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value, requires_grad=False))


def trace(module: nn.Module, name: str, examples: Mapping[str, Tensor | None]) -> Any:
    """The graph of a module in evaluation mode, for batches of any size.

    Args:
        module: Its arguments are tensors whose first axis is the batch, or None; its results are
            such tensors.
        name: What it is, for errors.
        examples: Arguments, by the names of the graph's inputs; two rows at least.

    Returns:
        An `onnx.GraphProto`, of standard operators alone and no graph inside.

    Raises:
        NotCompilableError: torch's exporter does not follow a module, and which that is; or it
            makes what no such graph says.
    """
    with _quiet(), torch.no_grad():
        program = _followed(module, name, examples)
        try:
            made = torch.onnx.export(
                program,
                input_names=[name for name, x in examples.items() if x is not None],
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                optimize=True,
                verbose=False,
            )
        except Exception as error:
            raise _refusal(name, "", error) from error
    assert made is not None
    return _checked(made.model_proto, name)


def _followed(module: nn.Module, name: str, examples: Mapping[str, Tensor | None]) -> Any:
    """What `torch.export` makes of a module.

    It follows tensors through Python. Where that fails it follows Python's own bytecode, which
    takes longer and knows what `len(x)` is.
    """
    batch = torch.export.Dim("batch")
    sides = tuple(None if x is None else {0: batch} for x in examples.values())

    def follow(strict: bool) -> Any:
        arguments = tuple(examples.values())
        return torch.export.export(module, arguments, dynamic_shapes=sides, strict=strict)

    with _whereabouts(module) as inside:
        try:
            return follow(strict=False)
        except Exception as error:
            refusal = _refusal(name, f" at {inside[-1]}" if inside else "", error)
    try:
        return follow(strict=True)
    except Exception as error:
        raise refusal from error


def _refusal(name: str, where: str, error: Exception) -> NotCompilableError:
    return NotCompilableError(
        f"export: {name} cannot be exported: torch's exporter fails{where}: {_reason(error)}"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of itself: of warnings nobody here can heed, and packages that
    are not there."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


@contextmanager
def _whereabouts(module: nn.Module) -> Iterator[list[str]]:
    """Names and classes of the modules that a forward pass is inside of, the innermost last."""
    inside: list[str] = []

    def enter(said: str) -> Any:
        return lambda *_: inside.append(said)

    def leave(*_: Any) -> None:
        inside.pop()

    hooks = []
    for name, child in module.named_modules():
        if name not in ("", "model"):
            said = f"{name.removeprefix('model.')} ({type(child).__name__})"
            hooks.append(child.register_forward_pre_hook(enter(said)))
            hooks.append(child.register_forward_hook(leave))
    try:
        yield inside
    finally:
        for hook in hooks:
            hook.remove()


def _checked(model: Any, name: str) -> Any:
    """The graph, without functions of its own."""
    from onnx import inliner

    graph = (inliner.inline_local_functions(model) if model.functions else model).graph
    for node in graph.node:
        nested = any(attribute.HasField("g") for attribute in node.attribute)
        if nested or node.domain not in ("", "ai.onnx"):
            what = "a graph inside" if nested else f"the domain {node.domain}"
            raise NotCompilableError(
                f"export: {name} cannot be exported: its operator {node.op_type} has {what}"
            )
    return graph


def _reason(error: BaseException) -> str:
    """The first line of what went wrong at first."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"
