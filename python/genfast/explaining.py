"""explain: which backend draws from a model, why, and what a site costs at least.

A site of an image is a pixel. What the program does in the row phase it does for all pixels of a
row at once, so its weights are read once a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from genfast._extension import core
from genfast.compiled import Compiled, find_backend
from genfast.engines import CudaEngine
from genfast.program import Look, Mat, Program, Sum
from genfast.program.cost import multiply_adds
from genfast.program.instructions import PHASES, Instruction

__all__ = ["Explanation", "explain"]

# Seconds that each ceiling of the machine is measured for.
_SECONDS = 0.03


@dataclass(frozen=True)
class Explanation:
    """What `explain` found; printing it gives a few lines.

    Args:
        backend: "cpu", "cuda" or "reference": what draws.
        reason: Why; on the CPU from a model on a GPU, also why not there.
        weights: What the compiled weights were made from, where that is not what they are: float32
            on the CPU, or the precision of the GPU's on that GPU.
        isa: Instruction set of the kernels; "" on a GPU and for the reference, as the rest is 0.
        threads: Threads that a draw uses now.
        site_bytes: Bytes of weights read for one site, however many samples share them.
        multiply_adds: Multiply-adds of one site of one sample.
        floor: Seconds that one site of one sample takes at least on this machine: the larger of
            multiply-adds over their measured peak and bytes over the measured bandwidth. 0 on a
            GPU, where neither is measured yet.
        program: The program as it runs.
        precision: Of the weights of products on a GPU: "float32" or "bfloat16".
        plan: What runs where on a GPU: blocks of a machine, barriers of a tick (a site, or one of
            each row of an image in flight), bytes on the chip, and a line a step.
    """

    backend: str
    reason: str
    weights: str = ""
    isa: str = ""
    threads: int = 0
    site_bytes: int = 0
    multiply_adds: int = 0
    floor: float = 0.0
    program: Program | None = None
    precision: str = ""
    plan: str = ""

    def __str__(self) -> str:
        lines = [f"backend      {self.backend}: {self.reason}"]
        if self.weights:
            lines.append(f"weights      {self.weights}")
        if self.program is not None:
            site, sample = ("site", "row") if self.program.shape is None else ("pixel", "image")
            kernels = f"{self.isa}, {self.threads} threads"
            floor = f"{1e6 * self.floor:.2f} us a {site} of one {sample}, just measured"
            if self.backend == "cuda":
                kernels = f"products of {self.precision} weights, summed in float32"
                floor = "not measured on a GPU yet"
            lines += [
                f"kernels      {kernels}",
                f"{f'a {site}':<13}{self.site_bytes:,} bytes, {self.multiply_adds:,} multiply-adds",
                *_phases(self.program),
                f"floor        {floor}",
                *self.plan.splitlines(),
            ]
        return "\n".join(lines)


def explain(model: Any, backend: str = "auto") -> Explanation:
    """Says how `model` is drawn from.

    Takes about a tenth of a second on the CPU: the floor is measured.

    Args:
        model: A model with `forward` and `program`.
        backend: As for `sample`.

    Raises:
        ValueError: The backend that is named cannot serve, with the reason.
        FloatingPointError: A weight is not finite, named.
    """
    choice = find_backend(model, backend)
    served, reason = choice.served, choice.reason
    if served is None:
        return Explanation("reference", reason)
    if isinstance(served.engine, CudaEngine):
        return _explain_cuda(model, served, reason)
    threads, num_bytes = torch.get_num_threads(), site_bytes(served.program)
    adds, isa = served.program.multiply_adds, served.executor.isa
    peak = core.fma_peak(isa, threads, _SECONDS)
    bandwidth = core.read_bandwidth(max(1, num_bytes // threads), threads, _SECONDS)
    return Explanation(
        backend="cpu",
        reason=reason,
        weights=_copied(model, "float32", "cpu"),
        isa=isa,
        threads=threads,
        site_bytes=num_bytes,
        multiply_adds=adds,
        floor=max(adds / peak, num_bytes / bandwidth),
        program=served.program,
    )


def _explain_cuda(model: Any, served: Compiled, reason: str) -> Explanation:
    """Of a batch of one row; with others only the rows that a machine draws at once differ."""
    assert isinstance(served.engine, CudaEngine)
    precision, device = served.engine.precision, f"cuda:{served.engine.number}"
    return Explanation(
        backend="cuda",
        reason=f"{reason}; on {device}",
        weights=_copied(model, precision, device),
        site_bytes=site_bytes(served.program, 2 if precision == "bfloat16" else 4),
        multiply_adds=served.program.multiply_adds,
        program=served.program,
        precision=precision,
        plan=str(served.executor.plan(1)["listing"]),
    )


def site_bytes(program: Program, item: int = 4) -> int:
    """Bytes of weights that one site reads: every matrix and bias, one row of every table.

    The row phase of a raster reads its own once for all columns. A weight of a matrix has `item`
    bytes, all others have 4.
    """
    columns = 1 if program.shape is None else program.shape[1]
    total = {"start": 0, "row": 0, "site": 0}
    for instruction, phase in zip(program.instructions, program.phases, strict=True):
        total[phase] += _read(instruction, item)
    return total["site"] + -(-total["row"] // columns)


def _read(instruction: Instruction, item: int) -> int:
    """Bytes of weights that an instruction reads when it runs."""
    if not isinstance(instruction, Sum):
        return 0
    total = 0 if instruction.bias is None else instruction.bias.nbytes
    for term in instruction.terms:
        if isinstance(term, Mat):
            total += item * term.weight.size
        elif isinstance(term, Look):
            total += term.table[0].nbytes
    return total


def _phases(program: Program) -> list[str]:
    """A line on what runs when, for a raster."""
    if program.shape is None:
        return []
    pairs = list(zip(program.instructions, program.phases, strict=True))[len(program.inputs) :]
    parts = []
    for phase in PHASES:
        code = [instruction for instruction, its in pairs if its == phase]
        adds = sum(multiply_adds(instruction) for instruction in code)
        # What the start computes, it computes once an image.
        share = "" if phase == "start" else f" ({adds / max(1, program.multiply_adds):.0%})"
        parts += [f"{phase} {len(code)}{share}"] if code else []
    return [f"phases       {', '.join(parts)} instructions, and their shares of multiply-adds"]


def _copied(model: Any, precision: str, device: str) -> str:
    """Names other dtypes and devices that weights of this precision, there, were copied from."""
    kinds = {f"{str(p.dtype).removeprefix('torch.')} on {p.device}" for p in model.parameters()}
    others = sorted(kinds - {f"{precision} on {device}"})
    return f"{precision} copies of {', '.join(others)}" if others else ""
