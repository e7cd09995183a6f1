"""The kernels of reparameterize against the formula in more bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from box_muller import Array, Latents, latents, noise

#: Of the sizes in `Latents`, in units of 2**-24, or of 2**-53 for float64. z in float32 has the
#: bound that csrc/cpu/reparameterize.h derives; sums of a row grow with its length.
Z, KL, BY_MEAN, BY_LOGVAR = 4.0, 12.0, 2.0, 12.0
WIDE = 16.0
UNIT = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float64): 2.0**-53}
SIZES = [(1, 1), (1, 2), (3, 17), (129, 5), (5, 16), (7, 64), (2, 1000), (300, 33)]
EDGES = [600802, 3409490, 253230, 3154904]


@dataclass
class Call:
    """One call forward and one back: arrays, and results that begin as NaN."""

    mean: Array
    logvar: Array
    grad_z: Array
    grad_kl: Array
    seed: int = 2**61 + 3
    index: int = 2**32 - 70_000

    @classmethod
    def random(cls, shape: tuple[int, int], dtype: Any = np.float32, scale: float = 3.0) -> Call:
        rng = np.random.default_rng(shape[0] * 1009 + shape[1])
        arrays = [(rng.standard_normal(shape) * s).astype(dtype) for s in (1, scale, 1)]
        small = np.float64 if dtype is np.float64 else np.float32
        return cls(*arrays, rng.standard_normal(shape[0]).astype(small))

    def run(self, core: Any, isa: str, threads: int = 1) -> list[Array]:
        """z, kl and the gradients by mean and logvar."""
        z, by_mean, by_logvar = (
            np.full(self.mean.shape, np.nan, self.grad_z.dtype) for _ in range(3)
        )
        kl = np.full(len(self.mean), np.nan, self.grad_kl.dtype)
        draw = self.mean, self.logvar, self.seed, self.index
        core.reparameterize(*draw, z, kl, threads, isa)
        grads = self.grad_z, self.grad_kl
        core.reparameterize_backward(*grads, *draw, by_mean, by_logvar, threads, isa)
        return [z, kl, by_mean, by_logvar]

    def exact(self) -> Latents:
        drawn = noise(self.seed, self.index, self.mean.shape, self.mean.dtype == np.float64)
        return latents(self.mean, self.logvar, self.grad_z, self.grad_kl, drawn)

    def check(self, core: Any, isa: str, threads: int = 1) -> list[float]:
        """The largest errors in units; AssertionError for one above its bound."""
        exact, unit = self.exact(), UNIT[self.mean.dtype]
        wide = self.mean.dtype == np.float64
        rows = (
            (exact.z, exact.z_size, Z),
            (exact.kl, exact.kl_size, KL),
            (exact.by_mean, exact.by_mean_size, BY_MEAN),
            (exact.by_logvar, exact.by_logvar_size, BY_LOGVAR),
        )
        worst = []
        for found, (expected, size, bound) in zip(self.run(core, isa, threads), rows, strict=True):
            assert not np.isnan(found).any()
            error = np.abs(found - expected) / np.where(size > 0, size, 1) / unit
            worst.append(float(error.max(initial=0)))
            assert worst[-1] <= (WIDE if wide else bound)
        return worst

    def row(self, i: int) -> Call:
        one = slice(i, i + 1)
        arrays = self.mean[one], self.logvar[one], self.grad_z[one], self.grad_kl[one]
        return Call(*arrays, self.seed, self.index + i)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SIZES)
def test_results_are_the_formula_s(core: Any, isa: str, shape: Any, dtype: Any) -> None:
    Call.random(shape, dtype).check(core, isa, threads=2)


@pytest.mark.parametrize("mean", [0.0, 1e-6, 1.0, 1e4])
@pytest.mark.parametrize("logvar", [-29.9, -8.0, -0.5, 0.0, 0.7, 19.9])
def test_many_draws_stay_below_the_bound(core: Any, isa: str, mean: float, logvar: float) -> None:
    call = Call.random((4000, 17), scale=0.4)
    call.mean = call.mean * np.float32(mean)
    call.logvar = call.logvar + np.float32(logvar)
    call.check(core, isa)


@pytest.mark.parametrize("index", EDGES)
@pytest.mark.parametrize("mean", [0.0, 0.1, -300.0])
def test_uniforms_at_the_edges(core: Any, isa: str, index: int, mean: float) -> None:
    for logvar in (-31.0, -30.0, -1e-3, 0.0, 1.0, 20.0, 21.0, 3e38):
        full = np.full((1, 6), mean, np.float32), np.full((1, 6), logvar, np.float32)
        ones = np.ones((1, 6), np.float32), np.ones(1, np.float32)
        Call(*full, *ones, seed=0, index=index).check(core, isa)


def test_halves_are_within_a_unit_of_the_rounded_result(core: Any, isa: str) -> None:
    call = Call.random((200, 37), np.float16, scale=1.0)
    exact = call.exact()
    z, _, by_mean, by_logvar = call.run(core, isa)
    pairs = (z, exact.z), (by_mean, exact.by_mean), (by_logvar, exact.by_logvar)
    for found, expected in pairs:
        rounded = expected.astype(np.float64).astype(np.float16)
        assert (np.abs(found - rounded) <= np.spacing(np.abs(rounded))).all()
        assert (found == rounded).mean() > 0.99


def test_halves_beyond_their_range(core: Any, isa: str) -> None:
    """Small numbers keep what the format has of them, large ones are infinite."""
    mean = np.array([[6e-8, -2e-6, 3e-5, 65504, -65504, 0]], np.float16)
    for logvar in (-30, -20):
        call = Call(mean, np.full_like(mean, logvar), mean * 0, np.zeros(1, np.float32))
        rounded = call.exact().z.astype(np.float64).astype(np.float16)
        assert (
            np.abs(call.run(core, isa)[0] - rounded) <= np.spacing(np.abs(rounded / 2)) * 2
        ).all()
    call.logvar = np.full_like(mean, 20)
    assert np.isinf(call.run(core, isa)[0]).any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_same_bits_for_any_number_of_threads(core: Any, isa: str, dtype: Any) -> None:
    call = Call.random((3001, 35), dtype, scale=1.0)
    expected = call.run(core, isa)
    for threads in (2, 3):
        for found, first in zip(call.run(core, isa, threads), expected, strict=True):
            assert found.tobytes() == first.tobytes()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("columns", [1, 16, 37])
def test_a_row_alone_has_the_same_bits(core: Any, isa: str, columns: int, dtype: Any) -> None:
    call = Call.random((19, columns), dtype, scale=1.0)
    whole = call.run(core, isa)
    for i in range(19):
        for found, all_rows in zip(call.row(i).run(core, isa), whole, strict=True):
            assert found.tobytes() == all_rows[i : i + 1].tobytes()


def test_rows_any_distance_apart(core: Any, isa: str) -> None:
    call = Call.random((9, 21))
    expected = call.run(core, isa)
    both = np.concatenate([call.mean, call.logvar, call.grad_z], 1)
    call.mean, call.logvar, call.grad_z = both[:, :21], both[:, 21:42], both[:, 42:]
    call.grad_kl = np.repeat(call.grad_kl, 3)[::3]
    for found, first in zip(call.run(core, isa), expected, strict=True):
        assert found.tobytes() == first.tobytes()
    same = np.broadcast_to(call.grad_kl[:1], 9)
    call.grad_kl = same
    strided = call.run(core, isa)
    call.grad_kl = same.copy()
    assert strided[3].tobytes() == call.run(core, isa)[3].tobytes()


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_nothing_to_draw(core: Any, isa: str, shape: Any) -> None:
    z, kl, by_mean, by_logvar = Call.random(shape).run(core, isa, 2)
    assert z.size == by_mean.size == by_logvar.size == 0
    assert not kl.any()


def test_missing_gradients_are_zeros(core: Any, isa: str) -> None:
    call = Call.random((7, 19))
    for name in ("grad_z", "grad_kl"):
        given = getattr(call, name)
        setattr(call, name, np.zeros_like(given))
        expected = call.run(core, isa)[2:]
        setattr(call, name, None)
        found = [np.full(call.mean.shape, np.nan, np.float32) for _ in range(2)]
        draw = call.mean, call.logvar, call.seed, call.index
        core.reparameterize_backward(call.grad_z, call.grad_kl, *draw, *found, 1, isa)
        assert all((a == b).all() for a, b in zip(found, expected, strict=True))
        setattr(call, name, given)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("argument", ["mean", "logvar"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_number_is_an_error(
    core: Any, isa: str, argument: str, value: float, dtype: Any
) -> None:
    for row, column in ((0, 0), (3, 16), (900, 36)):
        call = Call.random((901, 37), dtype, scale=1.0)
        getattr(call, argument)[row, column] = value
        message = f"^reparameterize: {argument} must be finite, got {value} in row {row}, column "
        message = message.replace("nan", "NaN") + f"{column}$"
        with pytest.raises(FloatingPointError, match=message):
            call.run(core, isa, threads=2)


def test_an_infinite_divergence_hides_no_error(core: Any, isa: str) -> None:
    call = Call.random((5, 17))
    call.mean[1, 3] = 1e30
    _, kl, *_ = call.run(core, isa)
    assert np.isinf(kl).tolist() == [False, True, False, False, False]
    call.mean[3, 3] = np.inf
    with pytest.raises(FloatingPointError, match="mean must be finite, got inf in row 3, column 3"):
        call.run(core, isa)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"mean": np.zeros((2, 3), np.int64)},
            "mean must be float32, float64, float16 or bfloat16",
        ),
        ({"mean": np.zeros(3, np.float32)}, "mean must be float32"),
        ({"logvar": np.zeros((2, 4), np.float32)}, r"logvar must be float32 \(2, 3\), got .*2, 4"),
        ({"logvar": np.zeros((2, 3))}, "logvar must be float32 .*got float64"),
        ({"logvar": np.zeros((3, 2), np.float32).T}, "logvar must have contiguous rows"),
        ({"grad_z": np.zeros((2, 4), np.float32)}, "grad_z must be float32"),
        ({"grad_kl": np.zeros(2)}, r"kl must be float32 \(2,\), got float64"),
        ({"seed": 2**63}, "seed must be in"),
        ({"index": 2**32 - 1}, "index . n must be at most 2..32"),
    ],
)
def test_refusals(core: Any, change: Any, message: str) -> None:
    call = Call.random((2, 3))
    for name, value in change.items():
        setattr(call, name, value)
    with pytest.raises(ValueError, match=message):
        call.run(core, "")


def test_results_must_be_writable_and_contiguous(core: Any) -> None:
    call = Call.random((2, 3))
    kl, wide = np.zeros(2, np.float32), np.zeros((2, 4), np.float32)
    locked = np.zeros((2, 3), np.float32)
    locked.setflags(write=False)
    for z, message in ((wide[:, :3], "z must be contiguous"), (locked, "z must be writable")):
        with pytest.raises(ValueError, match=message):
            core.reparameterize(call.mean, call.logvar, 0, 0, z, kl, 1)
