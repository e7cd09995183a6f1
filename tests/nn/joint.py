"""Batch norm in one of several processes: leaves what it makes of its rows.

python joint.py FOLDER RANK PROCESSES
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from genfast.nn import BatchNorm1d, BatchNorm2d
from genfast.nn.batch_norm import counting


@dataclass(frozen=True)
class Case:
    """Rows, and where they are cut: process 0 has those before."""

    make: Callable[..., Any]
    plain: Callable[..., Any]
    shape: tuple[int, ...]
    cut: int
    options: dict[str, Any] = field(default_factory=dict)
    dtype: torch.dtype = torch.float64
    shift: float = 3.0

    def rows(self) -> tuple[Tensor, Tensor]:
        """The whole batch, and the weights of a loss of what is made of it."""
        generator = torch.Generator().manual_seed(0)
        x, weights = torch.randn(2, *self.shape, generator=generator, dtype=torch.float64)
        return (2 * x + self.shift).to(self.dtype), weights.to(self.dtype)


FLAT: tuple[Any, Any] = (BatchNorm1d, nn.BatchNorm1d)
MAPS: tuple[Any, Any] = (BatchNorm2d, nn.BatchNorm2d)
CASES = {
    "rows": Case(*FLAT, (7, 5), 3),
    "sequences": Case(*FLAT, (7, 5, 3), 1),
    "maps": Case(*MAPS, (4, 5, 3, 2), 3),
    "one map": Case(*MAPS, (1, 5, 3, 2), 0),
    "cumulative": Case(*MAPS, (4, 5, 3, 2), 2, {"momentum": None}),
    "plain": Case(*MAPS, (4, 5, 3, 2), 2, {"affine": False, "track_running_stats": False}),
    "float": Case(*FLAT, (7, 5), 3, dtype=torch.float32),
    "far": Case(*FLAT, (700, 5), 300, dtype=torch.float32, shift=3e3),
    "half": Case(*FLAT, (7, 5), 3, dtype=torch.bfloat16),
}


def used(norm: nn.Module, x: Tensor, weights: Tensor, own: float) -> dict[str, Tensor]:
    """What two batches make of a batch norm; the loss holds a gradient of its own."""
    x = x.clone().requires_grad_()
    norm(2 * x.detach())
    y = norm(x)
    loss = (weights * y.square()).sum() * own
    (slope,) = torch.autograd.grad(loss, x, create_graph=True)
    (loss + own * slope.square().sum()).backward()
    assert x.grad is not None
    norm.eval()
    with torch.no_grad():
        evaluated = norm(x) if norm.running_mean is not None else y
    left = {"y": y.detach(), "gradient": x.grad, "evaluated": evaluated.detach()}
    weight = {name: p.grad for name, p in norm.named_parameters() if p.grad is not None}
    return {**left, **norm.state_dict(), **{f"{name} gradient": g for name, g in weight.items()}}


def of_process(case: Case, rank: int) -> dict[str, Tensor]:
    """The work of a process; one without rows is lent the first."""
    x, weights = case.rows()
    rows = slice(case.cut) if rank == 0 else slice(case.cut, None)
    present = len(x[rows]) > 0
    rows = rows if present else slice(1)
    norm = case.make(case.shape[1], **case.options, dtype=_wide(case.dtype))
    with counting(present):
        return used(norm, x[rows], weights[rows], float(present))


def of_one(case: Case) -> dict[str, Tensor]:
    """torch's own batch norm on the whole batch, in float64."""
    x, weights = (t.double() for t in case.rows())
    return used(case.plain(case.shape[1], **case.options, dtype=torch.float64), x, weights, 1.0)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def refusal(rank: int) -> str:
    """What is said of a single row, which is process 1's."""
    try:
        with counting(rank == 1):
            BatchNorm1d(8)(torch.randn(1, 8))
    except ValueError as error:
        return str(error)
    return "nothing"


def main(folder: Path, rank: int, size: int) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder / 'meeting'}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    left: dict[str, Any] = {name: of_process(case, rank) for name, case in CASES.items()}
    left["refusal"] = refusal(rank)
    torch.save(left, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
