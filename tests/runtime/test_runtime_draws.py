"""Sampler on real exports: the library's samples, in any batch, whole or streamed."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import CHARACTERS, MOST_ARE_EQUAL, agree, exported_model, mixed

import genfast
from genfast.runtime import Sampler


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exports") / "sampler"
    genfast.export(exported_model(), path, top_k="input", top_p="input", uniforms=True)
    return path


@pytest.fixture(scope="module", params=["sampler", "sampler_uniforms"])
def sampler(folder: Path, request: pytest.FixtureRequest) -> Sampler:
    return Sampler(folder.with_name(request.param), threads=1)


def cut(values: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    return [row[:length] for row, length in zip(values, lengths, strict=True)]


def test_a_mixed_batch_passes_replay_and_equals_the_library(sampler: Sampler) -> None:
    given = mixed(32)
    drawn = sampler.sample(32, **given)
    assert drawn.lengths.tolist() == given["length"].tolist()
    assert not drawn.values[np.arange(drawn.values.shape[1]) >= drawn.lengths[:, None]].any()
    assert agree(exported_model(), cut(drawn.values, drawn.lengths), given) >= MOST_ARE_EQUAL


def test_top_k_and_top_p_of_each_row(sampler: Sampler) -> None:
    given = mixed(16)
    given["top_k"] = np.resize([0, 1, 3, 20], 16)
    given["top_p"] = np.resize([1.0, 0.9, 0.4], 16)
    drawn = sampler.sample(16, **given)
    rows = cut(drawn.values, drawn.lengths)
    assert agree(exported_model(), rows, given) >= MOST_ARE_EQUAL


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": -1}, "top_k must be from 0 to .* got -1"),
        ({"top_k": 2.5}, "top_k must be an integer or integers"),
        ({"top_p": 0}, r"top_p must be in \(0, 1\], got 0"),
        ({"top_p": [0.5, 1.5]}, r"top_p must be in \(0, 1\], got 1.5 in row 1"),
    ],
)
def test_what_may_be_kept(sampler: Sampler, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^Sampler: {message}"):
        sampler.sample(2, 3, **options)


def test_a_row_is_the_same_in_any_batch(sampler: Sampler) -> None:
    whole = sampler.sample(9, 50, seed=3, index=100)
    alone = sampler.sample(1, 50, seed=3, index=106)
    assert np.array_equal(whole.values[6], alone.values[0])


def test_a_prompt_continues_to_the_very_sample(sampler: Sampler) -> None:
    whole = sampler.sample(4, 60, seed=8)
    more = sampler.sample(4, 35, seed=8, prompt=whole.values[:, :25])
    assert np.array_equal(more.values, whole.values[:, 25:])


def test_a_stop_symbol_cuts_as_the_library_does(sampler: Sampler) -> None:
    stop = CHARACTERS.index("e")
    drawn = sampler.sample(20, 80, seed=4, stop=stop)
    ours = exported_model().sample(20, 80, seed=4, stop=stop)
    assert np.array_equal(drawn.values, ours.values.numpy())
    assert np.array_equal(drawn.lengths, ours.lengths.numpy())
    assert len(set(drawn.lengths.tolist())) > 5


def test_streams_equal_whole_samples(folder: Path) -> None:
    sampler, given = Sampler(folder, threads=1), mixed(16)
    given["length"] = np.full(16, 120)
    drawn = sampler.sample(16, **given).values
    given.pop("length")
    streamed = np.stack(list(islice(sampler.stream(16, **given), 120)), 1)
    assert (drawn == streamed).all(1).mean() >= MOST_ARE_EQUAL


def test_text_goes_there_and_back(folder: Path) -> None:
    sampler = Sampler(folder)
    prompt = sampler.encode("The law ")
    drawn = sampler.sample(1, 20, seed=0, prompt=prompt[None])
    symbols = exported_model().symbols
    ours = exported_model().sample(1, 20, seed=0, prompt=symbols.encode("The law ")[None])
    assert sampler.decode(drawn.values[0]) == symbols.decode(ours.values[0])


def test_a_fixed_stop_is_the_graph_s(tmp_path: Path) -> None:
    stop = CHARACTERS.index("e")
    genfast.export(exported_model(), tmp_path / "stopping", stop=stop, top_k=7, step=False)
    sampler = Sampler(tmp_path / "stopping", threads=1)
    drawn = sampler.sample(20, 80, seed=4)
    ours = exported_model().sample(20, 80, seed=4, stop=stop, top_k=7)
    assert np.array_equal(drawn.values, ours.values.numpy())
    assert np.array_equal(drawn.lengths, ours.lengths.numpy())
    with pytest.raises(ValueError, match="has no step graph"):
        sampler.stream(1)
