"""explain: which backend draws from a model, why, and what a site costs at least.

A site of an image is a pixel. What the program does in the row phase it does for all pixels of a
row at once, so its weights are read once a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from genfast._extension import core
from genfast.compiled import choose_backend
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
        backend: "cpu" or "reference": what `backend="auto"` uses.
        reason: Why.
        weights: What the compiled weights were made from, where that is not float32 on the CPU.
        isa: Instruction set of the kernels; "" for the reference, as the rest is 0.
        threads: Threads that a draw uses now.
        site_bytes: Bytes of weights read for one site, however many samples share them.
        multiply_adds: Multiply-adds of one site of one sample.
        floor: Seconds that one site of one sample takes at least on this machine: the larger of
            multiply-adds over their measured peak and bytes over the measured bandwidth.
        program: The program as it runs.
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

    def __str__(self) -> str:
        lines = [f"backend      {self.backend}: {self.reason}"]
        if self.weights:
            lines.append(f"weights      {self.weights}")
        if self.program is not None:
            site, sample = ("site", "row") if self.program.shape is None else ("pixel", "image")
            lines += [
                f"kernels      {self.isa}, {self.threads} threads",
                f"{f'a {site}':<13}{self.site_bytes:,} bytes, {self.multiply_adds:,} multiply-adds",
                *_phases(self.program),
                f"floor        {1e6 * self.floor:.2f} us a {site} of one {sample}, just measured",
            ]
        return "\n".join(lines)


def explain(model: Any) -> Explanation:
    """Says how `model` is drawn from with `backend="auto"`.

    Takes about a tenth of a second: the floor is measured.

    Args:
        model: A model with `forward` and `program`.

    Raises:
        FloatingPointError: A weight is not finite, named.
    """
    served, reason = choose_backend(model, "auto")
    if served is None:
        return Explanation("reference", reason)
    threads, num_bytes = torch.get_num_threads(), site_bytes(served.program)
    adds, isa = served.program.multiply_adds, served.executor.isa
    peak = core.fma_peak(isa, threads, _SECONDS)
    bandwidth = core.read_bandwidth(max(1, num_bytes // threads), threads, _SECONDS)
    return Explanation(
        backend="cpu",
        reason=reason,
        weights=_copied(model),
        isa=isa,
        threads=threads,
        site_bytes=num_bytes,
        multiply_adds=adds,
        floor=max(adds / peak, num_bytes / bandwidth),
        program=served.program,
    )


def site_bytes(program: Program) -> int:
    """Bytes of weights that one site reads: every matrix and bias, one row of every table.

    The row phase of a raster reads its own once for all columns.
    """
    columns = 1 if program.shape is None else program.shape[1]
    total = {"start": 0, "row": 0, "site": 0}
    for instruction, phase in zip(program.instructions, program.phases, strict=True):
        total[phase] += _read(instruction)
    return total["site"] + -(-total["row"] // columns)


def _read(instruction: Instruction) -> int:
    """Bytes of weights that an instruction reads when it runs."""
    if not isinstance(instruction, Sum):
        return 0
    total = 0 if instruction.bias is None else instruction.bias.nbytes
    for term in instruction.terms:
        if isinstance(term, Mat):
            total += term.weight.nbytes
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


def _copied(model: Any) -> str:
    """Names other dtypes and devices that weights were copied from."""
    kinds = {f"{str(p.dtype).removeprefix('torch.')} on {p.device}" for p in model.parameters()}
    others = sorted(kinds - {"float32 on cpu"})
    return f"float32 copies of {', '.join(others)}" if others else ""
