"""Uniforms: the published known answers, the same bits from every backend and cut, every range."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from genfast import random
from genfast._extension import core

# Random123's kat_vectors, threefry2x32 with 20 rounds: key, counter, the two words.
KNOWN_ANSWERS = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]
# For seed 0: sample index, draw, its exact value.
EDGE_DRAWS = [
    (600802, 1, 0.0),
    (3409490, 2, 0.0),
    (253230, 5, 0.0),
    (3154904, 0, 1 - 2.0**-24),
]
BACKENDS = ["cpu", "reference"]


@pytest.mark.parametrize(("key", "counter", "expected"), KNOWN_ANSWERS)
def test_known_answers_words(key: tuple, counter: tuple, expected: tuple) -> None:
    assert random.threefry2x32(*key, *counter) == expected


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("key", "counter", "expected"), [KNOWN_ANSWERS[0], KNOWN_ANSWERS[2]])
def test_known_answers_uniforms(backend: str, key: tuple, counter: tuple, expected: tuple) -> None:
    """The vector of all ones has a key that no seed has; the others are seeds."""
    seed, (index, block) = key[1] << 32 | key[0], counter
    drawn = random.uniforms(seed, 1, 2, index=index, first=2 * block, backend=backend)
    assert drawn.tolist() == [[(word >> 8) * 2.0**-24 for word in expected]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("index", "draw", "expected"), EDGE_DRAWS)
def test_edge_draws(backend: str, index: int, draw: int, expected: float) -> None:
    drawn = random.uniforms(0, 1, 1, index=index, first=draw, backend=backend)
    assert drawn.item() == expected


@pytest.mark.parametrize("n", [1, 2, 17, 129])
@pytest.mark.parametrize("draws", [1, 2, 17, 129])
@pytest.mark.parametrize("first", [0, 1, 6, 1001])
def test_compiled_equals_reference(n: int, draws: int, first: int) -> None:
    seed = random.fold(11, "verify", n * 1000 + draws)
    cut = {"index": 2**31 - 1, "first": first}
    compiled = random.uniforms(seed, n, draws, **cut, backend="cpu")
    assert compiled.equal(random.uniforms(seed, n, draws, **cut, backend="reference"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_last_counters(backend: str) -> None:
    """The greatest seed, index and draw are in range and are what Threefry gives there."""
    drawn = random.uniforms(2**63 - 1, 3, 5, index=2**32 - 3, first=2**33 - 5, backend=backend)
    words = random.threefry2x32(0xFFFFFFFF, 0x7FFFFFFF, 2**32 - 1, 2**32 - 1)
    assert drawn[2, 3:].tolist() == [(word >> 8) * 2.0**-24 for word in words]


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_of_their_own(backend: str) -> None:
    """Seeds, indices and first draws a row equal the calls for those rows alone."""
    seeds, indices, first = torch.randint(
        2**32, (3, 17), generator=torch.Generator().manual_seed(5)
    )
    drawn = random.uniforms(seeds << 30, 17, 9, index=indices, first=first, backend=backend)
    for i in range(17):
        alone = random.uniforms(
            int(seeds[i]) << 30, 1, 9, index=int(indices[i]), first=int(first[i]), backend=backend
        )
        assert drawn[i : i + 1].equal(alone)


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_cut_gives_the_same_bits(backend: str) -> None:
    whole = random.uniforms(7, 17, 33, index=100, first=5, backend=backend)
    shard = random.uniforms(7, 4, 33, index=109, first=5, backend=backend)
    later = random.uniforms(7, 17, 10, index=100, first=28, backend=backend)
    assert whole[9:13].equal(shard)
    assert whole[:, 23:].equal(later)


def test_uniforms_are_uniform() -> None:
    """Chi-square over 256 bins: 8 standard deviations of the statistic are far from chance."""
    drawn = random.uniforms(3, 100, 10_001)
    assert drawn.dtype == torch.float32
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = torch.bincount((drawn.flatten() * 256).long(), minlength=256).double()
    expected = drawn.numel() / 256
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert abs(statistic - 255) < 8 * (2 * 255) ** 0.5


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("n", "draws"), [(0, 3), (3, 0), (0, 0)])
def test_empty(backend: str, n: int, draws: int) -> None:
    assert random.uniforms(1, n, draws, backend=backend).shape == (n, draws)


def test_seed_none_follows_torch() -> None:
    torch.manual_seed(4)
    once = random.uniforms(None, 2, 3)
    again = random.uniforms(None, 2, 3)
    torch.manual_seed(4)
    assert random.uniforms(None, 2, 3).equal(once)
    assert not again.equal(once)


def test_resolved_seeds_have_63_bits() -> None:
    torch.manual_seed(0)
    seeds = [random.resolve_seed(None) for _ in range(64)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert any(seed >= 2**62 for seed in seeds)
    assert random.resolve_seed(5) == 5


def test_fold_equals_compiled() -> None:
    for seed in (0, 1, 2**32, 2**63 - 1):
        for tag, number in random.TAGS.items():
            assert random.fold(seed, tag, 12345) == core.fold(seed, number, 12345)


def test_fold_is_another_seed() -> None:
    """Every (seed, tag, value) gives a valid seed of its own."""
    folded = {
        random.fold(seed, tag, value)
        for seed in (0, 1, 2**40)
        for tag in random.TAGS
        for value in (0, 1, 2**32 - 1)
    }
    assert len(folded) == 3 * len(random.TAGS) * 3
    assert all(0 <= seed < 2**63 for seed in folded)


def test_fold_shares_no_words_with_draws() -> None:
    """The same counter under the seed's own key, which a draw would use, gives other words."""
    for value in range(64):
        folded = random.fold(9, "shuffle", value)
        drawn = random.threefry2x32(9, 0, random.TAGS["shuffle"], value)
        assert (folded & 0xFFFFFFFF) != drawn[0]
        assert (folded >> 32) != drawn[1] & 0x7FFFFFFF


def test_tags_are_distinct() -> None:
    assert len(set(random.TAGS.values())) == len(random.TAGS)


BAD_CALLS: list[tuple[str, Callable[[], object]]] = [
    ("uniforms: seed", lambda: random.uniforms(-1, 1, 1)),
    ("uniforms: seed", lambda: random.uniforms(2**63, 1, 1)),
    ("uniforms: seed", lambda: random.uniforms(1.5, 1, 1)),
    ("uniforms: seed", lambda: random.uniforms(torch.tensor([1, -1]), 2, 1)),
    ("uniforms: seed", lambda: random.uniforms(torch.zeros(3), 3, 1)),
    ("uniforms: seed", lambda: random.uniforms(torch.zeros(2, dtype=torch.int64), 3, 1)),
    ("uniforms: n", lambda: random.uniforms(0, -1, 1)),
    ("uniforms: draws", lambda: random.uniforms(0, 1, -1)),
    ("uniforms: draws", lambda: random.uniforms(0, 1, 2**33)),
    ("uniforms: index", lambda: random.uniforms(0, 1, 1, index=-1)),
    ("uniforms: index", lambda: random.uniforms(0, 1, 1, index=2**32)),
    ("uniforms: index", lambda: random.uniforms(0, 3, 1, index=2**32 - 2)),
    ("uniforms: index", lambda: random.uniforms(0, 1, 1, index=torch.tensor([2**32]))),
    ("uniforms: first", lambda: random.uniforms(0, 1, 1, first=-1)),
    ("uniforms: first", lambda: random.uniforms(0, 1, 1, first=2**33)),
    ("uniforms: first", lambda: random.uniforms(0, 1, 4, first=2**33 - 3)),
    ("uniforms: first", lambda: random.uniforms(0, 1, 4, first=torch.tensor([2**33 - 3]))),
    ("uniforms: backend", lambda: random.uniforms(0, 1, 1, backend="gpu")),
    ("uniforms: backend 'cuda'", lambda: random.uniforms(0, 1, 1, backend="cuda")),
    ("uniforms: backend 'cpu'", lambda: random.uniforms(0, 1, 1, backend="cpu", device="cuda")),
    ("fold: seed", lambda: random.fold(2**63, "noise")),
    ("fold: seed", lambda: random.fold(-1, "noise")),
    ("fold: value", lambda: random.fold(0, "noise", 2**32)),
    ("fold: value", lambda: random.fold(0, "noise", -1)),
    ("fold: tag", lambda: random.fold(0, "nothing")),
]


@pytest.mark.parametrize(("name", "call"), BAD_CALLS)
def test_out_of_range(name: str, call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=f"^{name} "):
        call()


@pytest.mark.cuda
@pytest.mark.parametrize(("n", "draws", "first"), [(1, 1, 1), (17, 129, 5), (70_000, 1, 0)])
def test_cuda_equals_reference(n: int, draws: int, first: int) -> None:
    drawn = random.uniforms(8, n, draws, first=first, backend="cuda", device="cuda")
    assert drawn.cpu().equal(random.uniforms(8, n, draws, first=first, backend="reference"))


@pytest.mark.cuda
@pytest.mark.skipif(not core.cuda_devices(), reason="no GPU, or built without CUDA")
@pytest.mark.parametrize(("n", "draws"), [(1, 1), (17, 129), (70_000, 3)])
def test_cuda_rows_of_their_own(n: int, draws: int) -> None:
    generator = torch.Generator().manual_seed(n)
    rows = [torch.randint(0, 2**32, (n,), generator=generator) for _ in range(3)]
    cut = {"index": rows[1], "first": rows[2]}
    drawn = random.uniforms(rows[0] << 30, n, draws, **cut, backend="cuda", device="cuda")
    expected = random.uniforms(rows[0] << 30, n, draws, **cut, backend="reference")
    assert drawn.cpu().equal(expected)
