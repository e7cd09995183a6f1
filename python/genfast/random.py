"""All randomness: numbers in [0, 1), each of a seed, a sample's index and a draw's number alone.

The generator is Threefry2x32-20 (Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy
as 1, 2, 3", 2011). The key is the seed's two words, low first; the counter is (index, block), and
block `b` of a sample gives two words, its draws `2b` and `2b + 1`::

    seed 63 bits ---> key     = (seed low, seed high)
    sample index ---> counter = (index, draw // 2) ---> word 0, word 1 ---> (word >> 8) * 2**-24
"""

from __future__ import annotations

import math
import operator
from types import MappingProxyType

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from genfast._extension import core
from genfast.threefry import WORD, threefry2x32

__all__ = [
    "DRAW_LIMIT",
    "INDEX_LIMIT",
    "SEED_LIMIT",
    "TAGS",
    "fill_uniforms",
    "fold",
    "normals",
    "normals_reference",
    "resolve_seed",
    "row_indices",
    "row_seeds",
    "uniforms",
    "uniforms_reference",
]

SEED_LIMIT = 2**63
INDEX_LIMIT = 2**32
DRAW_LIMIT = 2**33
_HIGH_BIT = 0x80000000

#: The purposes that get a seed of their own through `fold`. A number is never given twice.
TAGS = MappingProxyType(
    {
        "init": 0,  # initial weights
        "split": 1,  # which examples are held out
        "shuffle": 2,  # the order of the examples of an epoch
        "dropout": 3,
        "noise": 4,  # training noise of a step
        "latent": 5,
        "prior": 6,
        "verify": 7,  # samples drawn to check another backend
        "train": 8,  # what a model draws itself in a step of training, such as latents
    }
)


def uniforms(
    seed: int | Int64[Tensor, " n"] | None,
    n: int,
    draws: int,
    *,
    index: int | Int64[Tensor, " n"] = 0,
    first: int | Int64[Tensor, " n"] = 0,
    backend: str = "auto",
    device: str | torch.device = "cpu",
) -> Float[Tensor, "n draws"]:
    """The draws `first .. first + draws - 1` of the samples `index .. index + n - 1`.

    Every backend and every way of cutting the work gives the same bits.

    Args:
        seed: 0 <= seed < 2**63; a tensor gives every row its own; None takes one from torch's
            generator.
        n: Samples, the rows of the result.
        draws: Uniforms of a sample, the columns of the result.
        index: Index of row 0; row i has `index + i`. A tensor is used as it is.
        first: Number of the draw in column 0; a tensor gives every row its own.
        backend: "cpu" or "cuda" for the compiled kernel, "reference" for plain PyTorch, "auto" for
            the compiled kernel of `device` where there is one.
        device: Where the result lies.

    Returns:
        float32 (n, draws), multiples of 2**-24 in [0, 1).

    Raises:
        ValueError: A number is out of range, or the backend cannot serve the device.

    Example:
        >>> uniforms(0, 2, 3, index=5)[1].equal(uniforms(0, 1, 3, index=6)[0])
        True
    """
    n = _integer("uniforms: n", n, INDEX_LIMIT)
    draws = _integer("uniforms: draws", draws, DRAW_LIMIT)
    seeds = row_seeds("uniforms: seed", resolve_seed(seed), n)
    indices = row_indices("uniforms: index", index, n)
    firsts = _rows("uniforms: first", first, n, DRAW_LIMIT - draws + 1)
    device = torch.device(device)
    chosen = _choose(backend, device)
    if chosen == "reference":
        return uniforms_reference(seeds.to(device), indices.to(device), firsts.to(device), draws)
    out = torch.empty(n, draws, dtype=torch.float32, device=device)
    fill_uniforms(seeds, indices, firsts, out)
    return out


def uniforms_reference(
    seeds: Int64[Tensor, " n"],
    indices: Int64[Tensor, " n"],
    first: Int64[Tensor, " n"],
    draws: int,
) -> Float[Tensor, "n draws"]:
    """`uniforms` of rows in plain PyTorch: words are int64 kept below 2**32."""
    draw = first[:, None] + torch.arange(draws, device=first.device)
    seeds, indices = seeds[:, None], indices[:, None]
    word0, word1 = threefry2x32(seeds & WORD, seeds >> 32, indices, draw >> 1)
    word = torch.where(draw & 1 == 0, word0, word1)
    return (word >> 8).to(torch.float32) * 2.0**-24


def fill_uniforms(
    seeds: Int64[Tensor, " n"],
    indices: Int64[Tensor, " n"],
    first: Int64[Tensor, " n"],
    out: Float[Tensor, "n draws"],
) -> None:
    """The draws `first ..` of rows, written into an array that may lie on a GPU.

    Args:
        seeds: int64 (N,) on the CPU, in range, as `indices` and `first` are.
        indices: int64 (N,), index of each row.
        first: int64 (N,), number of the draw in column 0.
        out: float32 (N, draws), C-contiguous.
    """
    if out.device.type == "cpu":
        core.uniforms(seeds, indices, first, out)
        return
    rows = [row.to(out.device) for row in (seeds, indices, first)]
    stream = torch.cuda.current_stream(out.device).cuda_stream
    core.cuda_uniforms(rows[0], rows[1], rows[2], out, stream)


def normals(
    seed: int | Int64[Tensor, " n"] | None,
    n: int,
    draws: int,
    *,
    index: int | Int64[Tensor, " n"] = 0,
    truncation: float | Float[Tensor, " n"] | None = None,
    backend: str = "auto",
    device: str | torch.device = "cpu",
) -> Float[Tensor, "n draws"]:
    """The first standard normals of the samples `index .. index + n - 1`.

    Args:
        seed: 0 <= seed < 2**63; a tensor gives every row its own; None takes one from torch's
            generator.
        n: Samples, the rows of the result.
        draws: Normals of a sample, the columns of the result.
        index: Index of row 0; row i has `index + i`. A tensor is used as it is.
        truncation: Radius t > 0 of the circle that each pair lies in, as normal there as without;
            a tensor gives every row its own; None for none.
        backend: "cpu" for the compiled kernel, "reference" for plain PyTorch, "auto" for the
            kernel where `device` is the CPU. They differ by rounding.
        device: Where the result lies.

    Returns:
        float32 (n, draws). Columns 2b and 2b + 1 are a pair of Box and Muller (1958), of the
        uniforms u, v of the same numbers::

            r = sqrt(-2 log(1 - m u))    m = 1 - exp(-t^2 / 2), 1 without truncation
            r cos(2 pi v), r sin(2 pi v)

        Any way of cutting the work gives the same bits.

    Raises:
        ValueError: A number is out of range, or the backend cannot serve the device.
    """
    n = _integer("normals: n", n, INDEX_LIMIT)
    draws = _integer("normals: draws", draws, DRAW_LIMIT)
    seed = resolve_seed(seed)
    seeds, indices = row_seeds("normals: seed", seed, n), row_indices("normals: index", index, n)
    device, mass = torch.device(device), _mass(truncation, n)
    if _choose_normals(backend, device) == "cpu":
        out = torch.empty(n, draws, dtype=torch.float32)
        core.normals(seeds, indices, mass, out, torch.get_num_threads())
        return out
    even = draws + draws % 2
    pairs = uniforms(seed, n, even, index=index, backend=backend, device=device)
    return normals_reference(pairs, 1.0 if mass is None else mass.to(device)[:, None])[:, :draws]


def normals_of_rows(
    seeds: Int64[Tensor, " n"],
    indices: Int64[Tensor, " n"],
    draws: int,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "n draws"]:
    """Normals of rows in plain PyTorch.

    In float64 columns 2b and 2b + 1 take the blocks 2b and 2b + 1: each is one uniform of 53 bits,
    the first word its higher ones.
    """
    even = draws + draws % 2
    if dtype != torch.float64:
        pairs = uniforms_reference(seeds, indices, torch.zeros_like(seeds), even)
        return normals_reference(pairs)[:, :draws]
    block = torch.arange(even, device=seeds.device)
    seeds, indices = seeds[:, None], indices[:, None]
    high, low = threefry2x32(seeds & WORD, seeds >> 32, indices, block)
    pairs = (high << 21 | low >> 11).to(torch.float64) * 2.0**-53
    return normals_reference(pairs)[:, :draws]


def normals_reference(
    pairs: Float[Tensor, "n even"], mass: Float[Tensor, "#n 1"] | float = 1.0
) -> Float[Tensor, "n even"]:
    """Normals of uniforms, in the dtype of these; the share `mass` of the plane is drawn from."""
    u, v = pairs[:, 0::2], pairs[:, 1::2]
    radius, angle = (-2 * torch.log1p(-mass * u)).sqrt(), 2 * math.pi * v
    return torch.stack([radius * angle.cos(), radius * angle.sin()], -1).flatten(1)


def _mass(truncation: float | Tensor | None, n: int) -> Float[Tensor, " n"] | None:
    """The share of normal pairs within a circle of this radius, on the CPU; None for all."""
    if truncation is None:
        return None
    radius = torch.as_tensor(truncation, dtype=torch.float32).cpu()
    if radius.shape not in ((), (n,)) or not bool((radius > 0).all()):
        raise ValueError(
            f"normals: truncation must be above 0, a number or (N,) with N={n}, got {truncation!r}"
        )
    return -torch.expm1(-radius.square() / 2).expand(n).contiguous()


def fold(seed: int, tag: str, value: int = 0) -> int:
    """An independent seed for another purpose: `fold(seed, "shuffle", epoch)`.

    The key is the seed's with its highest bit set, which no seed has, so that no purpose ever
    shares words with a draw; the counter is (number of the tag, value).

    Args:
        seed: 0 <= seed < 2**63.
        tag: A name of `TAGS`.
        value: Counts within the purpose: a step, an epoch. 0 <= value < 2**32.

    Raises:
        ValueError: An unknown tag, or a number out of range.
    """
    seed = _integer("fold: seed", seed, SEED_LIMIT)
    value = _integer("fold: value", value, INDEX_LIMIT)
    if tag not in TAGS:
        raise ValueError(f"fold: tag must be one of {', '.join(TAGS)}, got {tag!r}")
    key = (seed & WORD, seed >> 32 | _HIGH_BIT)
    low, high = threefry2x32(*key, TAGS[tag], value)
    return (high & ~_HIGH_BIT) << 32 | low


def resolve_seed(seed: int | Tensor | None) -> int | Tensor:
    """A seed as it is, or 63 bits from torch's generator for None."""
    if seed is not None:
        return seed
    # random_ without bounds gives the whole range of int64 that is not negative.
    return int(torch.empty((), dtype=torch.int64).random_())


def row_seeds(name: str, seed: int | Tensor, n: int) -> Int64[Tensor, " n"]:
    """One seed a row, on the CPU: a number for all rows, or a tensor as it is.

    Raises:
        ValueError: Beginning with `name`; a seed is outside 0 <= seed < 2**63, or a tensor's dtype
            or shape is wrong.
    """
    return _rows(name, seed, n, SEED_LIMIT)


def row_indices(name: str, index: int | Tensor, n: int) -> Int64[Tensor, " n"]:
    """One sample index a row, on the CPU: `index + i` for a number, a tensor as it is.

    Raises:
        ValueError: Beginning with `name`; `index + n` exceeds 2**32, or as `row_seeds`.
    """
    if isinstance(index, Tensor):
        return _rows(name, index, n, INDEX_LIMIT)
    return _integer(name, index, INDEX_LIMIT - n + 1) + torch.arange(n)


def _rows(name: str, value: int | Tensor, n: int, limit: int) -> Int64[Tensor, " n"]:
    """A number repeated, or a checked int64 tensor (n,), on the CPU."""
    if not isinstance(value, Tensor):
        return torch.full((n,), _integer(name, value, limit), dtype=torch.int64)
    if value.dtype != torch.int64 or value.shape != (n,):
        got = f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
        raise ValueError(f"{name} must be int64 (N,) with N={n}, got {got}")
    value = value.detach().cpu().contiguous()
    wrong = ((value < 0) | (value > limit - 1)).nonzero()
    if len(wrong):
        row = int(wrong[0, 0])
        raise ValueError(
            f"{name} must be at least 0 and below {limit}, got {value[row]} in row {row}"
        )
    return value


def _integer(name: str, value: int, limit: int) -> int:
    """A number in 0 <= value < limit, or ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be an integer, got {value!r}") from None
    if not 0 <= number < limit:
        raise ValueError(f"{name} must be at least 0 and below {limit}, got {number}")
    return number


def _choose(backend: str, device: torch.device) -> str:
    """The backend that serves `device`, or ValueError with the reason why a named one does not."""
    if backend not in ("auto", "cpu", "cuda", "reference"):
        raise ValueError(f"uniforms: backend must be auto, cpu, cuda or reference, got {backend!r}")
    if backend == "reference":
        return backend
    if backend not in ("auto", device.type):
        raise ValueError(
            f"uniforms: backend {backend!r} fills {backend} tensors, got device {device}"
        )
    refusal = _refusal(device)
    if refusal is None:
        return device.type
    if backend == "auto":
        return "reference"
    raise ValueError(f"uniforms: backend {backend!r} {refusal}; use 'auto' or 'reference'")


def _choose_normals(backend: str, device: torch.device) -> str:
    """The backend that draws normals on `device`, or ValueError."""
    if backend not in ("auto", "cpu", "reference"):
        raise ValueError(f"normals: backend must be auto, cpu or reference, got {backend!r}")
    if backend == "cpu" and device.type != "cpu":
        raise ValueError(f"normals: backend 'cpu' fills cpu tensors, got device {device}")
    return "cpu" if backend != "reference" and device.type == "cpu" else "reference"


def _refusal(device: torch.device) -> str | None:
    """Why no compiled kernel serves `device`; None where one does."""
    if device.type == "cpu":
        return None
    if device.type != "cuda" or not core.build_info()["cuda"]:
        return f"was not built for {device.type}"
    return None
