"""Recurrent rivals on a GPU: steps of `rivals_torch`, and four ways of calling one for every site.

    eager      PyTorch launches every kernel of every site
    a step     one site is a CUDA graph, replayed once a site
    all sites  all sites of a draw are one CUDA graph: nothing of the host is left between them

each with the step as it stands or compiled, head and draw with it. Forms are those of
`rivals_torch`: `module` is cuDNN's LSTM or GRU, `cell` PyTorch's cells, `linear` the folded table
with gates by hand, and `joined` the same with one product a layer, of its input and its state side
by side. Compiled, `linear` is a product and one fused kernel a layer; captured whole it is the
strongest that we know to write.

In bfloat16 `module` and `cell` are bfloat16 throughout. `linear` and `joined` multiply in it and
keep table, gates and states in float32, which costs a fused kernel nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench import gpu
from bench.harness import AS_WRITTEN, SAME_ALGEBRA
from bench.image_task import Contender
from bench.rivals_torch import (
    Step,
    cell_step,
    draw_symbol,
    folded_step,
    linear_product,
    module_step,
    own_code,
)
from bench.task import Task, Weights, fold_table

ENGINES = ("eager", "a step", "all sites")
FORMS = ("module", "cell", "linear", "joined")


@dataclass(frozen=True)
class Place:
    """Where rivals compute, and the dtype of their products."""

    device: torch.device
    dtype: torch.dtype

    def step(self, task: Task, weights: Weights, form: str) -> Step:
        """One site of a form."""
        narrow = gpu.placed(self.device, self.dtype)
        wide = gpu.placed(self.device, torch.float32)

        if form == "module":
            return module_step(task, weights, narrow)
        if form == "cell":
            return cell_step(task, weights, narrow)
        if form == "joined":
            return joined_step(task, weights, narrow, wide)
        return folded_step(
            task, weights, lambda t, w, b: linear_product(t, w, b, narrow), table_at=wide
        )

    def zero_states(self, task: Task, form: str) -> list[Tensor]:
        """States before the first site: those of folded forms are float32."""
        kinds = 2 if task.cell == "lstm" else 1
        if form == "module":
            shape, count = (task.depth, task.batch, task.width), kinds
        else:
            shape, count = (task.batch, task.width), kinds * task.depth
        dtype = self.dtype if form in ("module", "cell") else torch.float32
        return [torch.zeros(shape, dtype=dtype, device=self.device) for _ in range(count)]


def joined_step(
    task: Task,
    weights: Weights,
    narrow: Callable[..., Tensor],
    wide: Callable[..., Tensor],
) -> Step:
    """An LSTM whose layers behind the first have one product, of [x, h]; gates in torch's order."""
    assert task.cell == "lstm", "a GRU keeps what comes of its state apart"
    table = wide(fold_table(weights))
    first = linear_product(task, weights.layers[0].w_hh, weights.layers[0].b_hh, narrow)
    joined = [
        (
            linear_product(task, np.concatenate([layer.w_ih, layer.w_hh], 1), None, narrow),
            wide(layer.b_ih + layer.b_hh),
        )
        for layer in weights.layers[1:]
    ]
    readout = linear_product(task, weights.readout, weights.bias, narrow)

    def step(symbol: Tensor, uniform: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        a = table[symbol] + first(states[0])
        h, c = _lstm(a, states[1])
        after = (h, c)
        for j, (product, bias) in enumerate(joined, 1):
            seen = torch.cat([h, states[2 * j]], 1)
            h, c = _lstm(product(seen) + bias, states[2 * j + 1])
            after = (*after, h, c)
        return draw_symbol(readout(h), uniform), *after

    return step


def _lstm(a: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = a.chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


class Sites:
    """Draws all sites of (sites, N, 1) uniforms by one step, from the zero state, in place.

    Args:
        task: What is drawn.
        step: One site.
        states: Of zeros; they are written.
        uniforms: Of all sites.
    """

    def __init__(self, task: Task, step: Step, states: list[Tensor], uniforms: Tensor) -> None:
        self._task, self._step, self._states, self._uniforms = task, step, states, uniforms
        shape, device = uniforms.shape[:2], uniforms.device
        self.drawn = torch.zeros(shape, dtype=torch.int64, device=device)
        self._symbol = torch.full((task.batch,), task.classes, device=device)
        self._site = torch.zeros(1, dtype=torch.int64, device=device)

    @torch.inference_mode()
    def all(self) -> Tensor:
        """Every site, by as many calls; returns symbols (sites, N)."""
        symbol, states = torch.full_like(self._symbol, self._task.classes), self._zeros()
        for site in range(len(self._uniforms)):
            symbol, *states = self._step(symbol, self._uniforms[site], *states)
            self.drawn[site].copy_(symbol)
        return self.drawn

    def _zeros(self) -> list[Tensor]:
        return [torch.zeros_like(state) for state in self._states]

    @torch.inference_mode()
    def one(self) -> None:
        """The next site: which one is counted on the device, so that a graph may be this."""
        uniform = self._uniforms.index_select(0, self._site)[0]
        symbol, *states = self._step(self._symbol, uniform, *self._states)
        self.drawn.index_copy_(0, self._site, symbol[None])
        self._symbol.copy_(symbol)
        for kept, new in zip(self._states, states, strict=True):
            kept.copy_(new)
        self._site += 1

    def begin(self) -> None:
        """Back to the first site."""
        self._symbol.fill_(self._task.classes)
        self._site.zero_()
        for state in self._states:
            state.zero_()


def drawer(sites: Sites, engine: str, device: torch.device) -> Callable[[], Tensor]:
    """A draw of all sites; returns symbols (N, sites)."""
    if engine == "eager":
        return lambda: sites.all().T
    if engine == "all sites":
        graph = gpu.captured(sites.all, device)
        return lambda: graph().T
    with torch.inference_mode():
        graph = gpu.captured(sites.one, device)

    def draw() -> Tensor:
        sites.begin()
        for _ in range(len(sites.drawn)):
            graph()
        return sites.drawn.T

    return draw


def offers(task: Task, compiled: bool) -> Iterator[tuple[str, str, bool]]:
    """(form, engine, whether compiled) of every rival; dynamo refuses `nn.LSTM`."""
    for form in FORMS:
        if form == "joined" and (task.cell == "gru" or task.depth == 1):
            continue  # nothing is to be joined
        for engine in ENGINES:
            yield form, engine, False
        for engine in ENGINES if compiled and form != "module" else ():
            yield form, engine, True


class Rivals:
    """Makes rivals of a row; a form is compiled once for all its engines."""

    def __init__(self, task: Task, weights: Weights, place: Place, uniforms: Tensor) -> None:
        self._task, self._weights, self._place = task, weights, place
        self._uniforms = uniforms.squeeze(-1).T.unsqueeze(-1).contiguous()
        self._steps: dict[tuple[str, bool], Step] = {}

    def make(self, form: str, engine: str, compiled: bool) -> Contender:
        """One of `offers`."""
        step = self._step(form, compiled)
        states = self._place.zero_states(self._task, form)
        sites = Sites(self._task, step, states, self._uniforms)
        kind = AS_WRITTEN if form in ("module", "cell") else SAME_ALGEBRA
        return Contender(
            kind, rival_name(form, engine, compiled), 1, drawer(sites, engine, self._place.device)
        )

    def _step(self, form: str, compiled: bool) -> Step:
        key = form, compiled
        if key not in self._steps:
            step = self._place.step(self._task, self._weights, form)
            self._steps[key] = (
                torch.compile(own_code(step), dynamic=False, fullgraph=True) if compiled else step
            )
        return self._steps[key]


def rival_name(form: str, engine: str, compiled: bool) -> str:
    """As results name it: "compiled linear, all sites a graph"."""
    how = "eager" if engine == "eager" else f"{engine} a graph"
    return f"{'compiled ' if compiled else ''}{form}, {how}"
