"""Small models in folders, and the command line called in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import genfast
from genfast import cli
from genfast.data import Bytes, Symbols, Vocabulary

TEXT = "the cat sat on the mat and the dog sat on the log.\n"


class Said(NamedTuple):
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """For every test of this folder."""


@pytest.fixture
def genfast_command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`genfast_command("sample", folder)`: the words behind `genfast`."""

    def call(*words: object) -> Said:
        capsys.readouterr()
        status = cli.main([str(word) for word in words])
        return Said(status, *capsys.readouterr())

    return call


@pytest.fixture
def refused(genfast_command: Callable[..., Said]) -> Callable[..., str]:
    """As `genfast_command`, for bad input: gives the one line that says what is wrong."""

    def call(*words: object) -> str:
        said = genfast_command(*words)
        assert (said.status, said.out) == (2, "")
        assert said.err.startswith("genfast: ")
        assert said.err.count("\n") == 1
        return said.err

    return call


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A file of few words, often."""
    path = tmp_path / "text.txt"
    path.write_text(TEXT * 40)
    return path


def save_model(folder: Path, symbols: Symbols | None, classes: int) -> genfast.SequenceModel:
    torch.manual_seed(3)
    head = genfast.heads.Categorical(classes)
    model = genfast.SequenceModel(head, width=17, embedding_width=5, symbols=symbols)
    model.save(folder)
    return model.eval()


@pytest.fixture(params=["characters", "bytes", "none"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> genfast.SequenceModel:
    """Saved as `model` in the temporary folder, with each kind of symbols."""
    kinds: dict[str, Symbols | None] = {
        "characters": Vocabulary.of(TEXT + "é☃"),
        "bytes": Bytes(),
        "none": None,
    }
    symbols = kinds[request.param]
    return save_model(tmp_path / "model", symbols, 11 if symbols is None else len(symbols))


@pytest.fixture
def characters(tmp_path: Path) -> Path:
    """The folder of a model of characters."""
    symbols = Vocabulary.of(TEXT)
    save_model(tmp_path / "characters", symbols, len(symbols))
    return tmp_path / "characters"
