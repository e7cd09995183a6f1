"""Recurrent rivals in PyTorch, eager and compiled: one step as one function, called once a site.

| form   | kind              | a layer is                                                       |
|--------|-------------------|------------------------------------------------------------------|
| module | as users write it | `nn.LSTM` or `nn.GRU`, one site long, on the embedding           |
| cell   | as users write it | `nn.LSTMCell` or `nn.GRUCell` on the embedding                   |
| linear | same algebra      | a row of the folded table plus a product, gates by hand          |
| onednn | same algebra      | the same, oneDNN's product on prepacked weights; batches above 1 |

Compiled are all but `module`: dynamo refuses `nn.LSTM` unless told otherwise, and what it then
makes is slower than the cell (6.5 ms beside 3.0, LSTM 1x512, batch 64). A step is compiled whole,
head and draw too. Inductor's freezing, max-autotune and cpp_wrapper gained nothing that counts.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.harness import AS_WRITTEN, SAME_ALGEBRA, Contender
from bench.task import Array, Symbols, Task, Weights, fold_table

#: (symbol, uniform, *states) -> (symbol, *states)
Step = Callable[..., tuple[Tensor, ...]]
Product = Callable[[Tensor], Tensor]
#: Where weights go, and in which dtype; the symbols' table may stay in float32.
Place = Callable[[Array], Tensor]


def draw_symbol(scores: Tensor, uniform: Tensor) -> Tensor:
    """The number of running sums of the softmax, but for the last, that do not exceed u."""
    sums = torch.softmax(scores.float(), -1).cumsum(-1)
    return (sums[:, :-1] <= uniform).sum(-1)


def module_step(task: Task, weights: Weights, place: Place = torch.from_numpy) -> Step:
    """The embedding, `nn.LSTM` or `nn.GRU`, a linear layer."""
    kinds = {"lstm": nn.LSTM, "gru": nn.GRU}
    rnn = kinds[task.cell](task.width, task.width, task.depth, batch_first=True)
    embed, readout = _ends(weights, place)
    for j, layer in enumerate(weights.layers):
        rnn.load_state_dict(
            rnn.state_dict() | {f"{k}_l{j}": v for k, v in _torch_names(layer).items()}
        )
    rnn.to(readout.weight).flatten_parameters()

    def step(symbol: Tensor, uniform: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        state = states if len(states) == 2 else states[0]
        x, after = rnn(embed(symbol)[:, None], state)
        return draw_symbol(readout(x[:, 0]), uniform), *(after if len(states) == 2 else (after,))

    return step


def cell_step(task: Task, weights: Weights, place: Place = torch.from_numpy) -> Step:
    """The embedding, a cell a layer, a linear layer."""
    kinds = {"lstm": nn.LSTMCell, "gru": nn.GRUCell}
    cells = [kinds[task.cell](task.width, task.width) for _ in weights.layers]
    for cell, layer in zip(cells, weights.layers, strict=True):
        cell.load_state_dict(_torch_names(layer))
    embed, readout = _ends(weights, place)
    for cell in cells:
        cell.to(readout.weight)

    def lstm(symbol: Tensor, uniform: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        x, after = embed(symbol), ()
        for j, cell in enumerate(cells):
            pair = cell(x, (states[2 * j], states[2 * j + 1]))
            x, after = pair[0], (*after, *pair)
        return draw_symbol(readout(x), uniform), *after

    def gru(symbol: Tensor, uniform: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        x, after = embed(symbol), ()
        for cell, state in zip(cells, states, strict=True):
            x = cell(x, state)
            after = (*after, x)
        return draw_symbol(readout(x), uniform), *after

    return lstm if task.cell == "lstm" else gru


def linear_product(
    task: Task, weight: Array, bias: Array | None, place: Place = torch.from_numpy
) -> Product:
    """x -> x weight.T + bias through `linear`, in the dtype of the weight."""
    w = place(weight)
    b = None if bias is None else place(bias)
    return lambda x: nn.functional.linear(x.to(w.dtype), w, b)


#: What `prepacked` multiplies by: inductor takes an opaque weight neither as input nor as constant.
_PACKED: dict[int, tuple[Tensor, Tensor | None]] = {}


@torch.library.custom_op("bench::prepacked", mutates_args=())
def prepacked(x: Tensor, key: int, width: int) -> Tensor:
    """x times the packed weight `key`, by oneDNN."""
    weight, bias = _PACKED[key]
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]


@prepacked.register_fake
def _(x: Tensor, key: int, width: int) -> Tensor:
    return x.new_empty(x.shape[0], width)


def onednn_product(task: Task, weight: Array, bias: Array | None) -> Product:
    """The same through oneDNN, the weight laid out for this batch: MKL is slow beside it on AMD."""
    packed = torch.ops.mkldnn._reorder_linear_weight(torch.from_numpy(weight), task.batch)
    b = None if bias is None else torch.from_numpy(bias)
    key, width = len(_PACKED), len(weight)
    _PACKED[key] = packed, b

    def product(x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            return prepacked(x, key, width)
        return torch.ops.mkldnn._linear_pointwise(x, packed, b, "none", [], "")

    return product


def folded_step(
    task: Task,
    weights: Weights,
    product: Callable[..., Product],
    table_at: Place = torch.from_numpy,
) -> Step:
    """The folded table, products by `product`, gates by hand, those of one activation as one.

    Gates and states are in the dtype of the table.
    """

    def packed(weight: Array, bias: Array) -> Product:
        return product(task, _side_by_side(task, weight), _side_by_side(task, bias))

    recurrent = [packed(layer.w_hh, layer.b_hh) for layer in weights.layers]
    inputs = [packed(layer.w_ih, layer.b_ih) for layer in weights.layers[1:]]
    table = table_at(_side_by_side(task, fold_table(weights).T).T.copy())
    readout = product(task, weights.readout, weights.bias)
    cell, count = (_lstm, 2) if task.cell == "lstm" else (_gru, 1)

    def step(symbol: Tensor, uniform: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        a, x, after = table[symbol], symbol, ()
        for j in range(task.depth):
            if j:
                a = inputs[j - 1](x)
            state = states[count * j : count * (j + 1)]
            new = cell(a, recurrent[j](state[0]), task.width, *state)
            x, after = new[0], (*after, *new)
        return draw_symbol(readout(x), uniform), *after

    return step


def _side_by_side(task: Task, weight: Array) -> Array:
    """Gates in the order i f o g for the LSTM, so that one sigmoid takes three of them."""
    if task.cell == "gru":
        return weight
    i, f, g, o = np.split(weight, 4)
    return np.concatenate([i, f, o, g])


def _lstm(a: Tensor, b: Tensor, width: int, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    a = a + b
    i, f, o = torch.sigmoid(a[:, : 3 * width]).chunk(3, 1)
    c = f * c + i * torch.tanh(a[:, 3 * width :])
    return o * torch.tanh(c), c


def _gru(a: Tensor, b: Tensor, width: int, h: Tensor) -> tuple[Tensor]:
    r, z = torch.sigmoid(a[:, : 2 * width] + b[:, : 2 * width]).chunk(2, 1)
    n = torch.tanh(a[:, 2 * width :] + r * b[:, 2 * width :])
    return (n + z * (h - n),)


def _ends(weights: Weights, place: Place) -> tuple[nn.Embedding, nn.Linear]:
    embed = nn.Embedding.from_pretrained(place(weights.embed))
    readout = nn.Linear(*weights.readout.shape[::-1])
    names = {"weight": weights.readout, "bias": weights.bias}
    readout.load_state_dict({k: torch.from_numpy(v) for k, v in names.items()})
    return embed, readout.to(embed.weight)


def _torch_names(layer: Any) -> dict[str, Tensor]:
    names = {"w_ih": "weight_ih", "w_hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh"}
    return {names[k]: torch.from_numpy(v) for k, v in vars(layer).items()}


def own_code(step: Step) -> Step:
    """A copy with its own code object, on which dynamo keeps what it compiled.

    Two contenders made by one factory would share the cache, each being the other's recompile.
    """
    assert isinstance(step, types.FunctionType)
    code = step.__code__.replace()
    return types.FunctionType(code, step.__globals__, step.__name__, None, step.__closure__)


def _zero_states(task: Task, form: str) -> list[Tensor]:
    kinds = 2 if task.cell == "lstm" else 1
    if form == "module":
        return [torch.zeros(task.depth, task.batch, task.width) for _ in range(kinds)]
    return [torch.zeros(task.batch, task.width) for _ in range(kinds * task.depth)]


def _drawer(task: Task, form: str, step: Step) -> Callable[[Array], Symbols]:
    """Calls the step once a site from the zero state."""

    @torch.inference_mode()
    def draw(uniforms: Array) -> Symbols:
        sites = uniforms.shape[1]
        columns = torch.empty(sites, task.batch, 1)
        columns[:, :, 0] = torch.from_numpy(uniforms).T
        drawn = torch.empty(sites, task.batch, dtype=torch.int64)
        symbol, states = torch.full((task.batch,), task.classes), _zero_states(task, form)
        for column, row in zip(columns.unbind(), drawn.unbind(), strict=True):
            symbol, *states = step(symbol, column, *states)
            row.copy_(symbol)
        return np.asarray(drawn.T.numpy())

    return draw


def _compiled(task: Task, form: str, step: Step, threads: int) -> Callable[[Array], Symbols]:
    """The same with the step compiled, its guards skipped once it is warm."""
    torch.set_num_threads(threads)
    draw = _drawer(task, form, torch.compile(own_code(step), dynamic=False, fullgraph=True))
    draw(np.zeros((task.batch, 3), np.float32))

    def unguarded(uniforms: Array) -> Symbols:
        with torch.compiler.set_stance(skip_guard_eval_unsafe=True):
            return draw(uniforms)

    return unguarded


STEPS: dict[str, tuple[str, Callable[[Task, Weights], Step]]] = {
    "module": (AS_WRITTEN, module_step),
    "cell": (AS_WRITTEN, cell_step),
    "linear": (SAME_ALGEBRA, lambda t, w: folded_step(t, w, linear_product)),
    "onednn": (SAME_ALGEBRA, lambda t, w: folded_step(t, w, onednn_product)),
}


def offers(task: Task) -> list[tuple[str, str, str]]:
    """(kind, engine, form) of every PyTorch rival of a row, nothing built yet."""
    forms = [form for form in STEPS if form != "onednn" or task.batch > 1]
    eager = [(STEPS[form][0], "torch eager", form) for form in forms]
    return eager + [(STEPS[form][0], "torch.compile", form) for form in forms if form != "module"]


def build(
    task: Task, weights: Weights, kind: str, engine: str, form: str, threads: int
) -> Contender:
    """One PyTorch rival; compiling takes seconds."""
    make = STEPS[form][1]
    step = make(task, weights)
    if engine == "torch.compile":
        draw = _compiled(task, form, step, threads)
    else:
        draw = _drawer(task, form, step)
    return Contender(kind, engine, form, threads, draw, lambda: torch.set_num_threads(threads))


def forget() -> None:
    """Drops what was compiled and packed for the rows before; their contenders are dead then."""
    torch.compiler.reset()
    _PACKED.clear()
