"""The line that is shown while one waits."""

from __future__ import annotations

import sys

import pytest

from genfast import watching
from genfast.watching import watched


def test_watched_gives_all_and_shows_late(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    now = 0.0
    monkeypatch.setattr(watching, "monotonic", lambda: now)
    assert list(watched(range(5), "reading")) == [0, 1, 2, 3, 4]
    assert capsys.readouterr().err == ""
    seen = []
    for item in watched(range(5), "reading pictures"):
        seen.append(item)
        now += 1.5
    assert seen == [0, 1, 2, 3, 4]
    assert "reading pictures" in capsys.readouterr().err


def test_watched_is_silent_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watching, "_PATIENCE", -1.0)
    assert list(watched("abc", "reading")) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("begun", "is_shown"), [(3.0, True), (1.0, False), (-float("inf"), False)])
def test_watched_counts_from_when_all_the_work_began(
    begun: float,
    is_shown: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(watching, "monotonic", lambda: 10.0)
    assert list(watched(range(5), "checking", 10.0 - begun)) == [0, 1, 2, 3, 4]
    assert ("checking" in capsys.readouterr().err) == is_shown
