"""Weights as bytes: what is not finite is found wherever it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from saved_models import model_of

from genfast.files import weights
from genfast.files.header import read_header

CHUNK = weights._CHUNK


@pytest.mark.parametrize("place", [0, CHUNK - 1, CHUNK, 2 * CHUNK + 4])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_first_that_is_not_finite_is_named(place: int, dtype: torch.dtype) -> None:
    tensor = torch.full((2, 1, CHUNK + 3), 3.0, dtype=dtype)
    weights.check_finite("w", tensor)
    tensor.view(-1)[place:] = torch.inf
    index = (place // (CHUNK + 3), 0, place % (CHUNK + 3))
    with pytest.raises(ValueError, match="w must be finite, got inf at ") as caught:
        weights.check_finite("w", tensor)
    assert str(caught.value).endswith(str(index))


def test_one_number_without_axes() -> None:
    with pytest.raises(ValueError, match=r"w must be finite, got nan at \(\)"):
        weights.check_finite("w", torch.tensor(torch.nan))


def test_a_file_that_becomes_shorter_while_it_is_read(tmp_path: Path) -> None:
    model_of(50).save(tmp_path)
    path = tmp_path / "model.safetensors"
    with path.open("rb") as file:
        header = read_header(file, "w")
        with path.open("r+b") as other:
            other.truncate(header.data + 20_000)
        with pytest.raises(ValueError, match=r"w: rnn\.weight_ih_l0 is cut short"):
            weights.read_weights(file, header, "w")


def test_weights_that_lie_across_their_memory_are_written_in_order(tmp_path: Path) -> None:
    tensor = torch.arange(6.0).view(2, 3)
    with (tmp_path / "a").open("wb") as file:
        weights.write_weights(file, [tensor.T])
    assert (tmp_path / "a").read_bytes() == tensor.T.contiguous().numpy().tobytes()
