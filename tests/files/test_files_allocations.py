"""Memory: what the measure of the other tests sees, and how much a large model takes to load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from allocations import Allocations
from saved_models import model_of

from genfast.models import load

# The largest the process has been, which a 5 in clear_refs makes the size it has.
RESIDENT = """
import sys
import torch
from pathlib import Path
from genfast.models import load
torch.set_num_threads(1)

def largest():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

load(sys.argv[1])
Path("/proc/self/clear_refs").write_text("5")
before = largest()
model = load(sys.argv[2])
print(largest() - before)
"""


def test_every_kind_of_memory_is_seen() -> None:
    with Allocations() as taken:
        np.empty(2**24, np.uint8)
    assert taken.python >= 2**24
    with Allocations() as taken:
        bytearray(2**24)
    assert taken.python >= 2**24
    with Allocations() as taken:
        torch.empty(2**30)  # never touched
    assert taken.torch == 2**32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_loading_takes_the_size_of_the_file(tmp_path: Path, dtype: torch.dtype) -> None:
    model = model_of(400, classes=15_000).to(dtype)
    model.save(tmp_path / "large")
    model_of().save(tmp_path / "small")
    size = (tmp_path / "large" / "model.safetensors").stat().st_size
    command = [sys.executable, "-c", RESIDENT, str(tmp_path / "small"), str(tmp_path / "large")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0.9 * size < int(done.stdout) < 1.1 * size + 2**23
    with Allocations() as taken:
        load(tmp_path / "large")
    assert taken.torch < size
    assert taken.python < 2**21
