"""Everybody of the PixelCNN benchmark: forward passes, the compiled core, and rivals."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import genfast
from bench.cached_torch import CachedDrawer
from bench.image_task import CACHED, EXPORTED, FORWARD, NAIVE, OURS, Contender, ImageTask
from bench.onnx_site import open_session
from genfast import PixelCNN
from genfast._extension import core
from genfast.compiled import compiled
from genfast.nn import MaskedConv2d

#: Pixels that the naive draw really makes; its time is scaled to all.
NAIVE_PIXELS = 3


def contenders(task: ImageTask, threads: tuple[int, ...]) -> Iterator[Contender]:
    """One by one; the core first, whose images all others are held against."""
    model, uniforms = task.model(), task.uniforms()
    yield from _core(task, model, uniforms, threads)
    # The network at its best needs all threads; so do those that rerun it.
    most = max(threads)
    forms = dict(_forwards(task, model))
    for form, forward in forms.items():
        yield Contender(FORWARD, form, most, _inferring(forward), prepare=_threads(most))
    pixels = task.side * task.side * task.channels
    for form in ("eager", "compiled"):
        run = _inferring(_naive(forms[form], uniforms))
        yield Contender(NAIVE, form, most, run, pixels / NAIVE_PIXELS, _threads(most))
    program = compiled(model).program
    for form in ("eager", "compiled"):
        drawer = CachedDrawer(program, task.batch, form == "compiled")
        for count in threads:
            yield Contender(CACHED, form, count, _of(drawer.draw, uniforms), 1.0, _threads(count))
    yield from _exported(task, model, uniforms, threads)


def _of(draw: Callable[[Tensor], Any], uniforms: Tensor) -> Callable[[], Any]:
    return lambda: draw(uniforms)


def _threads(count: int) -> Callable[[], None]:
    return lambda: torch.set_num_threads(count)


def _inferring(function: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        with torch.inference_mode():
            function()

    return run


def _core(
    task: ImageTask, model: PixelCNN, uniforms: Tensor, threads: tuple[int, ...]
) -> Iterator[Contender]:
    """The compiled draw, from arrays bound once, as `sample` binds them."""
    executor = compiled(model).executor
    for count in threads:
        yield Contender(
            OURS,
            f"core {executor.isa}",
            count,
            lambda count=count: _draw(task, executor, uniforms, count),
        )


def _draw(task: ImageTask, executor: Any, uniforms: Tensor, threads: int) -> Tensor:
    session = core.Session(executor, task.batch)
    session.options(
        np.ones(task.batch, np.float32),
        np.zeros(task.batch, np.int64),
        np.ones(task.batch, np.float32),
    )
    values = torch.empty(uniforms.shape, dtype=torch.int64)
    session.bind(uniforms, values)
    session.advance(0, uniforms.shape[1], threads)
    return values


def _forwards(task: ImageTask, model: PixelCNN) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """One pass of the network over a batch in every form, masks applied once."""
    shape = (task.batch, task.channels, task.side, task.side)
    x = torch.randint(task.levels, shape, generator=torch.Generator().manual_seed(0))
    plain = _unmasked(model)
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    encoded = plain.encode(x)
    layouts = {"": (plain, encoded)}
    layouts["channels_last"] = (last, encoded.to(memory_format=torch.channels_last))
    for layout, (network, given) in layouts.items():
        for form, run in (("eager", network.network), ("compiled", torch.compile(network.network))):
            name = f"{form} {layout}".strip()
            yield name, lambda run=run, given=given: run(given)


def _unmasked(model: PixelCNN) -> PixelCNN:
    """A twin whose masked convolutions are plain ones that hold their masked weights."""
    twin = copy.deepcopy(model)
    for path, part in list(twin.named_modules()):
        if isinstance(part, MaskedConv2d):
            plain = torch.nn.Conv2d(
                part.in_channels,
                part.out_channels,
                part.kernel_size,  # type: ignore[arg-type]
                padding=tuple(k // 2 for k in part.kernel_size),  # type: ignore[arg-type]
                bias=part.bias is not None,
            )
            plain.load_state_dict(part.state_dict())
            plain.weight.data *= part.mask
            parent, _, name = path.rpartition(".")
            setattr(twin.get_submodule(parent), name, plain)
    return twin.eval()


def _naive(forward: Callable[[], Tensor], uniforms: Tensor) -> Callable[[], None]:
    """A few pixels as users draw them: the whole network, one pixel of it kept."""

    def run() -> None:
        for pixel in range(NAIVE_PIXELS):
            scores = forward().flatten(1, 3)[:, pixel]
            sums = torch.softmax(scores, -1).cumsum(-1)
            (sums <= uniforms[:, pixel, :1]).sum(-1)

    return run


def _exported(
    task: ImageTask, model: PixelCNN, uniforms: Tensor, threads: tuple[int, ...]
) -> Iterator[Contender]:
    """The exported sampler in ONNX Runtime, from a seed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sampler"
        genfast.export(model, path, step=False)
        graph = (path / "1" / "model.onnx").read_bytes()
    n = task.batch
    feeds = {
        "seed": np.zeros((n, 1), np.int64),
        "index": np.arange(n)[:, None],
        "temperature": np.ones((n, 1), np.float32),
        "given": np.full((n, task.channels, task.side, task.side), -1),
    }
    for count in threads:
        session = open_session(graph, count)
        yield Contender(EXPORTED, "onnxruntime", count, lambda s=session: _values(s, feeds))


def _values(session: Any, feeds: dict[str, Any]) -> Tensor:
    images = torch.from_numpy(session.run(["values"], feeds)[0])
    return images.flatten(2).transpose(1, 2)
