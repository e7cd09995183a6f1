"""The kernels of reparameterize for a GPU, their own source followed on the host.

They are to have the bits of the CPU core wherever its vectors fuse multiply-adds, and for the
divergences, which are added up in another order, its bound. `blocks` is the grid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from box_muller import Array
from test_core_reparameterize import EDGES, KL, SIZES, UNIT, Call

FUSED = ("v3", "v4")
#: Rows that are cut into parts, and whose parts are whole, or one column longer.
LONG = [(3, 2048), (2, 2049), (2, 5000), (1, 70_001)]
GUARD = 64


def guarded(shape: Any, dtype: Any, offset: int = 0) -> tuple[Array, Array]:
    """(a contiguous array of NaN, all memory around it); `offset` values off 16 bytes."""
    size = int(np.prod(shape))
    memory = np.full(size + 2 * GUARD + 16, 0x7B, np.uint8).repeat(np.dtype(dtype).itemsize)
    values = memory.view(dtype)
    begin = GUARD + offset - memory.ctypes.data % 16 // np.dtype(dtype).itemsize
    inner = values[begin : begin + size]
    inner[...] = np.nan
    return inner.reshape(shape), memory


def untouched(inner: Array, memory: Array) -> bool:
    begin = inner.ctypes.data - memory.ctypes.data
    around = np.concatenate([memory[:begin], memory[begin + inner.nbytes :]])
    return bool((around == 0x7B).all())


def simulate(core: Any, call: Call, blocks: int = 3, offset: int = 0) -> list[Array]:
    """z, kl and the gradients, as `Call.run`; nothing around them may be written."""
    dtype, shape = call.mean.dtype, call.mean.shape
    cuts = core.cuda_reparameterize_parts(shape[1], dtype.itemsize)
    outs = [guarded(shape, dtype, offset) for _ in range(3)]
    sums = [guarded((shape[0],), np.float32), guarded((shape[0], cuts), np.float32)]
    (z, by_mean, by_logvar), (kl, parts) = ([x for x, _ in arrays] for arrays in (outs, sums))
    draw = call.mean, call.logvar, call.seed, call.index
    core._simulated_reparameterize(*draw, z, kl, parts, blocks)
    grads = call.grad_z, call.grad_kl
    core._simulated_reparameterize_backward(*grads, *draw, by_mean, by_logvar, blocks)
    assert all(untouched(*pair) for pair in outs + sums)
    return [z, kl, by_mean, by_logvar]


def assert_as_cpu(core: Any, call: Call, found: list[Array]) -> None:
    """z and gradients to the bit, divergences within both bounds."""
    fused = [isa for isa in FUSED if isa in core.isas()]
    if not fused:
        pytest.skip("no instruction set here fuses multiply-adds")
    z, kl, by_mean, by_logvar = call.run(core, fused[0])
    for a, b in zip((found[0], *found[2:]), (z, by_mean, by_logvar), strict=True):
        assert np.array_equal(a, b)
    size = call.exact().kl_size.astype(np.float64)
    assert (np.abs(found[1].astype(np.float64) - kl) <= 2 * KL * 2.0**-24 * size).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("shape", SIZES + LONG)
def test_bits_are_the_cpu_s(core: Any, shape: Any, dtype: Any) -> None:
    call = Call.random(shape, dtype, scale=1.0)
    assert_as_cpu(core, call, simulate(core, call))


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 8, 12, 16, 20, 40, 44, 48, 64, 68, 132, 400])
def test_every_way_to_share_a_row(core: Any, columns: int) -> None:
    call = Call.random((37, columns), scale=1.0)
    assert_as_cpu(core, call, simulate(core, call, blocks=1))


@pytest.mark.parametrize("logvar", [-29.9, -8.0, -0.5, 0.0, 0.7, 19.9])
def test_many_draws_have_the_cpu_s_bits(core: Any, logvar: float) -> None:
    call = Call.random((4000, 16), scale=0.4)
    call.logvar = call.logvar + np.float32(logvar)
    assert_as_cpu(core, call, simulate(core, call))


@pytest.mark.parametrize("shape", [(129, 5), (7, 64), (2, 1000), (2, 5000)])
def test_divergences_are_the_formula_s(core: Any, shape: Any) -> None:
    call = Call.random(shape)
    exact, kl = call.exact(), simulate(core, call)[1]
    error = np.abs(kl - exact.kl) / exact.kl_size / UNIT[np.dtype(np.float32)]
    assert error.max() <= KL


@pytest.mark.parametrize("index", EDGES)
@pytest.mark.parametrize("logvar", [-31.0, -30.0, -1e-3, 0.0, 1.0, 20.0, 21.0, 3e38])
def test_uniforms_at_the_edges(core: Any, index: int, logvar: float) -> None:
    for mean in (0.0, 0.1, -300.0):
        full = np.full((1, 6), mean, np.float32), np.full((1, 6), logvar, np.float32)
        ones = np.ones((1, 6), np.float32), np.ones(1, np.float32)
        call = Call(*full, *ones, seed=0, index=index)
        assert_as_cpu(core, call, simulate(core, call))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("shape", [(300, 33), (67, 64), (3, 9000)])
def test_the_grid_changes_no_bit(core: Any, shape: Any, dtype: Any) -> None:
    call = Call.random(shape, dtype, scale=1.0)
    expected = simulate(core, call, 1)
    for blocks in (2, 5, 1000):
        for found, first in zip(simulate(core, call, blocks), expected, strict=True):
            assert found.tobytes() == first.tobytes()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("columns", [1, 16, 37, 5000])
def test_a_row_alone_has_the_same_bits(core: Any, columns: int, dtype: Any) -> None:
    call = Call.random((9, columns), dtype, scale=1.0)
    whole = simulate(core, call)
    for i in range(9):
        for found, all_rows in zip(simulate(core, call.row(i)), whole, strict=True):
            assert found.tobytes() == all_rows[i : i + 1].tobytes()


@pytest.mark.parametrize("columns", [16, 21, 64])
def test_any_place_in_memory(core: Any, columns: int) -> None:
    """Halves of one tensor, strided gradients, and memory that is not on 16 bytes."""
    call = Call.random((9, columns))
    expected = simulate(core, call)
    both = np.concatenate([call.mean, call.logvar, call.grad_z], 1)
    call.mean, call.logvar, call.grad_z = np.split(both, 3, 1)
    call.grad_kl = np.repeat(call.grad_kl, 3)[::3]
    for offset in range(4):
        for found, first in zip(simulate(core, call, offset=offset), expected, strict=True):
            assert found.tobytes() == first.tobytes()


def test_missing_gradients_are_zeros(core: Any) -> None:
    for columns in (19, 64):
        call = Call.random((7, columns))
        for name in ("grad_z", "grad_kl"):
            given = getattr(call, name)
            setattr(call, name, np.zeros_like(given))
            expected = simulate(core, call)[2:]
            setattr(call, name, None)
            assert all(map(np.array_equal, simulate(core, call)[2:], expected))
            setattr(call, name, given)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_nothing_to_draw(core: Any, shape: Any) -> None:
    z, kl, by_mean, by_logvar = simulate(core, Call.random(shape))
    assert z.size == by_mean.size == by_logvar.size == 0
    assert not kl.any()


@pytest.mark.parametrize("argument", ["mean", "logvar"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_shows_in_its_row_alone(core: Any, argument: str, value: float) -> None:
    call = Call.random((9, 37), scale=1.0)
    getattr(call, argument)[4, 20] = value
    z, kl, *_ = simulate(core, call)
    assert np.isfinite(kl).tolist() == [row != 4 for row in range(9)]
    odd = np.argwhere(~np.isfinite(z)).tolist()
    assert odd == [[4, 20]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": np.zeros((2, 3))}, "mean must be float32, float16 or bfloat16 .* got float64"),
        ({"logvar": np.zeros((2, 4), np.float32)}, r"logvar must be float32 \(2, 3\), got .*2, 4"),
        ({"seed": 2**63}, "seed must be in"),
        ({"index": 2**32 - 1}, "index . n must be at most 2..32"),
    ],
)
def test_refusals(core: Any, change: Any, message: str) -> None:
    call = Call.random((2, 3))
    for name, value in change.items():
        setattr(call, name, value)
    with pytest.raises(ValueError, match=message):
        simulate(core, call)


def test_a_gpu_s_arguments_are_on_a_gpu(core: Any) -> None:
    ones, few = np.ones((2, 3), np.float32), np.ones(2, np.float32)
    with pytest.raises(ValueError, match="mean must be on the GPU"):
        core.cuda_reparameterize(ones, ones, 0, 0, ones, few, few[:, None], 0)
    with pytest.raises(ValueError, match="grad_z must be on the GPU"):
        core.cuda_reparameterize_backward(ones, few, ones, ones, 0, 0, ones, ones, 0)


def test_parts_must_fit(core: Any) -> None:
    wide, few = np.ones((2, 3000), np.float32), np.ones(2, np.float32)
    with pytest.raises(ValueError, match=r"parts must be float32 \(2, 2\), got float32 \(2, 1\)"):
        core._simulated_reparameterize(wide, wide, 0, 0, wide.copy(), few, few[:, None], 1)
