"""However a model is changed, the compiled draw is of the model as it is now, or refuses."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import genfast.compiled
import genfast.hashing
from genfast.compiled import compiled
from genfast.hashing import device_digest, weights_hash
from genfast.heads import Categorical
from genfast.models import SequenceModel
from genfast.testing import replay

Change = Callable[[SequenceModel], Any]


def model_of(kind: type[SequenceModel] = SequenceModel, **options: Any) -> SequenceModel:
    torch.manual_seed(0)
    model = kind(Categorical(9), **({"width": 12, "depth": 2} | options))
    for parameter in model.parameters():
        parameter.data *= 3
    return model


def step(model: SequenceModel, **options: Any) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.3, **options)
    model.training_step(torch.randint(9, (8, 12)), 0)["loss"].backward()
    optimizer.step()


def swap_average(model: SequenceModel) -> None:
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5)
    )
    average.update_parameters(model)
    step(model, foreach=True)
    average.update_parameters(model)
    for own, averaged in zip(model.parameters(), average.module.parameters(), strict=True):
        own.data, averaged.data = averaged.data, own.data


def write_data(model: SequenceModel) -> None:
    model.rnn.weight_hh_l1.data[3, 5] += 2


def write_through_numpy(model: SequenceModel) -> None:
    model.readout.bias.detach().numpy()[4] += 3


def exchange_two(model: SequenceModel) -> None:
    rnn = model.rnn
    rnn.weight_hh_l0, rnn.weight_hh_l1 = rnn.weight_hh_l1, rnn.weight_hh_l0


def replace_readout(model: SequenceModel) -> None:
    model.readout = nn.Linear(12, 9, bias=False)


def replace_rnn(model: SequenceModel) -> None:
    model.rnn = nn.GRU(12, 12, 1, batch_first=True, bias=False)


VISIBLE: dict[str, Change] = {
    "fused AdamW": lambda model: step(model, fused=True),
    "foreach AdamW": lambda model: step(model, foreach=True),
    "load_state_dict": lambda model: model.load_state_dict(
        {k: v * 1.5 for k, v in model.state_dict().items()}
    ),
    "write to .data": write_data,
    "write through NumPy": write_through_numpy,
    "two weights exchanged": exchange_two,
    "average swapped in": swap_average,
    "to float64": lambda model: model.to(torch.float64),
    "to bfloat16": lambda model: model.to(torch.bfloat16),
    "replaced readout": replace_readout,
    "replaced rnn": replace_rnn,
    "start": lambda model: setattr(model, "start", 3) or model.embed.__init__(9, 12),
}


@pytest.mark.parametrize("name", VISIBLE)
def test_the_next_draw_is_of_the_changed_weights(name: str) -> None:
    model = model_of()
    before = compiled(model)
    VISIBLE[name](model)
    # Replay looks at scores and draws, so weights of before would be found.
    replay(model, 6, 20, seed=1, whole=False)
    assert compiled(model) is not before
    assert compiled(model) is compiled(model)


def test_nothing_changed_is_nothing_compiled() -> None:
    model = model_of()
    before = compiled(model)
    model.train().sample(2, 3)
    model.eval().log_prob(torch.zeros(1, 3, dtype=torch.int64))
    assert compiled(model) is before
    assert compiled(copy.deepcopy(model)) is not before


class Doubled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Overridden(SequenceModel):
    def forward(self, tokens: Tensor) -> Tensor:
        return 3 * super().forward(tokens)


def double(module: nn.Module, inputs: Any, output: Any) -> Any:
    return 2 * output


def first_symbols(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0] * 0,)


def own_forward(model: SequenceModel) -> None:
    readout = model.readout
    readout.forward = lambda x: 2 * nn.functional.linear(x, readout.weight)  # type: ignore[method-assign]


def own_model_forward(model: SequenceModel) -> None:
    model.forward = lambda tokens: 2 * type(model).forward(model, tokens)  # type: ignore[method-assign]


def replace_with(name: str, module: Callable[[], nn.Module]) -> Change:
    return lambda model: setattr(model, name, module())


class Rows(nn.Module):
    """An embedding of another type."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.randn(10, 12))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.rows[tokens]


def exclude_symbols(model: SequenceModel) -> None:
    model.readout.bias.data[2:5] = -torch.inf


INVISIBLE: dict[str, tuple[Change, str]] = {
    "weight norm": (
        lambda model: nn.utils.parametrizations.weight_norm(model.readout),
        "readout is parametrized",
    ),
    "weight norm of the rnn": (
        lambda model: nn.utils.parametrizations.weight_norm(model.rnn, "weight_hh_l0"),
        "rnn is parametrized",
    ),
    "pruning": (
        lambda model: prune.l1_unstructured(model.readout, "weight", 0.5),
        "readout has a forward hook",
    ),
    "forward hook": (
        lambda model: model.readout.register_forward_hook(double),
        "readout has a forward hook",
    ),
    "forward hook of the model": (
        lambda model: model.register_forward_hook(double),
        "SequenceModel has a forward hook",
    ),
    "forward pre-hook": (
        lambda model: model.embed.register_forward_pre_hook(first_symbols),
        "embed has a forward hook",
    ),
    "forward of an instance": (own_forward, "readout has a forward of its own"),
    "forward of the model": (own_model_forward, "SequenceModel has a forward of its own"),
    "another readout": (replace_with("readout", lambda: Doubled(12, 9)), "exactly nn.Linear"),
    "another embedding": (replace_with("embed", Rows), "exactly nn.Embedding, got Rows"),
    "embedding max_norm": (
        replace_with("embed", lambda: nn.Embedding(10, 12, max_norm=0.5)),
        "max_norm",
    ),
    "projections": (
        lambda model: (
            replace_with("rnn", lambda: nn.LSTM(12, 7, 1, batch_first=True, proj_size=5))(model),
            replace_with("readout", lambda: nn.Linear(5, 9))(model),
        ),
        "proj_size 5",
    ),
    "excluded symbols": (exclude_symbols, "readout.bias is -inf"),
}


# torch says that it draws projections without oneDNN.
@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize("name", INVISIBLE)
def test_what_a_program_cannot_say_is_refused(name: str) -> None:
    change, reason = INVISIBLE[name]
    model = model_of()
    before = model.sample(5, 15, seed=2).values
    change(model)
    with pytest.raises(ValueError, match=f"backend 'cpu' cannot serve: .*{reason}"):
        model.sample(5, 15, seed=2, backend="cpu")
    drawn = model.sample(5, 15, seed=2).values
    assert torch.equal(drawn, model.sample(5, 15, seed=2, backend="reference").values)
    if name not in ("weight norm", "weight norm of the rnn"):
        assert not torch.equal(drawn, before)


def test_bidirectional_networks_are_refused() -> None:
    model = model_of()
    model.rnn = nn.LSTM(12, 6, batch_first=True, bidirectional=True)
    with pytest.raises(ValueError, match="rnn is bidirectional"):
        model.sample(2, 3, backend="cpu")


def test_overridden_forward_needs_its_own_program() -> None:
    model = model_of(Overridden)
    with pytest.raises(ValueError, match="Overridden overrides forward and has no program"):
        model.sample(5, 15, seed=2, backend="cpu")
    reference = model.sample(5, 15, seed=2, backend="reference").values
    assert torch.equal(model.sample(5, 15, seed=2).values, reference)


def test_subclass_that_keeps_forward_is_compiled() -> None:
    named = type("Named", (SequenceModel,), {"note": "only a name"})
    assert compiled(model_of(named)).program.draws == 1


def test_global_hook_is_refused_until_it_is_removed() -> None:
    model = model_of()
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, inputs, output: 2 * output if isinstance(module, nn.Linear) else None
    )
    try:
        with pytest.raises(ValueError, match="global forward hook"):
            model.sample(2, 3, backend="cpu")
    finally:
        handle.remove()
    model.sample(2, 3, backend="cpu")


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_networks_without_bias_are_compiled(cell: str) -> None:
    model = model_of(cell=cell)
    kind = nn.LSTM if cell == "lstm" else nn.GRU
    model.rnn = kind(12, 12, 2, batch_first=True, bias=False)
    replay(model, 4, 15, whole=False)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", ["embed.weight", "rnn.weight_hh_l1", "readout.bias"])
def test_weights_that_are_not_finite_are_named(name: str, bad: float) -> None:
    model = model_of()
    model.sample(2, 3)
    model.get_parameter(name).data.view(-1)[3] = bad
    for backend in ("auto", "cpu"):
        with pytest.raises(FloatingPointError, match=f"weight {name} is {bad} at "):
            model.sample(2, 3, backend=backend)


def test_hash_sees_names_shapes_dtypes_and_every_byte() -> None:
    def of(*tensors: tuple[str, Tensor]) -> int:
        module = nn.Module()
        for name, tensor in tensors:
            module.register_buffer(name, tensor)
        return weights_hash(module)

    x = torch.randn(4, 6)
    seen = [
        of(("a", x)),
        of(("b", x)),
        of(("a", x.view(6, 4))),
        of(("a", x.view(torch.int32))),
        of(("a", x), ("b", x)),
        of(("b", x), ("a", x)),
        of(("a", -x)),
        of(("a", x.t().contiguous())),
        of(("a", x[:0])),
    ]
    assert len(set(seen)) == len(seen)
    assert of(("a", x.t().contiguous().t())) == seen[0]
    for byte in range(x.nbytes):
        flipped = x.clone()
        flipped.view(-1).view(torch.uint8)[byte] ^= 1
        assert of(("a", flipped)) != seen[0]


def digest(*tensors: Tensor) -> int:
    return int(device_digest(tensors))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.bool])
def test_digest_sees_every_byte_and_its_place(dtype: torch.dtype) -> None:
    x = torch.randn(53).to(dtype)
    seen = {digest(x), digest(x[:-4]), digest(x, torch.zeros(4))}
    bytes_of_x = x.view(torch.uint8)
    for byte in range(x.nbytes):
        bytes_of_x[byte] ^= 1
        seen.add(digest(x))
        bytes_of_x[byte] ^= 1
    assert len(seen) == 3 + x.nbytes
    words = torch.randn(40)
    swapped = {digest(words)}
    for other in range(1, 40):
        order = torch.arange(40)
        order[0], order[other] = other, 0
        swapped.add(digest(words[order]))
    assert len(swapped) == 40


def test_digest_does_not_depend_on_pieces_or_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(57).bfloat16()
    whole = digest(x[1:], x[:1])
    assert digest(x[1:].clone(), x[:1].clone()) == whole
    monkeypatch.setattr(genfast.hashing, "_PIECE", 7)
    assert digest(x[1:], x[:1]) == whole


@pytest.mark.cuda
def test_digest_of_a_gpu_is_that_of_the_cpu() -> None:
    x, y = torch.randn(1001, 33), torch.randn(7).bfloat16()
    assert digest(x.cuda(), y.cuda()) == digest(x, y)


def test_compiled_programs_die_with_their_models() -> None:
    model = model_of()
    program = weakref.ref(compiled(model).program)
    kept = len(genfast.compiled._KEPT)
    del model
    gc.collect()
    assert program() is None
    assert len(genfast.compiled._KEPT) < kept
