"""Programs written by hand, over torch modules or random weights, and naive ways to draw them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d, one_hot

from genfast.program import Add, Buffer, Draw, Input, Instruction, Look, Mat, Program, Sum, symbol

Array = NDArray[np.float32]


class Case(NamedTuple):
    """A program, and the scores of every site from what stands before it, by torch alone.

    Args:
        program: as written, not optimized.
        inputs: of a batch of N, N the size of every input.
        scores: int64 (N, sites) -> float64 (N, sites, classes).
    """

    program: Program
    inputs: dict[str, NDArray[Any]]
    scores: Callable[[Tensor], Tensor]


def array(tensor: Tensor) -> Array:
    return np.ascontiguousarray(tensor.detach().numpy(), np.float32)


def recurrent(cell: str, depth: int, *, width: int = 17, classes: int = 7) -> Case:
    """Embedding with a learnt start row, torch.nn.LSTM or GRU, readout."""
    torch.manual_seed(depth)
    embed = nn.Embedding(classes + 1, 5)
    rnn = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](5, width, depth, batch_first=True)
    readout = nn.Linear(width, classes)
    readout.weight.data *= 8
    for name, parameter in rnn.named_parameters():
        if name.startswith("bias"):  # so that the sum of two is exact
            parameter.data = (parameter.data * 4096).round() / 4096

    x, below = symbol("x", classes), Buffer("e", 5)
    code: list[Instruction] = [Sum((below,), (Look(array(embed.weight), x[0, -1]),))]
    for j in range(depth):
        w_ih, w_hh, b_ih, b_hh = (
            getattr(rnn, f"{n}_l{j}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        h = Buffer(f"h{j}", width)
        up, back = Mat(array(w_ih), below.here), Mat(array(w_hh), h[0, -1])
        if cell == "lstm":
            c = Buffer(f"c{j}", width)
            code.append(Sum((h, c), (up, back), array(b_ih + b_hh), "lstm", (c[0, -1],)))
        else:
            rec = Buffer(f"rec{j}", 3 * width)
            code.append(Sum((rec,), (back,), array(b_hh)))
            code.append(Sum((h,), (up,), array(b_ih), "gru", (rec.here, h[0, -1])))
        below = h
    params = Buffer("params", classes)
    out = Sum((params,), (Mat(array(readout.weight), below.here),), array(readout.bias))
    modules = [module.double() for module in (embed, rnn, readout)]

    def scores(values: Tensor) -> Tensor:
        start = torch.full_like(values[:, :1], classes)
        y = modules[0](torch.cat([start, values[:, :-1]], 1))
        return modules[2](modules[1](y)[0]).detach()

    return Case(Program("sequence", [*code, out, Draw((x,), params.here)]), {}, scores)


class Raster:
    """Instructions of an image model, one convolution at a time, next to torch's own."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.code: list[Instruction] = []

    def weight(self, *shape: int) -> Tensor:
        fan_in = int(np.prod(shape[1:])) or 1
        return torch.randn(shape, generator=self.generator) * (2 / fan_in) ** 0.5

    def mats(self, weight: Tensor, source: Buffer, mask: Tensor | None = None) -> list[Mat]:
        """The taps of a convolution (out, in, k, k) that the mask (k, k) leaves."""
        k = weight.shape[-1]
        live = torch.ones(k, k) if mask is None else mask
        return [
            Mat(array(weight[:, :, i, j]), source[i - k // 2, j - k // 2])
            for i in range(k)
            for j in range(k)
            if live[i, j]
        ]

    def sum(self, name: str, width: int, terms: list[Any], bias: Any, *epilogue: str) -> Buffer:
        """Adds `name = epilogue(bias + terms)`; returns its buffer."""
        target, biases = Buffer(name, width), None if bias is None else array(bias)
        self.code.append(Sum((target,), tuple(terms), biases, *epilogue))
        return target


def mask(k: int, kind: str) -> Tensor:
    """(k, k): 1 above the centre and left of it; of kind B at it, too."""
    m = torch.zeros(k, k)
    m[: k // 2] = 1
    m[k // 2, : k // 2 + (kind == "B")] = 1
    return m


def masked_pixelcnn(shape: tuple[int, int] = (5, 6), levels: int = 5, h: int = 6) -> Case:
    """PixelCNN (van den Oord et al. 2016): 7x7 mask A, two residual blocks, two 1x1."""
    r = Raster(seed=1)
    w_in, b_in = r.weight(2 * h, 1, 7, 7), r.weight(2 * h)
    sizes = [(h, 2 * h, 1, 1), (h,), (h, h, 3, 3), (h,), (2 * h, h, 1, 1), (2 * h,)]
    blocks = [[r.weight(*size) for size in sizes] for _ in range(2)]
    w_mid, b_mid = r.weight(2 * h, 2 * h, 1, 1), r.weight(2 * h)
    w_out, b_out = r.weight(levels, 2 * h, 1, 1), r.weight(levels)
    values = torch.cat([2 * torch.arange(levels) / (levels - 1) - 1, torch.zeros(1)])[:, None]

    x, pixel = symbol("x", levels), Buffer("pixel", 1)
    a = r.sum("a0", 2 * h, r.mats(w_in, pixel, mask(7, "A")), b_in)
    for i, (w0, b0, w1, b1, w2, b2) in enumerate(blocks):
        act = r.sum(f"act{i}", 2 * h, [Add(a.here)], None, "relu")
        m = r.sum(f"m{i}", h, r.mats(w0, act), b0, "relu")
        n = r.sum(f"n{i}", h, r.mats(w1, m, mask(3, "B")), b1, "relu")
        a = r.sum(f"a{i + 1}", 2 * h, [Add(a.here), *r.mats(w2, n)], b2)
    act = r.sum("act", 2 * h, [Add(a.here)], None, "relu")
    mid = r.sum("mid", 2 * h, r.mats(w_mid, act), b_mid, "relu")
    params = r.sum("params", levels, r.mats(w_out, mid), b_out)
    r.code += [Draw((x,), params.here), Sum((pixel,), (Look(array(values), x.here),))]

    def scores(drawn: Tensor) -> Tensor:
        image = values[drawn, 0].double().reshape(-1, 1, *shape)
        a = conv2d(image, (w_in * mask(7, "A")).double(), b_in.double(), padding=3)
        for block in blocks:
            w0, b0, w1, b1, w2, b2 = (t.double() for t in block)
            m = conv2d(a.relu(), w0, b0).relu()
            n = conv2d(m, w1 * mask(3, "B"), b1, padding=1).relu()
            a = a + conv2d(n, w2, b2)
        mid = conv2d(a.relu(), w_mid.double(), b_mid.double()).relu()
        return conv2d(mid, w_out.double(), b_out.double()).flatten(2).transpose(1, 2)

    return Case(Program("raster", r.code, shape), {}, scores)


def gated_pixelcnn(
    batch: int, shape: tuple[int, int] = (5, 4), levels: int = 4, h: int = 3, classes: int = 3
) -> Case:
    """Gated PixelCNN (van den Oord et al. 2016b), two layers, one-hot pixels, of a class or none.

    The vertical stack sees the rows above; the horizontal one this row and the vertical stack.
    """
    r = Raster(seed=2)
    rows_above, left = torch.zeros(7, 7), torch.zeros(7, 7)
    rows_above[:3], left[3, :3] = 1, 1
    up, left_and_here = torch.zeros(3, 3), torch.zeros(3, 3)
    up[:2], left_and_here[1, :2] = 1, 1
    w_v = [r.weight(2 * h, levels, 7, 7) / 4, r.weight(2 * h, h, 3, 3)]
    w_h = [r.weight(2 * h, levels, 7, 7) / 4, r.weight(2 * h, h, 3, 3)]
    w_c = [[r.weight(classes + 1, 2 * h) for _ in range(2)] for _ in "vh"]
    b = [[r.weight(2 * h) for _ in range(2)] for _ in "vh"]
    w_vh = [r.weight(2 * h, 2 * h, 1, 1) for _ in range(2)]
    w_out, b_out = r.weight(levels, h, 1, 1), r.weight(levels)
    masks_v, masks_h = (rows_above, up), (left, left_and_here)

    x, given = symbol("x", levels), symbol("class", classes or 1)

    def taps(weight: Tensor, source: Buffer, live: Tensor) -> list[Any]:
        """Of one-hot pixels: tables, whose border row is 0."""
        mats = r.mats(weight, source, live)
        if source is not x:
            return mats
        zero = np.zeros((1, 2 * h), np.float32)
        return [Look(np.concatenate([m.weight.T, zero]), m.ref) for m in mats]

    v = hor = x
    for i in range(2):
        vz = r.sum(f"vz{i}", 2 * h, taps(w_v[i], v, masks_v[i]), b[0][i])
        of_class = [Look(array(table[i]), given.here) for table in w_c if classes]
        row = [*taps(w_h[i], hor, masks_h[i]), *of_class[1:], *r.mats(w_vh[i], vz)]
        v = r.sum(f"v{i}", h, [Add(vz.here), *of_class[:1]], None, "gate")
        hor = r.sum(f"g{i}", h, row, b[1][i], "gate")
    params = r.sum("params", levels, r.mats(w_out, hor), b_out)
    code = [*([Input(given)] if classes else []), *r.code, Draw((x,), params.here)]
    labels = torch.randint(classes or 1, (batch,), generator=r.generator)
    inputs = {"class": labels.numpy()} if classes else {}
    w_c = w_c if classes else [[torch.zeros(1, 2 * h)] * 2] * 2

    def scores(drawn: Tensor) -> Tensor:
        pixels = one_hot(drawn, levels).double().transpose(1, 2).reshape(-1, levels, *shape)
        v = hor = pixels
        for i, pad in enumerate((3, 1)):
            vz = conv2d(v, (w_v[i] * masks_v[i]).double(), b[0][i].double(), padding=pad)
            hz = conv2d(hor, (w_h[i] * masks_h[i]).double(), b[1][i].double(), padding=pad)
            hz = hz + conv2d(vz, w_vh[i].double()) + w_c[1][i].double()[labels][..., None, None]
            vz = vz + w_c[0][i].double()[labels][..., None, None]
            v, hor = (z[:, :h].tanh() * z[:, h:].sigmoid() for z in (vz, hz))
        return conv2d(hor, w_out.double(), b_out.double()).flatten(2).transpose(1, 2)

    return Case(Program("raster", code, shape), inputs, scores)


BATCH = 3
CASES: dict[str, Callable[[], Case]] = {
    "lstm-1": lambda: recurrent("lstm", 1),
    "lstm-2": lambda: recurrent("lstm", 2),
    "gru-1": lambda: recurrent("gru", 1),
    "gru-2": lambda: recurrent("gru", 2),
    "masked": masked_pixelcnn,
    "gated": lambda: gated_pixelcnn(BATCH, classes=0),
    "gated-classes": lambda: gated_pixelcnn(BATCH),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """Every hand-written program; its inputs are of a batch of 3."""
    return CASES[request.param]()


@pytest.fixture
def uniforms(case: Case) -> Array:
    """float32 (3, sites, 1) of a fixed seed, on the lattice that the generator draws from."""
    rows, columns = case.program.shape or (1, 19)
    words = np.random.default_rng(5).integers(0, 1 << 24, (BATCH, rows * columns, 1))
    return (words * 2.0**-24).astype(np.float32)


@pytest.fixture
def build() -> dict[str, Callable[..., Case]]:
    """The makers of programs, for tests that need one of a certain size."""
    return {"recurrent": recurrent, "masked": masked_pixelcnn, "gated": gated_pixelcnn}
