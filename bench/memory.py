"""Does the memory of a draw grow with its output alone?

Draws 1,000 and then 100,000 sites in one process and prints by how much the peak resident size
rose, beside the size of the output: `PYTHONPATH=python python -m bench.memory`.
"""

from __future__ import annotations

import resource
import sys

import torch

from genfast import SequenceModel, heads

SITES = 100_000
SYMBOL_BYTES = 8


def peak_bytes() -> int:
    """The largest resident size of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def growth(rows: int, sites: int = SITES) -> tuple[int, int]:
    """Bytes by which the peak rises in drawing `sites` sites after a short draw; bytes drawn."""
    torch.manual_seed(0)
    model = SequenceModel(heads.Categorical(65), cell="lstm", width=128).eval()
    model.sample(rows, sites // 100, seed=0, backend="cpu")
    before = peak_bytes()
    out = model.sample(rows, sites, seed=0, backend="cpu")
    return peak_bytes() - before, out.values.numel() * SYMBOL_BYTES


def main() -> None:
    for rows in (1, 4):
        grown, drawn = growth(rows)
        print(
            f"{rows} rows x {SITES:,} sites: peak rose by {grown:,} bytes, output {drawn:,} bytes"
        )


if __name__ == "__main__":
    main()
