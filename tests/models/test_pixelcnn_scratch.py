"""Memory of a draw: what the core says it keeps, what the process takes, and every feature map."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from genfast import PixelCNN

# Largest resident size of the process, which a 5 in clear_refs makes the size that it has. Nothing
# of this shape and larger is drawn before: what a draw takes cannot lie in memory freed by another.
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

torch.set_num_threads(1)
variant, width, side = sys.argv[1], *map(int, sys.argv[2:])
small = PixelCNN((1, 4, 4), levels=2, width=8, depth=2, variant=variant)
small.sample(1, seed=0, backend="cpu")
model = PixelCNN((1, side, side), levels=2, width=width, depth=15, variant=variant).eval()
executor = compiled(model).executor
Path("/proc/self/clear_refs").write_text("5")
before = largest()
image = model.sample(1, seed=0, backend="cpu")
print(largest() - before, core.Session(executor, 1).scratch_bytes, image.unique().tolist())
"""
# int64 values and the image they become, float32 uniforms.
ARRAYS = 8 + 8 + 4
# Python's own objects, pages of code that are read the first time, stacks.
ALLOWANCE = 600 * 1024


@pytest.mark.parametrize(("variant", "width", "side"), [("masked", 64, 128), ("gated", 32, 128)])
def test_scratch_is_a_thirtieth_of_every_feature_map(variant: str, width: int, side: int) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("no /proc/self/clear_refs, by which the kernel says what a process takes")
    command = [sys.executable, "-c", RISE, variant, str(width), str(side)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rise, scratch, levels = done.stdout.split(maxsplit=2)
    taken, said = int(rise), int(scratch)
    assert levels.strip() == "[0, 1]"
    sites, every = side * side, every_feature_map(variant, width, side)
    assert said - 64 * 1024 < taken < said + ARRAYS * sites + ALLOWANCE, (taken, said)
    assert said <= every / 30
    assert taken <= every / 30


def every_feature_map(variant: str, width: int, side: int) -> int:
    """Bytes of what all convolutions give, activations not counted once more."""
    model = PixelCNN((1, side, side), levels=2, width=width, depth=15, variant=variant)
    features = sum(m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d))
    return 4 * features * side * side
