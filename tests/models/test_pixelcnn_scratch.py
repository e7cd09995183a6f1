"""Memory of a draw: what the core says it keeps, what the process takes, and every feature map."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from genfast import PixelCNN

# Largest resident size of the process, which a 5 in clear_refs makes the size that it has. No such
# image is drawn before: what a draw takes cannot lie in memory that another has freed.
RISE = """
import sys
import torch
from pathlib import Path
from genfast import PixelCNN
from genfast._extension import core
from genfast.compiled import compiled

def largest():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

variant, width, side, threads = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
small = PixelCNN((1, 16, 16), levels=2, width=8, depth=2, variant=variant)
small.sample(1, seed=0, backend="cpu")
model = PixelCNN((1, side, side), levels=2, width=width, depth=15, variant=variant).eval()
executor = compiled(model).executor
Path("/proc/self/clear_refs").write_text("5")
before = largest()
image = model.sample(1, seed=0, backend="cpu")
rise = largest() - before
session = core.Session(executor, 1)
opened = session.scratch_bytes
one = torch.ones(1)
session.options(one.numpy(), one.long().numpy() * 0, one.numpy())
session.bind(torch.rand(1, side * side, 1), torch.empty(1, side * side, 1, dtype=torch.int64))
session.advance(0, side * side, threads)
print(rise, opened, session.scratch_bytes, len(image.unique()))
"""
# int64 values and the image they become, float32 uniforms.
ARRAYS = 8 + 8 + 4
# Python's own objects, pages of code that are read the first time, stacks.
ALLOWANCE = 600 * 1024


@pytest.mark.parametrize(
    ("variant", "width", "side", "threads"),
    [("masked", 64, 128, 1), ("masked", 64, 128, 2), ("gated", 32, 128, 2)],
)
def test_scratch_is_a_thirtieth_of_every_feature_map(
    variant: str, width: int, side: int, threads: int
) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("no /proc/self/clear_refs, by which the kernel says what a process takes")
    command = [sys.executable, "-c", RISE, variant, str(width), str(side), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    taken, opened, said, levels = map(int, done.stdout.split())
    assert levels == 2
    # Rows that several threads draw at once need more of the buffers, which are laid out anew
    # beside those that the session was opened with.
    laid = said if threads == 1 else said + opened
    assert said - 64 * 1024 < taken < laid + ARRAYS * side * side + ALLOWANCE, done.stdout
    every = every_feature_map(variant, width, side)
    assert said <= every / 30
    assert taken <= every / 30


def every_feature_map(variant: str, width: int, side: int) -> int:
    """Bytes of what all convolutions give, activations not counted once more."""
    model = PixelCNN((1, side, side), levels=2, width=width, depth=15, variant=variant)
    features = sum(m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d))
    return 4 * features * side * side
