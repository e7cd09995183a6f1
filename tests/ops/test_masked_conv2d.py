"""masked_conv2d as an operator of PyTorch: its rules, its gradients, its refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from genfast.nn import causal_mask
from genfast.ops import masked_conv2d, masked_conv2d_reference

pytestmark = pytest.mark.usefixtures("one_thread")

FORWARD = torch.ops.genfast.masked_conv2d.default
BACKWARD = torch.ops.genfast.masked_conv2d_backward.default


def leaves(*sizes: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Input, weight, bias of n, rows, columns, in, out, k."""
    n, rows, columns, channels, out, k = sizes
    shapes = (n, channels, rows, columns), (out, channels, k, k), (out,)
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def exact(given: list[Tensor]) -> list[Tensor]:
    return [tensor.detach().double().requires_grad_() for tensor in given]


def assert_equal(found: Any, expected: Any) -> None:
    """Float32 against float64: 2e-5 of the largest value."""
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        if b.numel():
            assert (a - b).abs().max() <= 2e-5 * b.abs().max().clamp_min(1e-6)


@pytest.mark.parametrize("kind", ["A", "B"])
@pytest.mark.parametrize("k", [1, 3, 5, 7])
@pytest.mark.parametrize("sides", [(1, 1), (1, 7), (5, 1), (9, 7)])
def test_output_and_gradients_are_the_reference_s(kind: Any, k: int, sides: Any) -> None:
    mask = causal_mask(kind, k)
    for n, channels, out in [(1, 1, 64), (3, 5, 2), (3, 17, 3), (0, 3, 5), (1, 129, 17)]:
        given = leaves(n, *sides, channels, out, k)
        doubled = exact(given)
        y, expected = masked_conv2d(*given, mask), masked_conv2d_reference(*doubled, mask.double())
        grad = torch.randn(y.shape)
        assert_equal([y], [expected])
        assert_equal(
            torch.autograd.grad(y, given, grad),
            torch.autograd.grad(expected, doubled, grad.double()),
        )


@pytest.mark.parametrize("place", [{}, {"above": 2}, {"above": 3, "left": 0}])
def test_groups_and_places(place: Any) -> None:
    mask = causal_mask("A", 3, 6, 3, 3).repeat_interleave(2, 0).repeat_interleave(4, 1)
    given = leaves(2, 6, 5, 12, 12, 3)
    doubled = exact(given)
    y = masked_conv2d(*given, mask, **place)
    expected = masked_conv2d_reference(*doubled, mask.double(), **place)
    assert_equal([y], [expected])
    found = torch.autograd.grad(y.square().sum(), given)
    assert_equal(found, torch.autograd.grad(expected.square().sum(), doubled))
    assert not found[1][mask == 0].any()


def test_any_layout_is_read_and_channels_last_is_given() -> None:
    x, weight, bias = (tensor.detach() for tensor in leaves(2, 6, 5, 4, 7, 3))
    expected = masked_conv2d(x, weight, bias)
    for memory in (torch.contiguous_format, torch.channels_last):
        for given in (x, x.transpose(2, 3).contiguous().transpose(2, 3), x[:, :, ::2][:, :, :0]):
            y = masked_conv2d(given.contiguous(memory_format=memory), weight, bias)
            assert y.is_contiguous(memory_format=torch.channels_last)
    wide = torch.randn(2, 8, 12, 5)
    wide[:, ::2, 1::2] = x
    turned = weight.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    assert torch.equal(masked_conv2d(wide[:, ::2, 1::2], turned, bias), expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_of_any_layout_are_read(layout: Any) -> None:
    given = leaves(2, 6, 5, 4, 7, 3)
    y = masked_conv2d(*given)
    grad = torch.randn(y.shape)
    expected = torch.autograd.grad(y, given, grad, retain_graph=True)
    found = torch.autograd.grad(y, given, grad.contiguous(memory_format=layout), retain_graph=True)
    assert all(map(torch.equal, found, expected))
    ones = torch.autograd.grad(y, given, torch.ones(y.shape), retain_graph=True)
    assert all(map(torch.equal, torch.autograd.grad(y.sum(), given), ones))


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2)])
def test_a_gradient_alone_is_that_of_all(wanted: Any) -> None:
    given = leaves(2, 6, 5, 4, 7, 3)
    every = torch.autograd.grad(masked_conv2d(*given).square().sum(), given)
    for i, tensor in enumerate(given):
        tensor.requires_grad_(i in wanted)
    some = torch.autograd.grad(masked_conv2d(*given).square().sum(), [given[i] for i in wanted])
    assert all(torch.equal(a, every[i]) for a, i in zip(some, wanted, strict=True))


def test_threads_change_no_bit() -> None:
    given = leaves(5, 20, 9, 19, 21, 3)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        y = masked_conv2d(*given)
        found.append([y, *torch.autograd.grad(y.square().sum(), given)])
    assert all(all(map(torch.equal, others, found[0])) for others in found[1:])


@pytest.mark.parametrize(
    ("bias", "masked", "layout"),
    [(True, True, torch.channels_last), (False, False, torch.contiguous_format)],
)
def test_opcheck(bias: bool, masked: bool, layout: Any) -> None:
    x, weight, b = leaves(2, 4, 3, 3, 5, 3)
    x = x.detach().contiguous(memory_format=layout).requires_grad_()
    mask = causal_mask("B", 3) if masked else None
    torch.library.opcheck(FORWARD, (x, weight, b if bias else None, mask, 1, 1))
    grad = torch.randn(2, 5, 4, 3)
    for wanted in ([True, True, True], [False, True, False]):
        given = grad, x.detach(), weight.detach(), mask, 1, 1, wanted
        torch.library.opcheck(BACKWARD, given)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of inductor's own imports
def test_compiles_whole_and_keeps_every_bit() -> None:
    mask = causal_mask("B", 3)
    given = leaves(2, 6, 5, 4, 4, 3)

    def step(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return masked_conv2d(masked_conv2d(x, weight, bias, mask), weight, None, mask)

    y, expected = torch.compile(step, fullgraph=True)(*given), step(*given)
    assert torch.equal(y, expected)
    found = torch.autograd.grad(y.sum(), given)
    assert all(map(torch.equal, found, torch.autograd.grad(expected.sum(), given)))


def test_exports_as_one_operator() -> None:
    class Module(torch.nn.Module):
        def forward(self, x: Tensor, weight: Tensor) -> Tensor:
            return masked_conv2d(x, weight, mask=causal_mask("B", 3))

    x, weight, _ = (tensor.detach() for tensor in leaves(2, 6, 5, 4, 4, 3))
    rows = torch.export.Dim("rows", min=2, max=64)
    program = torch.export.export(Module(), (x, weight), dynamic_shapes=({2: rows}, None))
    assert [node.target for node in program.graph.nodes].count(FORWARD) == 1
    taller = torch.randn(2, 4, 9, 5)
    assert torch.equal(program.module()(taller, weight), Module()(taller, weight))


def test_second_derivatives_are_the_reference_s() -> None:
    mask = causal_mask("B", 3)
    given = leaves(2, 4, 3, 3, 5, 3)

    def second(form: Any, given: list[Tensor], mask: Tensor) -> tuple[Tensor, ...]:
        y = form(*given, mask)
        by = torch.autograd.grad(y.square().sum(), given, create_graph=True)
        return torch.autograd.grad(sum(b.pow(3).sum() for b in by), given)

    expected = second(masked_conv2d_reference, exact(given), mask.double())
    assert_equal(second(masked_conv2d, given, mask), expected)


def test_input_changed_in_place_is_noticed() -> None:
    x, weight, bias = leaves(1, 3, 3, 2, 2, 3)
    kept = x * 1
    y = masked_conv2d(kept, weight, bias)
    kept.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": torch.zeros(2, 3, 4)}, r"input must be .*\(N, in, H, W\).*, got float32 \(2, 3"),
        ({"input": torch.zeros(2, 3, 4, 5).double()}, "input must be float32 .* got float64"),
        ({"input": torch.zeros(2, 3, 4, 5, device="meta")}, "input must be .* CPU, got .* on meta"),
        ({"weight": torch.zeros(4, 2, 3, 3)}, "weight must be .* with in=3, got float32 .4, 2"),
        ({"weight": torch.zeros(4, 3, 3, 3).half()}, "weight must be float32 .* got float16"),
        ({"bias": torch.zeros(3)}, r"bias must be float32 \(out,\) on the CPU with out=4, got"),
        ({"mask": torch.zeros(4, 2, 3, 3)}, "mask must be .* with out or 1=4, in or 1=3, rows=3"),
        ({"mask": torch.zeros(3, 3)}, "mask must be float32"),
        ({"mask": torch.zeros(1, 1, 3, 3).bool()}, "mask must be float32 .* got bool"),
    ],
)
def test_refusals_name_the_argument(change: Any, message: str) -> None:
    given = {"input": torch.zeros(2, 3, 4, 5), "weight": torch.zeros(4, 3, 3, 3)} | change
    with pytest.raises(ValueError, match=f"^masked_conv2d: {message}"):
        masked_conv2d(**given)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.func's own imports
def test_transforms_are_refused_rather_than_wrong() -> None:
    """PyTorch would drop the tangent of an operator that has no rule for it."""
    x, weight, bias = (tensor.detach() for tensor in leaves(1, 3, 3, 2, 2, 3))
    for transform in (torch.func.vmap, torch.func.grad, torch.func.jacfwd):
        with pytest.raises(ValueError, match=r"masked_conv2d: torch\.func"):
            transform(lambda w: masked_conv2d(x, w, bias).sum())(weight)
    with forward_ad.dual_level(), pytest.raises(ValueError, match=r"masked_conv2d: torch\.func"):
        masked_conv2d(x, forward_ad.make_dual(weight, weight))
