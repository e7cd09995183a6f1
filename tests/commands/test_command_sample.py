"""`genfast sample` shows what `model.sample` draws, and ends quietly when it is told to."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import genfast
from genfast import cli
from genfast.commands.texts import Writer, raw
from genfast.data import Bytes
from genfast.engines import CudaEngine

Command = Callable[..., Any]


def drawn(model: genfast.SequenceModel, prompt: torch.Tensor, **options: Any) -> list[bytes]:
    """What `num` samples are in a file, by the library."""
    num = options.pop("num", 1)
    given = prompt.expand(num, -1) if len(prompt) else None
    out = model.sample(num, 40, seed=5, prompt=given, **options)
    rows = zip(out.values, out.lengths.tolist(), strict=True)
    return [raw(model.symbols, torch.cat([prompt, row[:length]])) for row, length in rows]


def symbols_of(model: genfast.SequenceModel, text: str) -> torch.Tensor:
    if model.symbols is None:
        return torch.tensor([int(word) for word in text.split()], dtype=torch.int64)
    return model.symbols.encode(text)


@pytest.mark.parametrize("options", [{}, {"temperature": 0.5, "top_k": 3}, {"top_p": 0.4}], ids=str)
def test_shows_what_the_model_draws(
    model: genfast.SequenceModel,
    options: dict[str, float],
    tmp_path: Path,
    genfast_command: Command,
) -> None:
    words = [w for k, v in options.items() for w in (f"--{k.replace('_', '-')}", v)]
    said = genfast_command("sample", tmp_path / "model", "--length", 40, "--seed", 5, *words)
    expected = drawn(model, symbols_of(model, ""), **options)[0]
    assert said.status == 0
    assert said.err == ""
    assert said.out == expected.decode(errors="replace") + "\n"


@pytest.mark.parametrize("num", [1, 3])
def test_file_and_terminal_hold_the_same(
    model: genfast.SequenceModel, num: int, tmp_path: Path, genfast_command: Command
) -> None:
    prompt = "1, 4 2" if model.symbols is None else "the "
    stop = "7" if model.symbols is None else "a"
    words = ["sample", tmp_path / "model", "--length", 40, "--seed", 5, "--index", 2]
    words += ["--num", num, "--prompt", prompt, "--stop", stop]
    shown = genfast_command(*words)
    kept = genfast_command(*words, "--out", tmp_path / "out")
    assert kept.out == f"{tmp_path}/out: {num} sample{'s' * (num > 1)} of {words[1]}, seed 5\n"
    content = (tmp_path / "out").read_bytes()
    assert shown.out == content.decode(errors="replace") + "\n"
    tokens = symbols_of(model, prompt.replace(",", " "))
    expected = drawn(model, tokens, num=num, index=2, stop=int(symbols_of(model, stop)[0]))
    for i, sample in enumerate(expected):
        assert sample in content
        assert num == 1 or f"--- sample {i + 1} of {num}: seed 5, index {2 + i} ---\n" in shown.out


def test_a_chosen_seed_is_told_and_draws_again(characters: Path, genfast_command: Command) -> None:
    first = genfast_command("sample", characters, "--length", 50)
    assert first.err.startswith("genfast: drawn with --seed ")
    seed = first.err.split()[-1]
    assert genfast_command("sample", characters, "--length", 50, "--seed", seed).out == first.out
    assert genfast_command("sample", characters, "--length", 50).out != first.out


def test_a_character_of_several_bytes_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """The snowman's bytes come one by one; then two of another one, and an end."""
    model = genfast.SequenceModel(genfast.heads.Categorical(256), width=3, symbols=Bytes())
    writer, shown = Writer(model), []
    for byte in "☃".encode() + b"\xe2\x98":
        writer.write(torch.tensor([byte]))
        shown.append(capsys.readouterr().out)
    writer.end()
    assert shown == ["", "", "☃", "", ""]
    assert capsys.readouterr().out == "\ufffd\n"


def test_a_terminal_is_not_given_its_own_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model may have learnt to clear the screen."""
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", terminal)
    model = genfast.SequenceModel(genfast.heads.Categorical(256), width=3, symbols=Bytes())
    Writer(model).write(Bytes().encode("a\x1b[2J\tb\n\x9b\x7f"))
    assert terminal.getvalue() == "a\ufffd[2J\tb\n\ufffd\ufffd"


def test_each_symbol_is_written_at_once(characters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    class Terminal:
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

        def flush(self) -> None:
            written.append("|")

        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    assert cli.main(["sample", str(characters), "--length", "5", "--seed", "1"]) == 0
    shown = "".join(written)
    assert [len(piece) for piece in shown.strip("|").split("|")[-6:]] == [1] * 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--length", -1], "length must be at least 0, got -1"),
        (["--num", 0], "num must be at least 1, got 0"),
        (["--seed", -1], "seed must be at least 0 and below 2**63, got -1"),
        (["--temperature", "nan"], "temperature"),
        (["--temperature", -1], "temperature"),
        (["--top-k", -1], "top_k"),
        (["--top-p", 1.5], "top_p"),
        (["--index", -1], "index"),
        (["--prompt", "☃"], "prompt: encode: text must use the 15 characters"),
        (["--stop", "the"], "stop: must be one symbol, got 3 in 'the'"),
        (["--stop", ""], "stop: must be one symbol, got 0 in ''"),
        (["--out", "/no/such/folder/file"], "/no/such/folder"),
        (["--backend", "gpu"], "--backend"),
        (["--backend", "onnx"], "config.json"),
        pytest.param(
            ["--backend", "cuda"],
            "backend 'cuda' cannot serve: ",
            marks=pytest.mark.skipif(CudaEngine.refusal(0) is None, reason="a GPU serves"),
        ),
    ],
    ids=str,
)
def test_bad_options(words: list[object], message: str, characters: Path, refused: Command) -> None:
    assert message in refused("sample", characters, *words)


def test_no_model(tmp_path: Path, characters: Path, text: Path, refused: Command) -> None:
    assert f"no folder {tmp_path}/missing" in refused("sample", tmp_path / "missing")
    assert "model.safetensors" in refused("sample", tmp_path)
    assert "text.txt" in refused("sample", text)
    weights = characters / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "model.safetensors" in refused("sample", characters)


def test_numbers_that_are_none(tmp_path: Path, refused: Command) -> None:
    model = genfast.SequenceModel(genfast.heads.Categorical(7), width=3)
    model.save(tmp_path)
    assert "must be numbers, got 'the'" in refused("sample", tmp_path, "--prompt", "the")
    assert "symbols must be below 7, got 7" in refused("sample", tmp_path, "--prompt", "1 7")
    assert "must be numbers, got '-1'" in refused("sample", tmp_path, "--stop=-1")


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "genfast", *map(str, words)]


def test_a_reader_that_leaves_ends_it_quietly(characters: Path) -> None:
    endless = command("sample", characters, "--length", 10**9, "--seed", 1)
    with subprocess.Popen(endless, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(process.stdout.read(100)) == 100
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr.read() == b""


def test_ctrl_c_ends_it_quietly(characters: Path) -> None:
    endless = command("sample", characters, "--length", 10**9, "--seed", 1)
    with subprocess.Popen(endless, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(100)
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
