"""reparameterize of tensors on a GPU: what leads to its kernels, and the kernels on a device.

What leads there is followed on the CPU with the simulated kernels in the place of the real ones;
tests/core/test_core_cuda_reparameterize.py has the kernels' own source.
"""

from __future__ import annotations

import contextlib
import importlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from genfast._extension import core
from genfast.ops import reparameterize, reparameterize_reference

operator = importlib.import_module("genfast.ops.reparameterize")  # the package's is the function
kernels = operator.kernels

FORWARD = torch.ops.genfast.reparameterize.default
BACKWARD = torch.ops.genfast.reparameterize_backward.default
HALVES = [torch.float16, torch.bfloat16]
SHAPES = [(1, 1), (3, 17), (129, 5), (70, 64), (33, 48), (2, 5000), (0, 3), (3, 0)]
#: Of the largest value: two roundings of the dtype, and those of float32 before.
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-14, torch.float16: 2e-3, torch.bfloat16: 1e-2}


def tensors(n: int, latent: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """mean, logvar, grad_z and grad_kl."""
    generator = torch.Generator().manual_seed(n * 1009 + latent)
    drawn = torch.randn(3, n, latent, generator=generator, dtype=torch.float64).to(dtype)
    real = torch.promote_types(dtype, torch.float32)
    return [*drawn, torch.randn(n, generator=generator, dtype=torch.float64).to(real)]


def assert_near(found: Any, expected: Any, tolerance: float) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        if b.numel():
            largest = b.double().abs().max().clamp_min(1e-6)
            assert (a.cpu().double() - b.cpu().double()).abs().max() <= tolerance * largest


def simulated(*arrays: Tensor) -> list[Tensor]:
    """z, kl and the gradients, by the kernels' source on the host; seed 3, index 11."""
    mean, logvar, grad_z, grad_kl = (x.cpu() for x in arrays)
    z, kl = kernels.results_like(mean)
    parts = torch.empty(len(mean), core.cuda_reparameterize_parts(mean.shape[1], z.element_size()))
    core._simulated_reparameterize(mean, logvar, 3, 11, z, kl, parts, 2)
    grads = kernels.gradients_like(mean)
    core._simulated_reparameterize_backward(grad_z, grad_kl, mean, logvar, 3, 11, *grads, 2)
    return [z, kl, *grads]


@pytest.fixture
def gpu_of_the_host(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A core whose kernels for a GPU run on the host; the names of those called."""
    called: list[str] = []

    def stand_in(name: str) -> Any:
        def run(*arguments: Any) -> None:
            called.append(name)
            getattr(core, f"_simulated_{name}")(*arguments[:-1], 2)

        return run

    fake = SimpleNamespace(
        build_info=lambda: {"cuda": True},
        cuda_reparameterize_parts=core.cuda_reparameterize_parts,
        cuda_reparameterize=stand_in("reparameterize"),
        cuda_reparameterize_backward=stand_in("reparameterize_backward"),
    )
    monkeypatch.setattr(kernels, "core", fake)
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=0))
    return called


@pytest.mark.parametrize("dtype", [torch.float32, *HALVES])
@pytest.mark.parametrize("shape", SHAPES)
def test_arguments_reach_the_kernels(gpu_of_the_host: Any, shape: Any, dtype: torch.dtype) -> None:
    mean, logvar, grad_z, grad_kl = tensors(*shape, dtype)
    z, kl = operator._run_cuda(mean, logvar, 3, 11)
    expected = reparameterize_reference(mean, logvar, seed=3, index=11)
    assert_near((z, kl), expected, TOLERANCE[dtype])
    for grads in ((grad_z, grad_kl), (grad_z, None), (None, grad_kl)):
        found = operator._run_backward_cuda(*grads, mean, logvar, 3, 11)
        plain = operator._run_backward_plain(*grads, mean, logvar, 3, 11)
        assert_near(found, plain, TOLERANCE[dtype])
    assert gpu_of_the_host == ["reparameterize"] + 3 * ["reparameterize_backward"]


def test_any_layout_reaches_the_kernels(gpu_of_the_host: Any) -> None:
    mean, logvar, grad_z, grad_kl = tensors(6, 21)
    draw = 3, 11
    plain = operator._run_cuda(mean, logvar, *draw)
    back = operator._run_backward_cuda(grad_z, grad_kl, mean, logvar, *draw)
    halves = torch.cat([mean, logvar], 1).requires_grad_().chunk(2, -1)
    turned = [x.t().contiguous().t() for x in (mean, logvar)]
    for given in (halves, turned):
        assert all(map(torch.equal, operator._run_cuda(*given, *draw), plain))
        by_z, by_kl = grad_z.t().contiguous().t(), grad_kl.repeat_interleave(2)[::2]
        found = operator._run_backward_cuda(by_z, by_kl, *given, *draw)
        assert all(map(torch.equal, found, back))
    one = torch.ones(()).expand(6), torch.ones(6)
    both = [operator._run_backward_cuda(None, x, mean, logvar, *draw) for x in one]
    assert all(map(torch.equal, *both))


def test_float64_takes_the_plain_formula(gpu_of_the_host: Any) -> None:
    mean, logvar, grad_z, grad_kl = tensors(5, 7, torch.float64)
    expected = reparameterize_reference(mean, logvar, seed=3)
    assert_near(operator._run_cuda(mean, logvar, 3, 0), expected, 0)
    operator._run_backward_cuda(grad_z, grad_kl, mean, logvar, 3, 0)
    assert gpu_of_the_host == []


def test_a_build_without_cuda_says_so_and_takes_the_plain_formula(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "core", SimpleNamespace(build_info=lambda: {"cuda": False}))
    mean, logvar, *_ = tensors(5, 7)
    with pytest.warns(RuntimeWarning, match="built without CUDA: .* take the plain formula"):
        found = operator._run_cuda(mean, logvar, 3, 0)
    assert_near(found, reparameterize_reference(mean, logvar, seed=3), 0)


def test_a_gpu_s_tensors_take_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced without a device: not the formula, and results lie where the mean does."""
    monkeypatch.setattr(operator, "reparameterize_reference", None)
    with FakeTensorMode():
        mean, logvar = (torch.empty(4, 6, device="cuda") for _ in range(2))
        z, kl = reparameterize(mean, logvar, seed=1)
        by_mean, by_logvar = BACKWARD(z, kl, mean, logvar, 1, 0)
    assert {x.device.type for x in (z, kl, by_mean, by_logvar)} == {"cuda"}


needs_gpu = pytest.mark.skipif(not core.cuda_devices(), reason="no GPU, or built without CUDA")


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, *HALVES])
@pytest.mark.parametrize("shape", [*SHAPES, (65_536, 64), (1, 1_000_001)])
def test_a_gpu_has_the_bits_of_its_source_on_the_host(shape: Any, dtype: torch.dtype) -> None:
    given = tensors(*shape, dtype)
    mean, logvar, grad_z, grad_kl = (x.cuda() for x in given)
    found = [*FORWARD(mean, logvar, 3, 11), *BACKWARD(grad_z, grad_kl, mean, logvar, 3, 11)]
    if dtype == torch.float64:
        plain = operator._run_backward_plain(*given[2:], *given[:2], 3, 11)
        expected = [*reparameterize_reference(*given[:2], seed=3, index=11), *plain]
        assert_near(found, expected, TOLERANCE[dtype])
        return
    for a, b in zip(found, simulated(*given), strict=True):
        assert np.array_equal(a.cpu().float().numpy(), b.float().numpy())


@pytest.mark.cuda
@needs_gpu
def test_a_gpu_reads_any_layout_on_any_stream() -> None:
    mean, logvar, grad_z, grad_kl = (x.cuda() for x in tensors(600, 21))
    expected = simulated(mean, logvar, grad_z, grad_kl)
    halves = torch.cat([mean, logvar], 1).chunk(2, -1)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        found = [*FORWARD(*halves, 3, 11), *BACKWARD(grad_z, grad_kl, *halves, 3, 11)]
    torch.cuda.synchronize()
    assert all(torch.equal(a.cpu(), b) for a, b in zip(found, expected, strict=True))


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, *HALVES])
def test_opcheck_on_a_gpu(dtype: torch.dtype) -> None:
    mean, logvar, grad_z, grad_kl = (x.cuda() for x in tensors(3, 5, dtype))
    leaves = [x.clone().requires_grad_() for x in (mean, logvar)]
    torch.library.opcheck(FORWARD, (*leaves, 3, 0))
    torch.library.opcheck(BACKWARD, (grad_z, grad_kl, mean, logvar, 3, 0))


@pytest.mark.cuda
@needs_gpu
def test_training_on_a_gpu() -> None:
    leaves = [x.cuda().requires_grad_() for x in tensors(50, 33)[:2]]
    both = []
    for form in (reparameterize, reparameterize_reference):
        z, kl = form(*leaves, seed=5)
        both.append([z, kl, *torch.autograd.grad(z.square().sum() + kl.sum(), leaves)])
    assert_near(*both, 1e-5)


@pytest.mark.cuda
@needs_gpu
def test_no_number_on_a_gpu_shows_in_its_row() -> None:
    mean, logvar = (x.cuda() for x in tensors(9, 64)[:2])
    logvar[4, 20] = float("nan")
    z, kl = reparameterize(mean, logvar, seed=0)
    assert kl.isfinite().tolist() == [row != 4 for row in range(9)]
    assert (~z.isfinite()).nonzero().tolist() == [[4, 20]]
