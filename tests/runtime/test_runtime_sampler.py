"""Sampler on toy graphs: what reaches them, row by row, and what is refused."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import CLASSES, change, sampled, stepped, write_toy

from genfast.runtime import Sampler, uniforms


def test_scalars_are_for_all_rows_and_the_index_counts_up(toy: Path) -> None:
    drawn = Sampler(toy).sample(3, 5, seed=11, index=4, temperature=0.5)
    rows = [
        {"seed": 11, "index": 4 + n, "prompt": [], "temperature": 0.5, "length": 5}
        for n in range(3)
    ]
    assert np.array_equal(drawn.values, sampled(rows))
    assert drawn.values.dtype == drawn.lengths.dtype == np.int64
    assert drawn.lengths.tolist() == [5, 5, 5]
    assert drawn.seed == 11


def test_every_row_has_its_own(toy: Path) -> None:
    prompt = np.array([[1, 2, 3, 4], [5, 6, 96, 96], [96, 96, 96, 96]], np.int32)
    drawn = Sampler(toy).sample(
        3,
        np.array([2, 0, 4]),
        seed=np.array([2**40, 2, 3]),
        index=np.array([9, 2**32 - 1, 0], np.uint32),
        temperature=np.array([0.0, 1.5, 2.0]),
        prompt=prompt,
        prompt_lengths=np.array([4, 2, 0]),
    )
    rows = [
        {"seed": 2**40, "index": 9, "prompt": [1, 2, 3, 4], "temperature": 0.0, "length": 2},
        {"seed": 2, "index": 2**32 - 1, "prompt": [5, 6], "temperature": 1.5, "length": 0},
        {"seed": 3, "index": 0, "prompt": [], "temperature": 2.0, "length": 4},
    ]
    assert np.array_equal(drawn.values, sampled(rows))
    assert drawn.lengths.tolist() == [2, 0, 4]
    assert np.array_equal(drawn.seed, [2**40, 2, 3])


def test_no_seed_takes_one_and_records_it(toy: Path) -> None:
    sampler = Sampler(toy)
    first, second = sampler.sample(2, 9), sampler.sample(2, 9)
    assert 0 <= first.seed < 2**63
    assert first.seed != second.seed
    assert np.array_equal(sampler.sample(2, 9, seed=first.seed).values, first.values)


@pytest.mark.parametrize(("n", "length"), [(0, 5), (3, 0), (0, 0)])
def test_nothing_to_draw(toy: Path, n: int, length: int) -> None:
    drawn = Sampler(toy).sample(n, length, seed=1)
    assert drawn.values.shape == (n, 0)
    assert drawn.lengths.tolist() == [0] * n


def test_the_uniforms_variant_gets_the_row_s_uniforms(tmp_path: Path) -> None:
    sampler = Sampler(write_toy(tmp_path / "toy_uniforms", "uniforms"))
    prompt, before = np.zeros((2, 3), np.int64), np.array([3, 1])
    drawn = sampler.sample(2, [2, 4], seed=5, index=7, prompt=prompt, prompt_lengths=before)
    numbers = uniforms(np.array([5, 5]), np.array([7, 8]), before, 4)
    expected = np.floor(numbers * np.float32(CLASSES))
    assert np.array_equal(drawn.values[0], [*expected[0, :2], 0, 0])
    assert np.array_equal(drawn.values[1], expected[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": -1}, "n must be at least 0, got -1"),
        ({"n": 2.0}, "n must be an integer, got 2.0"),
        ({"length": -1}, f"length must be from 0 to {2**33 - 1}, got -1"),
        ({"length": [1, 2, 3]}, r"length must be .* \(N,\) with N=2, got int64 \(3,\)"),
        ({"length": 1.5}, "length must be an integer or integers"),
        ({"seed": -1}, f"seed must be from 0 to {2**63 - 1}, got -1"),
        ({"seed": 2**63}, f"seed must be from 0 to {2**63 - 1}, got {2**63}"),
        ({"seed": [1, -2]}, "seed must be from 0 .* got -2 in row 1"),
        ({"seed": True}, "seed must be an integer or integers"),
        ({"seed": "1"}, "seed must be an integer or integers"),
        ({"index": 2**32 - 1}, f"index must be from 0 to {2**32 - 2}"),
        ({"index": [0, 2**32]}, f"index must be from 0 to {2**32 - 1}, got {2**32} in row 1"),
        ({"temperature": -0.1}, "temperature must be finite and at least 0, got -0.1"),
        ({"temperature": [1, np.nan]}, "temperature must be finite, got nan in row 1"),
        ({"temperature": "warm"}, "temperature must be a number or numbers"),
        ({"prompt": [1, 2]}, r"prompt must be integers \(N, P\) with N=2, got int64 \(2,\)"),
        ({"prompt": [[1.0], [2.0]]}, r"prompt must be integers \(N, P\) with N=2, got float64"),
        ({"prompt": [[1], [97]]}, "prompt must be from 0 to 96, got 97 in row 1"),
        ({"prompt": [[1], [-1]]}, "prompt must be from 0 to 96, got -1 in row 1"),
        ({"prompt": [[1]]}, r"prompt must be integers \(N, P\) with N=2, got int64 \(1, 1\)"),
        ({"prompt_lengths": [0, 0]}, "prompt_lengths must be None without a prompt"),
        (
            {"prompt": [[1], [1]], "prompt_lengths": [0, 2]},
            "prompt_lengths must be from 0 to 1, got 2 in row 1",
        ),
        ({"stop": 97}, "stop must be from -1 to 96, got 97"),
        ({"top_k": 3}, 'top_k is off in this export, got 3; .*top_k="input"'),
        ({"top_p": 0.5}, 'top_p is off in this export, got 0.5; .*top_p="input"'),
    ],
)
def test_bad_arguments_are_one_line(toy: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^Sampler: {message}") as caught:
        Sampler(toy).sample(**({"n": 2, "length": 3, "seed": 0} | options))
    assert "\n" not in str(caught.value)


def test_what_lies_behind_a_prompt_s_end_is_not_looked_at(toy: Path) -> None:
    sampler = Sampler(toy)
    padded = [[3, -1, 500], [1, 2, 10**9]]
    drawn = sampler.sample(2, 4, seed=0, prompt=padded, prompt_lengths=[1, 2])
    clean = sampler.sample(2, 4, seed=0, prompt=[[3, 0], [1, 2]], prompt_lengths=[1, 2])
    assert np.array_equal(drawn.values, clean.values)


def test_stop_ends_a_row_behind_the_symbol(toy: Path) -> None:
    sampler = Sampler(toy)
    whole = sampler.sample(3, 6, seed=np.array([0, 10, 20]), index=[0, 0, 0], temperature=0)
    stopped = sampler.sample(
        3, [6, 6, 1], seed=np.array([0, 10, 20]), index=[0, 0, 0], temperature=0, stop=[3, -1, 21]
    )
    assert whole.values.tolist() == [[n, n + 1, n + 2, n + 3, n + 4, n + 5] for n in (0, 10, 20)]
    assert stopped.lengths.tolist() == [4, 6, 1]
    assert stopped.values[0].tolist() == [0, 1, 2, 3, 0, 0]
    assert stopped.values[1:].tolist() == [[10, 11, 12, 13, 14, 15], [20, 0, 0, 0, 0, 0]]


def test_padding_is_no_stop_symbol(toy: Path) -> None:
    """Symbol 0 stands behind a row's end, too."""
    drawn = Sampler(toy).sample(2, [2, 4], seed=[5, 95], index=[0, 0], temperature=0, stop=0)
    assert drawn.lengths.tolist() == [2, 3]


def test_an_exported_stop_cannot_be_another(toy: Path) -> None:
    change(toy, stop=3)
    sampler = Sampler(toy)
    assert sampler.sample(1, 6, seed=0, temperature=0, stop=3).lengths.tolist() == [4]
    with pytest.raises(ValueError, match="stop is fixed to 3 in this export, got 4"):
        sampler.sample(1, 6, stop=4)


def test_a_fixed_top_k_may_be_said_again(toy: Path) -> None:
    change(toy, top_k=5)
    sampler = Sampler(toy)
    assert sampler.sample(1, 2, seed=0, top_k=5).values.shape == (1, 2)
    with pytest.raises(ValueError, match="top_k is fixed to 5 in this export, got 6"):
        sampler.sample(1, 2, seed=0, top_k=6)


def test_stream_runs_each_row_s_own_prompt(toy: Path) -> None:
    prompts = [[1, 2, 3], [], [4]]
    padded = np.array([[1, 2, 3], [9, 9, 9], [4, 9, 9]])
    stream = Sampler(toy).stream(
        3, seed=[5, 6, 7], index=3, prompt=padded, prompt_lengths=[3, 0, 1]
    )
    drawn = np.stack(list(islice(stream, 600)), 1)  # beyond a second chunk of uniforms
    for n, prompt in enumerate(prompts):
        seed, index, first = (np.array([k]) for k in (5 + n, 3 + n, len(prompt)))
        assert drawn[n].tolist() == stepped(prompt, uniforms(seed, index, first, 600)[0])


def test_stream_checks_before_the_first_site(toy: Path) -> None:
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        Sampler(toy).stream(0)
    with pytest.raises(ValueError, match="temperature must be finite"):
        Sampler(toy).stream(1, temperature=-1)


def test_text_of_characters(toy: Path) -> None:
    sampler = Sampler(toy)
    assert sampler.decode([0, 1, 64]) == '!"a'
    assert sampler.encode('!"a').tolist() == [0, 1, 64]
    with pytest.raises(ValueError, match="text has ' ', which the model does not know"):
        sampler.encode("a b")
    for values in ([97], [-1], [[0]], [0.5]):
        with pytest.raises(ValueError, match="decode: values must be"):
            sampler.decode(values)
    assert sampler.decode([]) == ""


def test_text_of_bytes() -> None:
    from genfast.runtime.symbols import decode, encode

    assert encode({"kind": "bytes"}, "né").tolist() == [110, 195, 169]
    assert decode({"kind": "bytes"}, [110, 195, 169, 195]) == "né\ufffd"


def test_symbols_without_text(toy: Path) -> None:
    change(toy, symbols=None)
    with pytest.raises(ValueError, match="stand for no text"):
        Sampler(toy).decode([1])
