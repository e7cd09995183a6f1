"""reparameterize as an operator of PyTorch: its rules, its gradients, its refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.backends.registry import lookup_backend
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

from genfast.ops import reparameterize, reparameterize_reference
from genfast.random import fold

pytestmark = pytest.mark.usefixtures("one_thread")

FORWARD = torch.ops.genfast.reparameterize.default
BACKWARD = torch.ops.genfast.reparameterize_backward.default
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
#: Of the largest value: two roundings of the dtype, and those of float32 before.
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-14, torch.float16: 2e-3, torch.bfloat16: 1e-2}


def leaves(n: int, latent: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(n * 1009 + latent)
    drawn = torch.randn(2, n, latent, generator=generator, dtype=torch.float64).to(dtype)
    return [x.clone().requires_grad_() for x in drawn]


def assert_near(found: Any, expected: Any, tolerance: float) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        if b.numel():
            largest = b.double().abs().max().clamp_min(1e-6)
            assert (a.double() - b.double()).abs().max() <= tolerance * largest


def all_of(form: Any, given: list[Tensor], **draw: int) -> list[Tensor]:
    """z, kl, and the gradients of a mixture of both."""
    z, kl = form(*given, **draw)
    loss = (z.float() * torch.linspace(-1, 1, z.numel()).view(z.shape)).sum() + kl.square().sum()
    return [z, kl, *torch.autograd.grad(loss, given)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 17), (129, 5), (4, 64), (0, 3), (3, 0)])
def test_results_and_gradients_are_the_reference_s(dtype: torch.dtype, shape: Any) -> None:
    given = leaves(*shape, dtype)
    found, expected = (
        all_of(form, given, seed=3, index=11) for form in (reparameterize, reparameterize_reference)
    )
    assert_near(found, expected, TOLERANCE[dtype])


def test_bfloat16_is_within_a_unit_of_the_rounded_result() -> None:
    given = leaves(100, 37, torch.bfloat16)
    z, _ = reparameterize(*given, seed=5)
    doubled = [x.double() for x in given]
    noise = reparameterize(torch.zeros(100, 37), torch.zeros(100, 37), seed=5)[0].double()
    rounded = (doubled[0] + (doubled[1] / 2).exp() * noise).to(torch.bfloat16)
    steps = (z.view(torch.int16).int() - rounded.view(torch.int16).int()).abs()
    assert steps.max() <= 1
    assert (steps == 0).double().mean() > 0.99


def test_gradcheck() -> None:
    given = leaves(3, 5, torch.float64)

    def form(mean: Tensor, logvar: Tensor) -> Any:
        return reparameterize(mean, logvar, seed=2, index=4)

    assert torch.autograd.gradcheck(form, given)
    assert torch.autograd.gradgradcheck(form, given)


def test_gradients_beyond_the_clamp_are_zero() -> None:
    mean = torch.zeros(1, 6, requires_grad=True)
    logvar = torch.tensor([[-100.0, -30.001, -30.0, 20.0, 20.001, 1e30]], requires_grad=True)
    z, kl = reparameterize(mean, logvar, seed=1)
    by_z, by_kl = (torch.autograd.grad(y.sum(), logvar, retain_graph=True)[0] for y in (z, kl))
    assert (by_kl != 0).tolist() == [[False, False, True, True, False, False]]
    assert (by_z != 0).tolist() == [[False, False, True, True, False, False]]
    sigma = torch.tensor([-30, -30, -30, 20, 20, 20]).div(2).exp()
    noise = reparameterize(mean, torch.zeros(1, 6), seed=1)[0]
    assert torch.allclose(z, sigma * noise, rtol=1e-6)
    assert torch.isfinite(kl).all()


def test_the_noise_is_that_of_the_backward_pass() -> None:
    """By logvar z grows as sigma eps / 2, with the eps that z shows."""
    mean, logvar = leaves(50, 33)
    z, _ = reparameterize(mean, logvar, seed=8, index=1000)
    (found,) = torch.autograd.grad(z.sum(), logvar)
    assert torch.allclose(found, (z - mean).detach() / 2, atol=1e-6)


@pytest.mark.parametrize("wanted", [(0,), (1,)])
@pytest.mark.parametrize("used", [0, 1])
def test_what_is_not_wanted_or_used_is_left_out(wanted: Any, used: int) -> None:
    given = leaves(4, 9)
    every = torch.autograd.grad(reparameterize(*given, seed=0)[used].sum(), given)
    for i, tensor in enumerate(given):
        tensor.requires_grad_(i in wanted)
    (found,) = torch.autograd.grad(
        reparameterize(*given, seed=0)[used].sum(), [given[i] for i in wanted]
    )
    assert torch.equal(found, every[wanted[0]])


def test_halves_of_one_tensor_are_read_in_place() -> None:
    both = torch.cat([x.detach() for x in leaves(6, 21)], 1).requires_grad_()
    found = all_of(reparameterize, list(both.chunk(2, -1)), seed=1)
    expected = all_of(reparameterize, [x.contiguous() for x in both.chunk(2, -1)], seed=1)
    assert all(map(torch.equal, found, expected))


def test_any_layout_is_read() -> None:
    given = [x.detach().t().contiguous().t().requires_grad_() for x in leaves(6, 21)]
    found = all_of(reparameterize, given, seed=1)
    expected = all_of(reparameterize, leaves(6, 21), seed=1)
    assert all(map(torch.equal, found, expected))
    assert found[0].is_contiguous()
    every_other = torch.zeros(6, 42)[:, ::2]
    assert reparameterize(every_other, every_other, seed=1)[0].shape == (6, 21)


def test_threads_and_splits_change_no_bit() -> None:
    given = leaves(3001, 24)
    expected = reparameterize(*given, seed=1, index=5)
    for threads in (2, 3):
        torch.set_num_threads(threads)
        assert all(map(torch.equal, reparameterize(*given, seed=1, index=5), expected))
    parts = [
        reparameterize(*(x[first:last] for x in given), seed=1, index=5 + first)
        for first, last in ((0, 1), (1, 1500), (1500, 3001))
    ]
    for whole, cut in zip(expected, zip(*parts, strict=True), strict=True):
        assert torch.equal(torch.cat(cut), whole)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_opcheck(dtype: torch.dtype) -> None:
    mean, logvar = leaves(3, 5, dtype)
    torch.library.opcheck(FORWARD, (mean, logvar, 3, 0))
    half = torch.cat([mean, logvar], 1).detach().chunk(2, -1)
    torch.library.opcheck(FORWARD, (*half, 2**62, 7))
    plain = mean.detach(), logvar.detach(), 3, 0
    torch.library.opcheck(BACKWARD, (torch.ones_like(plain[0]), torch.ones(3), *plain))
    torch.library.opcheck(BACKWARD, (None, torch.ones(3), *plain))


def step(mean: Tensor, logvar: Tensor, seed: int, index: int) -> Tensor:
    z, kl = reparameterize(mean * 2, logvar, seed=seed, index=index)
    return z.square().sum() + kl.sum()


def test_compiles_whole_and_once_for_all_seeds() -> None:
    compiled_graphs = 0

    def count(graph: Any, example: Any) -> Any:
        nonlocal compiled_graphs
        compiled_graphs += 1
        return lookup_backend("aot_eager")(graph, example)

    compiled = torch.compile(step, backend=count, fullgraph=True)
    given = leaves(6, 21)
    for number in range(8):
        draw = fold(0, "train", number), 64 * number
        loss, expected = compiled(*given, *draw), step(*given, *draw)
        assert torch.allclose(loss, expected)
        found = torch.autograd.grad(loss, given)
        assert_near(found, torch.autograd.grad(expected, given), 1e-6)
        # Once with the numbers as constants, once more with any, at the second seed and index.
        assert compiled_graphs == min(number + 1, 2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of inductor's own imports
def test_inductor_keeps_every_bit() -> None:
    def both(mean: Tensor, logvar: Tensor, seed: int) -> Any:
        return reparameterize(*(x.clone() for x in (mean, logvar)), seed=seed)

    given = leaves(6, 21)
    compiled = torch.compile(both, fullgraph=True)
    for seed in (3, 2**62 + 1, 5):
        found, expected = (all_of(form, given, seed=seed) for form in (compiled, both))
        assert all(map(torch.equal, found, expected))


def test_exports_as_one_operator() -> None:
    class Module(torch.nn.Module):
        def forward(self, mean: Tensor, logvar: Tensor) -> Tensor:
            return reparameterize(mean, logvar, seed=3)[0]

    mean, logvar = (x.detach() for x in leaves(4, 5))
    rows = {0: torch.export.Dim("rows", min=2, max=64)}
    program = torch.export.export(Module(), (mean, logvar), dynamic_shapes=(rows, rows))
    assert [node.target for node in program.graph.nodes].count(FORWARD) == 1
    more = [x.detach() for x in leaves(9, 5)]
    assert torch.equal(program.module()(*more), Module()(*more))


def test_the_dispatcher_changes_no_bit() -> None:
    """Whoever watches it, as FlopCounterMode does, gets the operator and the same results."""
    given = leaves(5, 19)
    direct = all_of(reparameterize, given, seed=3)
    through = all_of(lambda *x, seed: FORWARD(*x, seed, 0), given, seed=3)
    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    with Watch():
        watched = all_of(reparameterize, given, seed=3)
    assert FORWARD in seen
    assert BACKWARD in seen
    for found in (through, watched):
        assert all(map(torch.equal, found, direct))


@pytest.mark.parametrize("through", [False, True])
def test_second_derivatives(through: bool) -> None:
    given = leaves(3, 4)
    with torch.no_grad():
        given[1][0, 1] = -40  # beyond the clamp

    def second(form: Any) -> Any:
        z, kl = form(*given)
        (by,) = torch.autograd.grad((z.square().sum() + kl.sum()), given[1], create_graph=True)
        return by.detach(), *torch.autograd.grad(by.pow(3).sum(), given)

    form = (lambda *x: FORWARD(*x, 1, 0)) if through else lambda *x: reparameterize(*x, seed=1)
    expected = second(lambda *x: reparameterize_reference(*x, seed=1))
    assert_near(second(form), expected, 1e-5)


def test_an_input_changed_in_place_is_noticed() -> None:
    mean, logvar = leaves(3, 4)
    kept = mean * 1
    z, _ = reparameterize(kept, logvar, seed=0)
    kept.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_other_devices_take_the_reference() -> None:
    z, kl = reparameterize(*torch.zeros(2, 3, 4, device="meta"), seed=0)
    assert (z.shape, kl.shape, z.device.type) == ((3, 4), (3,), "meta")


@pytest.mark.cuda
def test_a_gpu_draws_the_same() -> None:
    given = leaves(5, 33)
    moved = [x.detach().cuda().requires_grad_() for x in given]
    expected = all_of(reparameterize, given, seed=3)
    found = all_of(lambda *x, **draw: [y.cpu() for y in reparameterize(*x, **draw)], moved, seed=3)
    assert_near([x.cpu() for x in found], expected, 2e-6)


ZEROS = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": torch.zeros(3)}, r"mean must be .* \(N, latent\), got float32 \(3,\) on cpu"),
        ({"mean": ZEROS.long()}, "mean must be float32, .* got int64"),
        ({"logvar": torch.zeros(2, 4)}, r"logvar must be as mean, float32 \(2, 3\) .* \(2, 4\)"),
        ({"logvar": ZEROS.double()}, "logvar must be as mean, float32 .* got float64"),
        ({"logvar": torch.zeros(2, 3, device="meta")}, "logvar must be as mean, .* on meta"),
        ({"seed": -1}, "seed must be at least 0 and below 9223372036854775808, got -1"),
        ({"seed": 2**63}, "seed must be at least 0"),
        ({"seed": 1.0}, "seed must be an integer, got 1.0"),
        ({"index": -1}, "index must be at least 0"),
        ({"index": 2**32 - 1}, "index must be at least 0 and below 4294967295, got 4294967295"),
    ],
)
def test_refusals_name_the_argument(change: Any, message: str) -> None:
    given = {"mean": ZEROS, "logvar": ZEROS, "seed": 0, "index": 0} | change
    with pytest.raises(ValueError, match=f"^reparameterize: {message}"):
        reparameterize(**given)


@pytest.mark.parametrize("argument", ["mean", "logvar"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_number_is_an_error(argument: str, value: float, dtype: torch.dtype) -> None:
    given = dict(zip(("mean", "logvar"), leaves(5, 18, dtype), strict=True))
    given[argument] = given[argument].detach()
    given[argument][3, 17] = value
    wanted = f"^reparameterize: {argument} must be finite, got {value} in row 3, column 17$"
    with pytest.raises(FloatingPointError, match=wanted.replace("nan", "NaN")):
        reparameterize(**given, seed=0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.func's own imports
def test_transforms_are_refused_rather_than_wrong() -> None:
    mean, logvar = (x.detach() for x in leaves(2, 3))
    for transform in (torch.func.grad, torch.func.jacfwd):
        with pytest.raises(ValueError, match=r"reparameterize: torch\.func"):
            transform(lambda m: reparameterize(m, logvar, seed=0)[0].sum())(mean)
    with forward_ad.dual_level(), pytest.raises(ValueError, match=r"reparameterize: torch\.func"):
        reparameterize(forward_ad.make_dual(mean, mean), logvar, seed=0)
