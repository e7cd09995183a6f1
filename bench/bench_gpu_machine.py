"""What can a GPU not pass? Ceilings that the figures of the other benchmarks are held against.

a tick      sites of programs that compute next to nothing: what a step, and a barrier, cost
            on one block, on a cluster and on the whole grid
copies      bytes a second that a copy reads and writes, from what the second-level cache holds
            to what it does not
products    multiply-adds a second of square products of PyTorch, float32 without TF32, bfloat16

python -m bench.bench_gpu_machine            all rows
python -m bench.bench_gpu_machine --quick    one of each
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import torch

import genfast
from bench import gpu, gpu_side
from bench.gpu_runner import Bench, Everybody, Row, Setting, described, run
from bench.image_race import race
from bench.image_task import OURS
from genfast import SequenceModel, heads

#: Sites of a draw: a launch is divided by so many.
SITES = 4096


@dataclass(frozen=True)
class Tick:
    """Sites of a GRU of this width, whose weights settle how many blocks a machine has."""

    width: int
    sites: int = SITES

    @property
    def name(self) -> str:
        return f"tick of a GRU 1x{self.width}"

    def measure(self, setting: Setting) -> Row:
        """Microseconds a site, and what the plan says of its barriers."""
        torch.manual_seed(0)
        model = SequenceModel(heads.Categorical(2), cell="gru", width=self.width, depth=1).eval()
        uniforms = genfast.random.uniforms(0, 1, self.sites)[..., None].to(setting.device)
        made = gpu_side.executor(model, setting.side)
        everybody = Everybody(setting, lambda contender, values: {})
        everybody.enter(OURS, lambda: gpu_side.contender(made, uniforms, images=False))
        race(everybody.entries, (), setting.effort)
        us = 1e6 * statistics.median(everybody.entries[0].seconds) / self.sites
        plan = gpu_side.plan(made, 1)
        return {
            "plan": plan,
            "contenders": everybody.described(),
            "summary": {
                "us": round(us, 4),
                **{name: plan[name] for name in ("blocks", "grid", "barriers") if name in plan},
            },
        }


@dataclass(frozen=True)
class Copy:
    """A copy of so many bytes, read and written together."""

    mebibytes: int

    @property
    def name(self) -> str:
        return f"copy of {self.mebibytes} MiB"

    def measure(self, setting: Setting) -> Row:
        """Bytes a second."""
        rate = gpu.copy_bandwidth(self.mebibytes << 20, setting.device)
        return {"rate": rate, "summary": {"gbytes_a_second": round(rate["median"] / 1e9, 1)}}


@dataclass(frozen=True)
class Product:
    """A square product."""

    size: int
    precision: str

    @property
    def name(self) -> str:
        return f"product of {self.size}, {self.precision}"

    def measure(self, setting: Setting) -> Row:
        """Multiply-adds a second."""
        rate = gpu.matrix_rate(self.size, getattr(torch, self.precision), setting.device)
        return {"rate": rate, "summary": {"tflops": round(2e-12 * rate["median"], 2)}}


# From one block, over clusters, to the whole grid: of the H200 as the planner cuts it.
TASKS = [
    *(Tick(width) for width in (8, 256, 512, 1024)),
    *(Copy(size) for size in (16, 256, 4096)),
    *(Product(size, dtype) for dtype in ("float32", "bfloat16") for size in (1024, 8192)),
]
QUICK = [Tick(8, 64), Copy(1), Product(64, "bfloat16")]


def measure(task: Tick | Copy | Product, setting: Setting) -> Row:
    """A ceiling."""
    return {"task": described(task)} | task.measure(setting)


def line(s: Row) -> str:
    """One row on the terminal."""
    return ", ".join(f"{value} {name}" for name, value in s.items())


if __name__ == "__main__":
    run(Bench("gpu-machine", __doc__, TASKS, QUICK, measure, line))
