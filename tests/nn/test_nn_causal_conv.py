"""Causal layers over the compiled operator: where it serves, and what else still works."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad

from genfast import PixelCNN
from genfast.nn import MaskedConv2d, VerticalConv2d, causal_conv, causal_mask
from genfast.nn.causal_conv import causal_conv2d

pytestmark = pytest.mark.usefixtures("one_thread")

OPERATOR = "genfast.masked_conv2d.default"
# Some of torch's own imports, for compilation and torch.func, warn of each other.
IMPORTS = pytest.mark.filterwarnings("ignore::DeprecationWarning")
LAYERS: list[nn.Conv2d] = [
    MaskedConv2d("A", 2, 4, 5),
    MaskedConv2d("B", 3, 6, 3, in_groups=(1, 1, 1), out_groups=(2, 2, 2)),
    MaskedConv2d("B", 2, 4, (1, 3)),
    VerticalConv2d("A", 2, 4, 3),
    VerticalConv2d("B", 2, 4, 3),
]


class Operators(torch.utils._python_dispatch.TorchDispatchMode):
    """Names of the operators that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


def runs_operator(layer: Any, x: Tensor) -> bool:
    with Operators() as operators:
        layer(x)
    return OPERATOR in operators.seen


def image(layer: nn.Conv2d) -> Tensor:
    return torch.randn(2, layer.in_channels, 6, 5)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_training_equals_float64(layer: Any) -> None:
    """The float64 layer is plain PyTorch; 2e-5 of the largest value."""
    twin, x = copy.deepcopy(layer).double(), image(layer).requires_grad_()
    doubled = x.detach().double().requires_grad_()
    assert runs_operator(layer, x)
    assert not runs_operator(twin, doubled)
    y, expected = layer(x), twin(doubled)
    found = torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])
    exact = torch.autograd.grad(expected.square().sum(), [doubled, *twin.parameters()])
    for a, b in zip((y, *found), (expected, *exact), strict=True):
        assert (a - b).abs().max() <= 2e-5 * b.abs().max()


def test_where_the_plain_form_serves() -> None:
    layer, x = MaskedConv2d("B", 2, 4, 3), torch.randn(1, 2, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert not runs_operator(layer, x)
        assert layer(x).dtype == torch.bfloat16
    assert not runs_operator(copy.deepcopy(layer).bfloat16(), x.bfloat16())
    assert not runs_operator(copy.deepcopy(layer).to("meta"), x.to("meta"))
    single = MaskedConv2d("B", 4, 4, 1, in_groups=(2, 2), out_groups=(2, 2))
    assert not runs_operator(single, torch.randn(1, 4, 3, 3))


def test_a_gpu_takes_the_cropped_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors that say they are on a GPU: no device is needed to choose."""
    monkeypatch.setattr(causal_conv, "_cropped", lambda *_: "cropped")
    with FakeTensorMode():
        x, weight = (torch.empty(1, 2, 3, 3, device="cuda") for _ in range(2))
        assert causal_conv2d(x, weight, None, above=1, left=1) == "cropped"


@IMPORTS
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_transforms_take_the_plain_form(layer: Any) -> None:
    x, parameters = image(layer), dict(layer.named_parameters())
    along = {name: torch.randn_like(p) for name, p in parameters.items()}

    def loss(given: dict[str, Tensor], one: Tensor) -> Tensor:
        y: Tensor = torch.func.functional_call(layer, given, (one,))
        return y.square().sum()

    by = torch.func.grad(loss)({n: p.detach() for n, p in parameters.items()}, x)
    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(
        {n: p.detach() for n, p in parameters.items()}, x[:, None]
    )
    expected = torch.autograd.grad(loss(parameters, x), list(parameters.values()))
    for (name, gradient), exact in zip(by.items(), expected, strict=True):
        torch.testing.assert_close(gradient, exact, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(each[name].sum(0), exact, rtol=1e-4, atol=1e-4)
    slope = sum((a * b).sum() for a, b in zip(expected, along.values(), strict=True))
    _, tangent = torch.func.jvp(lambda given: loss(given, x), (parameters,), (along,))
    torch.testing.assert_close(tangent, slope, rtol=1e-4, atol=1e-3)
    with forward_ad.dual_level():
        dual = {n: forward_ad.make_dual(p.detach(), along[n]) for n, p in parameters.items()}
        tangent = forward_ad.unpack_dual(loss(dual, x)).tangent
    torch.testing.assert_close(tangent, slope, rtol=1e-4, atol=1e-3)


def test_second_derivatives() -> None:
    layer = MaskedConv2d("B", 2, 3, 3)
    x = torch.randn(2, 2, 4, 3, requires_grad=True)

    def second(layer: Any, x: Tensor) -> tuple[Tensor, ...]:
        (by,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(by.square().sum(), [x, layer.weight])

    found = second(layer, x)
    expected = second(copy.deepcopy(layer).double(), x.detach().double().requires_grad_())
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_copies_and_pickles_are_the_same_layer(layer: Any) -> None:
    x = image(layer)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(x), layer(x))
    given = dict(layer.named_parameters())
    assert torch.equal(torch.func.functional_call(layer, given, (x,)), layer(x))


@IMPORTS
@pytest.mark.parametrize(("variant", "channels"), [("masked", 3), ("gated", 1)])
def test_models_compile_whole_and_export(variant: Any, channels: int) -> None:
    model = PixelCNN((channels, 5, 4), 3, width=6, depth=2, variant=variant)
    x = torch.randint(0, 3, (2, channels, 5, 4))
    expected = model.log_prob(x)
    by = torch.autograd.grad(expected.sum(), list(model.parameters()))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x), model(x))
    found = torch.autograd.grad(
        model.head.log_prob(compiled(x), x.permute(0, 2, 3, 1)).sum(), list(model.parameters())
    )
    for a, b in zip(found, by, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    exported = torch.export.export(model, (x,))
    assert OPERATOR in {str(node.target) for node in exported.graph.nodes}
    torch.testing.assert_close(exported.module()(x), model(x))


def test_both_forms_crop_alike() -> None:
    """The plain form leaves out rows below, and columns right of a kernel of one row."""
    for size, above, left in (((5, 3), 2, 1), ((1, 5), 0, 2)):
        mask = causal_mask("B", size)
        weight, x = torch.randn(3, 2, *size), torch.randn(2, 2, 6, 7)
        y = causal_conv2d(x, weight, None, mask, above=above, left=left)
        doubled = (tensor.double() for tensor in (x, weight))
        plain = causal_conv2d(*doubled, None, mask.double(), above=above, left=left)
        torch.testing.assert_close(y.double(), plain, rtol=1e-4, atol=1e-5)
