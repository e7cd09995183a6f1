"""Facts of the machine, and its ceilings: multiply-adds and bytes a second, measured."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.task import Task
from genfast._extension import core

PACKAGES = ("genfast", "torch", "onnxruntime", "onnx", "numpy")


def facts() -> dict[str, Any]:
    """Processor, cores, caches, instruction sets, versions, and how busy it was at the start."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "caches": _caches(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": sys.version.split()[0],
        "versions": {name: _version(name) for name in PACKAGES},
        "load_at_start": [round(load, 2) for load in os.getloadavg()],
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    named = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {key.strip(): value.strip() for key, value in named.items()}
    family = ", ".join(f"{k} {facts[k]}" for k in ("cpu family", "model") if k in facts)
    return f"{facts.get('model name', 'unknown')} ({family})" if family else "unknown"


def _caches() -> dict[str, str]:
    """Size of each level that core 0 sees: {"L1d": "48K", "L2": "1024K", ...}."""
    found = {}
    for entry in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (
            (entry / name).read_text().strip() for name in ("level", "type", "size")
        )
        if kind != "Instruction":
            found[f"L{level}{'d' if kind == 'Data' else ''}"] = size
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def ceilings(task: Task, seconds: float = 0.03) -> dict[str, Callable[[], float]]:
    """What no kernel can pass, by name: `fma 2` and `read 2` with two threads.

    The bandwidth is that of the cache level which holds a thread's share of the weights.
    """
    isa, found = core.default_isa(), {}

    def fma(threads: int) -> Callable[[], float]:
        return lambda: float(core.fma_peak(isa, threads, seconds))

    def read(threads: int) -> Callable[[], float]:
        share = max(task.weight_bytes // threads, 4096)
        return lambda: float(core.read_bandwidth(share, threads, seconds))

    for threads in (1, 2):
        found[f"fma {threads}"] = fma(threads)
        found[f"read {threads}"] = read(threads)
    return found


def floor_seconds(task: Task, fma: float, read: float) -> float:
    """The larger of multiply-adds over their peak and bytes over the bandwidth, for one site."""
    return max(task.batch * task.multiply_adds / fma, task.weight_bytes / read)
