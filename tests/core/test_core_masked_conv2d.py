"""The kernels of masked_conv2d, against plain float64 NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]
#: Of the sum of absolute products behind each element: float32 chains against float64.
TOLERANCE = 2e-6


def causal(kind: str, k: int) -> Array:
    """(1, 1, k, k): rows above, and of its own row what is left; of kind B the pixel, too."""
    mask = np.zeros((1, 1, k, k), np.float32)
    mask[..., : k // 2, :] = 1
    mask[..., k // 2, : k // 2 + (kind == "B")] = 1
    return mask


@dataclass
class Layer:
    """One call of the kernels: arrays that are float32, results that begin as NaN."""

    x: Array
    weight: Array
    bias: Array | None
    mask: Array | None
    grad: Array
    above: int
    left: int

    @classmethod
    def random(
        cls, seed: int, sizes: tuple[int, int, int, int, int, int], mask: Array | None, **place: int
    ) -> Layer:
        """sizes: n, rows, columns, in, out, k."""
        rng = np.random.default_rng(seed)
        n, rows, columns, channels, out, k = sizes

        def made(*shape: int) -> Array:
            return rng.standard_normal(shape).astype(np.float32)

        bias = made(out) if seed % 2 == 0 else None
        x, weight = made(n, rows, columns, channels), made(out, channels, k, k)
        place = {"above": k // 2, "left": k // 2} | place
        return cls(x, weight, bias, mask, made(n, rows, columns, out), **place)

    def run(self, core: Any, isa: str, threads: int = 1) -> list[Array]:
        """The output, and the gradients by input, weight and bias."""
        shapes = self.grad.shape, self.x.shape, self.weight.shape, self.weight.shape[:1]
        y, *by = (np.full(shape, np.nan, np.float32) for shape in shapes)
        layer = self.weight, self.mask, self.above, self.left
        weight, *place = layer
        core.masked_conv2d(self.x, weight, self.bias, *place, y, threads, isa)
        core.masked_conv2d_backward(self.grad, self.x, *layer, *by, threads, isa)
        return [y, *by]

    def exact(self, size: bool = False) -> list[Array]:
        """The same in float64; or, with `size`, the sums of absolute values."""
        x, weight, grad = (
            np.abs(a).astype(np.float64) if size else a.astype(np.float64)
            for a in (self.x, self.weight, self.grad)
        )
        alive = np.ones_like(weight) if self.mask is None else self.mask != 0
        weight = np.where(alive, weight, 0)
        bias = np.zeros(len(weight)) if self.bias is None else self.bias.astype(np.float64)
        y, by_x = np.zeros(grad.shape) + (np.abs(bias) if size else bias), np.zeros(x.shape)
        by_weight = np.zeros(weight.shape)
        rows, columns = weight.shape[2:]
        for ky in range(rows):
            for kx in range(columns):
                here, there = shifted(x.shape, ky - self.above, kx - self.left)
                y[here] += x[there] @ weight[:, :, ky, kx].T
                by_x[there] += grad[here] @ weight[:, :, ky, kx]
                by_weight[:, :, ky, kx] = np.einsum("nyxo,nyxi->oi", grad[here], x[there])
        return [y, by_x, np.where(alive, by_weight, 0), grad.sum((0, 1, 2))]

    def check(self, core: Any, isa: str, threads: int = 1) -> None:
        results = zip(
            self.run(core, isa, threads), self.exact(), self.exact(size=True), strict=True
        )
        for found, exact, size in results:
            assert not np.isnan(found).any()
            assert (np.abs(found - exact) <= TOLERANCE * size).all()


def shifted(shape: tuple[int, ...], dy: int, dx: int) -> tuple[Any, Any]:
    """Pixels whose neighbour (dy, dx) away exists, and these neighbours."""
    _, rows, columns, _ = shape
    ys = slice(max(0, -dy), max(0, min(rows, rows - dy)))
    xs = slice(max(0, -dx), max(0, min(columns, columns - dx)))
    there = slice(ys.start + dy, ys.stop + dy), slice(xs.start + dx, xs.stop + dx)
    empty = ys.stop <= ys.start or xs.stop <= xs.start
    nothing = (slice(0), slice(0))
    return (slice(None), *(nothing if empty else (ys, xs))), (
        slice(None),
        *(nothing if empty else there),
    )


@pytest.mark.parametrize("sides", [(1, 1), (1, 7), (5, 1), (9, 7)])
@pytest.mark.parametrize("k", [1, 3, 5, 7])
@pytest.mark.parametrize("kind", ["A", "B"])
def test_sizes(core: Any, isa: str, sides: tuple[int, int], k: int, kind: str) -> None:
    for seed, (channels, out) in enumerate([(1, 5), (2, 17), (3, 2), (5, 1), (17, 3), (64, 5)]):
        for n in (1, 3):
            sizes = n, *sides, channels, out, k
            Layer.random(seed, sizes, causal(kind, k)).check(core, isa, threads=2)


@pytest.mark.parametrize(("channels", "out"), [(64, 64), (129, 17), (17, 129), (1, 64)])
def test_wide_layers(core: Any, isa: str, channels: int, out: int) -> None:
    Layer.random(0, (2, 9, 13, channels, out, 3), causal("B", 3)).check(core, isa, threads=3)
    Layer.random(1, (1, 8, 8, channels, out, 7), causal("A", 7)).check(core, isa)


def test_long_rows_and_many_images(core: Any, isa: str) -> None:
    """More rows, pixels and parts than one piece of work has."""
    Layer.random(0, (3, 40, 37, 19, 23, 3), causal("B", 3)).check(core, isa, threads=2)
    Layer.random(1, (300, 3, 4, 2, 3, 3), causal("A", 3)).check(core, isa, threads=2)


@pytest.mark.parametrize("seed", range(8))
def test_any_mask_at_any_place(core: Any, isa: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    out, channels, k = (int(rng.integers(1, 40)) for _ in range(3))
    k = k % 4 + 1
    shape = [(1, 1), (out, 1), (1, channels), (out, channels)][seed % 4]
    mask = (rng.random((*shape, k, k)) < 0.3).astype(np.float32)
    place = {"above": int(rng.integers(-2, k + 3)), "left": int(rng.integers(-2, k + 3))}
    layer = Layer.random(seed, (2, 6, 11, channels, out, k), mask, **place)
    layer.check(core, isa, threads=2)
    layer.mask = None
    layer.check(core, isa)


@pytest.mark.parametrize("sizes", [(5, 28, 11, 21, 35, 3), (1, 3, 50, 64, 16, 5)])
def test_same_bits_for_any_number_of_threads(core: Any, isa: str, sizes: Any) -> None:
    layer = Layer.random(0, sizes, causal("B", sizes[-1]))
    expected = layer.run(core, isa)
    for threads in (2, 3):
        for found, first in zip(layer.run(core, isa, threads), expected, strict=True):
            assert found.tobytes() == first.tobytes()


def test_dead_weights_have_no_effect_and_no_gradient(core: Any, isa: str) -> None:
    rng = np.random.default_rng(0)
    mask = causal("B", 3) * (rng.random((5, 4, 3, 3)) < 0.5).astype(np.float32)
    layer = Layer.random(0, (2, 5, 4, 4, 5, 3), mask)
    expected = layer.run(core, isa)
    layer.weight[mask == 0] = np.nan
    for found, first in zip(layer.run(core, isa), expected, strict=True):
        assert found.tobytes() == first.tobytes()
    assert not expected[2][mask == 0].any()


def test_no_live_tap_leaves_the_bias(core: Any, isa: str) -> None:
    layer = Layer.random(0, (2, 3, 4, 5, 6, 1), causal("A", 1))
    y, by_x, by_weight, by_bias = layer.run(core, isa)
    assert layer.bias is not None
    assert (y == layer.bias).all()
    assert not by_x.any()
    assert not by_weight.any()
    np.testing.assert_allclose(by_bias, layer.grad.sum((0, 1, 2)), rtol=1e-4)


@pytest.mark.parametrize("sizes", [(0, 3, 4, 5, 6, 3), (2, 0, 4, 5, 6, 3), (2, 3, 0, 5, 6, 3)])
def test_no_pixels(core: Any, isa: str, sizes: Any) -> None:
    y, by_x, by_weight, by_bias = Layer.random(0, sizes, causal("B", 3)).run(core, isa, 2)
    assert y.size == by_x.size == 0
    assert not by_weight.any()
    assert not by_bias.any()


def test_nan_reaches_those_who_see_it(core: Any, isa: str) -> None:
    layer = Layer.random(0, (1, 7, 7, 3, 4, 3), causal("A", 3))
    layer.x[0, 3, 3, 1] = np.nan
    y, *_ = layer.run(core, isa)
    seers = np.zeros((7, 7), bool)
    seers[3, 4] = True
    seers[4, 2:5] = True
    assert (np.isnan(y[0]).all(-1) == seers).all()
    assert (np.isnan(y[0]).any(-1) == seers).all()


def test_only_what_is_asked_for_is_written(core: Any, isa: str) -> None:
    layer = Layer.random(0, (2, 5, 6, 7, 18, 3), causal("B", 3))
    expected = layer.run(core, isa)[1:]
    for wanted in range(3):
        by: list[Array | None] = [None] * 3
        by[wanted] = np.full(expected[wanted].shape, np.nan, np.float32)
        place = layer.weight, layer.mask, layer.above, layer.left
        core.masked_conv2d_backward(layer.grad, layer.x, *place, *by, 2, isa)
        assert np.asarray(by[wanted]).tobytes() == expected[wanted].tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((2, 3, 4, 6), np.float32)}, r"input must be float32 .*5\), got"),
        ({"x": np.zeros((2, 3, 4, 5))}, "input must be float32 .*got float64"),
        ({"weight": np.zeros((6, 5, 3), np.float32)}, "weight must be float32"),
        ({"weight": np.zeros((6, 0, 3, 3), np.float32)}, "weight must have at least 1 and below"),
        ({"bias": np.zeros(5, np.float32)}, r"bias must be float32 \(6,\), got float32 \(5,\)"),
        ({"mask": np.zeros((2, 1, 3, 3), np.float32)}, "mask must fit weight"),
        ({"mask": np.zeros((1, 1, 3, 2), np.float32)}, "mask must be float32"),
        ({"grad": np.zeros((2, 3, 4, 7), np.float32)}, "output must be float32"),
        ({"above": 2**40}, "above and left must be within"),
    ],
)
def test_refusals(core: Any, change: Any, message: str) -> None:
    layer = Layer.random(0, (2, 3, 4, 5, 6, 3), causal("B", 3))
    for name, value in change.items():
        setattr(layer, name, value)
    with pytest.raises(ValueError, match=message):
        layer.run(core, "")
