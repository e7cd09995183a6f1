"""ONNX Runtime: the device that was asked for, or the reason why there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from genfast.runtime import Sampler, engine

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def fake_runtime(available: list[str], running: list[str]) -> SimpleNamespace:
    """An onnxruntime that has these providers, and falls back to those."""
    session = SimpleNamespace(get_providers=lambda: running)
    return SimpleNamespace(
        get_available_providers=lambda: available,
        SessionOptions=SimpleNamespace,
        InferenceSession=lambda *_, **__: session,
    )


def with_wheels(monkeypatch: pytest.MonkeyPatch, *wheels: str) -> None:
    monkeypatch.setattr(engine, "_installed", lambda wheel: wheel in wheels)


def open_fake(monkeypatch: pytest.MonkeyPatch, fake: SimpleNamespace, device: str) -> Any:
    monkeypatch.setattr(engine, "import_onnxruntime", lambda: fake)
    return engine.open_session(b"", "model", device, None, None)


def test_providers_are_passed_through(toy: Path) -> None:
    sampler = Sampler(toy, providers=[(CPU, {"arena_extend_strategy": "kSameAsRequested"})])
    assert sampler.providers == [CPU]


def test_threads_reach_the_session(toy: Path) -> None:
    sampler = Sampler(toy, threads=1)
    assert sampler._session.get_session_options().intra_op_num_threads == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "gpu"}, "device must be 'cpu' or 'cuda', got 'gpu'"),
        ({"threads": 0}, "threads must be an integer of at least 1, got 0"),
        ({"threads": 1.0}, "threads must be an integer of at least 1, got 1.0"),
        ({"providers": []}, "providers must name at least one, got none"),
        ({"providers": ["Quantum"]}, "Quantum is not in this ONNX Runtime, which has .*CPU"),
        ({"device": "cuda", "providers": [CPU]}, f"device 'cuda' wants {CUDA} among providers"),
    ],
)
def test_bad_engines_are_one_line(toy: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^Sampler: {message}"):
        Sampler(toy, **options)


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="CUDA is there")
def test_cuda_raises_where_it_is_not(toy: Path) -> None:
    with pytest.raises(ValueError, match=f"{CUDA} is not in this ONNX Runtime.*onnxruntime-gpu"):
        Sampler(toy, device="cuda")


def test_a_quiet_fall_back_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    with_wheels(monkeypatch, "onnxruntime-gpu")
    with pytest.raises(ValueError, match=f"{CUDA} did not start, ONNX Runtime fell back to {CPU}"):
        open_fake(monkeypatch, fake_runtime([CUDA, CPU], [CPU]), "cuda")


def test_cuda_that_runs_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with_wheels(monkeypatch, "onnxruntime-gpu", "onnxruntime")
    session = open_fake(monkeypatch, fake_runtime([CUDA, CPU], [CUDA, CPU]), "cuda")
    assert session.get_providers() == [CUDA, CPU]


@pytest.mark.parametrize(("available", "running"), [([CPU], [CPU]), ([CUDA, CPU], [CPU])])
def test_a_clash_of_wheels_is_explained(
    monkeypatch: pytest.MonkeyPatch, available: list[str], running: list[str]
) -> None:
    with_wheels(monkeypatch, "onnxruntime", "onnxruntime-gpu")
    with pytest.raises(ValueError, match="both installed and overwrite each other") as caught:
        open_fake(monkeypatch, fake_runtime(available, running), "cuda")
    assert "pip uninstall onnxruntime onnxruntime-gpu" in str(caught.value)


def test_wheels_are_looked_up_by_their_names() -> None:
    assert engine._installed("onnxruntime") or engine._installed("onnxruntime-gpu")
    assert not engine._installed("onnxruntime-of-nobody")


def test_a_runtime_installed_in_part_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """What uninstalling one of two wheels leaves: a folder with hardly a file."""
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace())
    with_wheels(monkeypatch, "onnxruntime")
    with pytest.raises(ImportError, match="onnxruntime is installed in part; install it again"):
        engine.import_onnxruntime()


def test_without_onnxruntime(toy: Path) -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None; from genfast.runtime import Sampler; "
        f"Sampler({str(toy)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: Sampler: needs onnxruntime (or onnxruntime-gpu)" in done.stderr
