"""Small draws of every kind on a GPU, held against the CPU core: what compute-sanitizer follows.

One of each: cells, images of both variants, whole pixels of a mixture; machines of one block, of a
cluster and of the whole grid; both precisions. Prints a line a case; exit status 1 for a draw that
is not the CPU core's, 3 without a GPU.

    compute-sanitizer --tool racecheck python -m bench.gpu_small
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

import genfast
from bench import gpu_side
from bench.gpu_runner import FAILED, NO_GPU
from genfast import PixelCNN, SequenceModel, heads


@dataclass(frozen=True)
class Case:
    """A model to draw from.

    Args:
        name: What it stands for.
        model: Makes it.
        batch, sites, draws: Of the uniforms.
        values: Of a site; as many as draws unless given.
        images: Whether the model is a PixelCNN.
        whole: Whether it takes the whole GPU, which a simulation is slow to follow.
    """

    name: str
    model: Callable[[], nn.Module]
    batch: int
    sites: int
    draws: int = 1
    values: int | None = None
    images: bool = False
    whole: bool = False


def _sequence(cell: str, width: int, depth: int) -> Callable[[], nn.Module]:
    return lambda: SequenceModel(heads.Categorical(9), cell=cell, width=width, depth=depth)


def _image(variant: str, channels: int, **more: object) -> Callable[[], nn.Module]:
    shape = (channels, 5, 4)
    return lambda: PixelCNN(shape, 4, width=6, depth=2, variant=variant, **more)  # type: ignore[arg-type]


def _mixture() -> nn.Module:
    return PixelCNN((3, 5, 4), 16, width=6, depth=2, head=heads.LogisticMixture(16, 2, channels=3))


CASES = (
    Case("lstm, one block", _sequence("lstm", 24, 2), 3, 6),
    Case("gru, one block", _sequence("gru", 17, 1), 2, 6),
    Case("masked images", _image("masked", 1), 2, 20, images=True),
    Case("gated images", _image("gated", 3), 2, 20, 3, images=True),
    Case("a mixture", _mixture, 2, 20, 4, 3, images=True),
    Case("lstm, a cluster", _sequence("lstm", 320, 1), 5, 4, whole=True),
    Case("gru, the grid", _sequence("gru", 1024, 1), 3, 3, whole=True),
)


def differing(case: Case, side: str, precision: str) -> tuple[int, str]:
    """Samples that a side draws unlike the CPU core, and what its plan says.

    The weights are exact in bfloat16, so that both precisions draw from the same model.
    """
    torch.manual_seed(0)
    model = case.model().eval().bfloat16().float()
    uniforms = genfast.random.uniforms(0, case.batch, case.sites * case.draws)
    uniforms = uniforms.view(case.batch, case.sites, case.draws)
    device = "cuda" if side == "cuda" else "cpu"
    drawn = []
    plan = {}
    for who, where in (("cpu", "cpu"), (side, device)):
        made = gpu_side.executor(copy.deepcopy(model), who, precision)
        draw = gpu_side.contender(made, uniforms.to(where), case.images, case.values)
        drawn.append(draw.run().cpu())
        plan = gpu_side.plan(made, case.batch)
    said = ", ".join(f"{name} {plan[name]}" for name in ("blocks", "grid", "barriers"))
    return int((drawn[0] != drawn[1]).flatten(1).any(1).sum()), said


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--side", default="cuda", choices=("cuda", "simulated"))
    options = parser.parse_args()
    if options.side == "cuda" and not torch.cuda.is_available():
        print("no GPU that PyTorch can use: nothing was drawn")
        sys.exit(NO_GPU)
    wrong = 0
    for case in (c for c in CASES if options.side == "cuda" or not c.whole):
        for precision in ("float32", "bfloat16"):
            count, plan = differing(case, options.side, precision)
            wrong += count
            print(f"{case.name}, {precision}: {count} of {case.batch} differ ({plan})", flush=True)
    sys.exit(FAILED if wrong else 0)


if __name__ == "__main__":
    main()
