"""The command line: what it prints, its exit statuses, and one line for bad input."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import genfast
from genfast import cli, demo
from genfast.data import known_words
from genfast.demo.plain_loop import PlainLoop
from genfast.demo.timing import compare


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads that wait for each other are slow where tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_model(width: int = 17) -> genfast.SequenceModel:
    torch.manual_seed(3)
    return genfast.SequenceModel(genfast.heads.Categorical(11), width=width, embedding_width=5)


def test_info_says_what_was_built_and_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    from genfast._extension import core

    assert cli.main(["info"]) == 0
    said = capsys.readouterr().out
    lines = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
    assert said.startswith(f"genfast {genfast.__version__}, built by ")
    assert lines["instruction sets built"] == ", ".join(core.build_info()["isas"])
    assert lines["used here"].startswith(f"{core.default_isa()} (")
    assert ("not built" in lines["CUDA"]) == (not core.build_info()["cuda"])
    assert "GPUs" in lines
    assert lines["threads"].startswith(f"{torch.get_num_threads()} ")
    assert f"torch {torch.__version__}, numpy {np.__version__}" in said


def test_info_follows_the_forced_instruction_set() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "genfast", "info"],
        env={**os.environ, "GENFAST_ISA": "baseline"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "used here: baseline (GENFAST_ISA asks for it)" in run.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "{demo, info}"),
        (["paint"], "paint"),
        (["demo", "--seconds", "soon"], "--seconds"),
        (["demo", "--secnds", "3"], "--secnds"),
        (["demo", "--seconds", "-1"], "seconds must be above 0, got -1.0"),
        (["demo", "--seconds", "nan"], "seconds must be above 0, got nan"),
        (["demo", "--width", "0"], "width must be at least 1, got 0"),
        (["demo", "--length", "0"], "length must be at least 1, got 0"),
        (["demo", "--temperature", "0"], "temperature must be above 0, got 0.0"),
        (["demo", "--seed", "-1"], "seed must be at least 0"),
        (["demo", "--text", "/no/such/file"], "/no/such/file"),
        (["demo", "--text", os.devnull], "is empty"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("genfast: ")
    assert err.count("\n") == 1
    assert message in err


def test_a_text_too_short_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "short.txt"
    path.write_text("too short")
    assert cli.main(["demo", "--text", str(path)]) == 2
    assert "text must have 2000 characters or more, got 9" in capsys.readouterr().err


def test_ctrl_c_is_one_line_and_status_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(options: demo.Demo) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run", pressed)
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr().err == "genfast: interrupted\n"


def test_help_shows_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--help"]) == 0
    said = capsys.readouterr().out
    assert "--seconds" in said
    assert f"default: {demo.Demo().seconds}" in said


def test_module_is_the_command_line() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "genfast", "demo", "--seed", "x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.startswith("genfast: ")
    assert "Traceback" not in run.stderr


@pytest.mark.usefixtures("one_thread")
def test_demo_in_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Learns a text of few words, and prints what it returns."""
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat and the dog sat on the log.\n" * 200)
    options = demo.Demo(seconds=2, width=48, length=300, temperature=0.5, text=path)
    threads = torch.get_num_threads()
    report = demo.run(options)
    said = capsys.readouterr().out
    assert torch.get_num_threads() == threads
    assert report.sample in said
    assert len(report.sample) == 300
    assert (report.known, report.words) == known_words(report.sample, path.read_text())
    assert f"{report.bits:.3f}   this model" in said
    assert f"{report.ngram_bits:.3f}   a 5-gram" in said
    assert ("The model is behind" in said) == (report.bits >= report.ngram_bits)
    assert report.history.steps > 0
    assert 0 < report.bits < 6
    assert [t.n for t in report.timings] == [1, 64]
    assert sum(t.differing for t in report.timings) <= 1
    assert all(t.compiled > 0 and t.plain > 0 for t in report.timings)


@pytest.mark.parametrize("n", [1, 3, 17])
def test_plain_loop_draws_what_the_model_says(n: int) -> None:
    """Both of its forms against the model's own forward."""
    model, uniforms = small_model(), genfast.random.uniforms(7, n, 40)
    loop = PlainLoop(model, n, 0.8)
    drawn = loop.draw(uniforms)
    with torch.no_grad():
        mass = torch.softmax(model(drawn) / 0.8, -1).cumsum(-1)
    edge = uniforms[:, :, None] * mass[:, :, -1:]
    assert torch.equal(drawn, (mass <= edge).sum(-1))
    loop.tune(uniforms[:, :3])
    assert torch.equal(drawn, loop.draw(uniforms))
    loop._step = loop._cell_step
    assert torch.equal(drawn, loop.draw(uniforms))


def test_compare_refuses_a_draw_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    assert compare(model, 3, 40, seed=1, temperature=1.0).differing == 0
    sample = model.sample

    def off(*args: object, **options: object) -> object:
        drawn = sample(*args, **options)  # type: ignore[arg-type]
        drawn.values[0, ::5] = (drawn.values[0, ::5] + 1) % 11
        return drawn

    monkeypatch.setattr(model, "sample", off)
    with pytest.raises(RuntimeError, match="must agree with PyTorch, got 8 other symbols"):
        compare(model, 3, 40, seed=1, temperature=1.0)


def test_plain_loop_never_draws_what_has_no_mass() -> None:
    """A number of exactly 0 lies below every class, the impossible first one included."""
    model = small_model()
    with torch.no_grad():
        model.readout.bias[0] = -1e4
    assert int(PlainLoop(model, 2, 1.0).draw(torch.zeros(2, 3)).min()) == 1
