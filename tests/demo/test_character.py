"""The demo in small: it says what it measured, and keeps what it was told to keep."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import genfast
from genfast import demo
from genfast.data import known_words
from genfast.runtime import Sampler


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("The cat sat on the mat. And the dog sat on the log.\n" * 200)
    return path


@pytest.mark.usefixtures("one_thread")
def test_demo_in_small(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Learns a text of few words, and prints what it returns."""
    out = tmp_path / "kept"
    options = demo.Demo(seconds=2, width=48, length=300, temperature=0.5, text=text, out=out)
    threads = torch.get_num_threads()
    report = demo.run(options)
    said = capsys.readouterr().out
    assert torch.get_num_threads() == threads
    assert report.prompt in ("And the dog ", "The cat sat ")
    assert f'given "{report.prompt}"' in said
    assert report.prompt + report.sample in said
    assert len(report.sample) == 300
    assert (report.known, report.words) == known_words(report.sample, text.read_text())
    assert f"{report.bits:.3f}   this model" in said
    assert f"{report.ngram_bits:.3f}   a 5-gram" in said
    assert ("The model is behind" in said) == (report.bits >= report.ngram_bits)
    assert report.history.steps > 0
    assert 0 < report.bits < 6
    assert [t.n for t in report.timings] == [1, 64]
    assert sum(t.differing for t in report.timings) <= 1
    assert all(min(t.compiled, t.plain, t.exported or 0) > 0 for t in report.timings)
    assert report.exported is not None
    assert str(report.exported.report) in said
    check_kept(out, report)


def check_kept(out: Path, report: demo.Report) -> None:
    """Both folders draw the sample that was shown."""
    model = genfast.load(out / "model")
    assert model.figures["held_out_bits_per_character"] == report.bits
    prompt = model.symbols.encode(report.prompt)[None]
    drawn = model.sample(1, 300, seed=0, temperature=0.5, prompt=prompt).values[0]
    assert model.symbols.decode(drawn) == report.sample
    sampler = Sampler(out / "sampler")
    values = sampler.sample(1, 300, seed=0, temperature=0.5, prompt=prompt.numpy()).values[0]
    assert sampler.decode(values) == report.sample


@pytest.mark.usefixtures("one_thread")
def test_nothing_is_kept_unless_asked(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    options = demo.Demo(seconds=0.5, width=8, length=9, text=text, prompt="the log")
    assert demo.run(options).prompt == "the log"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text.txt", "tmp"]
    assert not list((tmp_path / "tmp").iterdir())


def test_a_prompt_of_other_characters_is_refused_before_training(text: Path) -> None:
    with pytest.raises(ValueError, match="got '☃'"):
        demo.run(demo.Demo(seconds=1000, text=text, prompt="a ☃"))


@pytest.mark.slow
def test_the_whole_demo() -> None:
    """As `genfast demo` runs it: known words, begun in prose."""
    report = demo.run(demo.Demo())
    assert report.known > 0.8 * report.words
    assert report.prompt[0].isupper()
