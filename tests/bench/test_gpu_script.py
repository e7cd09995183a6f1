"""bench/gpu.sh: what it runs, records and returns, with programs that stand in for a GPU's."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from bench.render import ROOT

SCRIPT = ROOT / "bench" / "gpu.sh"
STAGES = [
    "build",
    "tests",
    "memcheck",
    "racecheck",
    "machine",
    "recurrent",
    "pixelcnn",
    "reparameterize",
    "recurrent-compiled",
    "pixelcnn-compiled",
    "reparameterize-compiled",
]


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def bin(tmp_path: Path) -> Path:
    """A GPU, a compute-sanitizer, and a Python that fails where $FAIL is among its arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program(
        folder,
        "nvidia-smi",
        'case "$*" in -L) echo "GPU 0";; *compute_cap*) echo 9.0;; *) echo "a GPU, 1";; esac',
    )
    program(folder, "compute-sanitizer", 'shift 4\n"$@"')
    program(folder, "python", 'echo "$@"\n[ -z "$FAIL" ] || [[ "$*" != *"$FAIL"* ]]')
    return folder


def run(bin: Path, **environment: str) -> tuple[int, dict[str, int], Path]:
    out = bin.parent / "out"
    core = bin.parent / "core"
    core.mkdir(exist_ok=True)
    (core / "_core.so").touch()
    done = subprocess.run(
        [str(SCRIPT)],
        env={
            **os.environ,
            "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}",
            "PYTHON": "python",
            "OUT": str(out),
            "GENFAST_CORE": str(core),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads((out / "gpu-run.json").read_text())
    return done.returncode, {s["stage"]: s["status"] for s in found["stages"]}, out


def test_without_a_gpu_it_says_so_in_one_line(tmp_path: Path) -> None:
    program(tmp_path, "nvidia-smi", "exit 9")
    done = subprocess.run(
        [str(SCRIPT)],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == "no GPU: nothing was built, tested or measured\n"


def test_every_stage_runs_and_is_recorded(bin: Path) -> None:
    status, stages, out = run(bin)
    assert (status, stages) == (0, dict.fromkeys(STAGES, 0))
    logs = {stage: (out / "gpu-logs" / f"{stage}.log").read_text() for stage in STAGES}
    assert "tests/test_random.py" in logs["tests"]
    assert "-m bench.gpu_small" in logs["racecheck"]
    assert f"--out {out}/gpu-recurrent.json --no-compile" in logs["recurrent"]
    assert f"--out {out}/gpu-recurrent.json --resume" in logs["recurrent-compiled"]


@pytest.mark.parametrize(
    ("fail", "failed", "status"),
    [
        ("-m pytest", {"tests"}, 1),
        ("bench.gpu_small", {"memcheck", "racecheck"}, 1),
        ("gpu-pixelcnn.json --no-compile", {"pixelcnn"}, 2),
        ("core.cuda_devices", {"build"}, 1),
    ],
)
def test_later_stages_run_and_the_status_says_what_failed(
    bin: Path, fail: str, failed: set[str], status: int
) -> None:
    returned, stages, _ = run(bin, FAIL=fail)
    assert returned == status
    assert {stage for stage, code in stages.items() if code} == failed
    assert list(stages) == STAGES


def test_a_stage_that_hangs_is_ended_and_the_budget_holds(bin: Path) -> None:
    program(bin, "python", '[[ "$*" != *pytest* ]] || sleep 60')
    returned, stages, _ = run(bin, BUDGET="6")
    assert returned == 1
    assert stages["build"] == 0
    assert stages["tests"] == stages["machine"] == 124
