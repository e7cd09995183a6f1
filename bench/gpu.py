"""A GPU as benchmarks see it: facts, products that are not TF32, clocks by events, captured graphs.

Everything takes a device, and the processor is one: there a clock is the wall's, and a graph is the
function that would be captured. So tests run what rivals draw without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench import machine
from bench.harness import spread
from bench.image_race import Clock, by_wall
from bench.task import Array
from genfast._extension import core

#: Draws before a graph is captured: memory is allocated and algorithms are chosen in them.
WARM_UP = 3


def exact_products() -> None:
    """float32 means float32, in products and in convolutions."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True  # the fastest algorithm of each shape, for the rivals


def facts(device: torch.device) -> dict[str, Any]:
    """The machine, with what it has of GPUs."""
    found = machine.facts() | {"core": core.build_info()}
    if device.type != "cuda":
        return found | {"gpu": "none: drawn on the processor, no figure of a GPU"}
    properties = torch.cuda.get_device_properties(device)
    return found | {
        "gpu": properties.name,
        "capability": f"sm_{properties.major}{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "memory_gib": properties.total_memory >> 30,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "devices": core.cuda_devices(),
    }


def clock(device: torch.device) -> Clock:
    """Seconds of a run, by events on a GPU: from the first kernel's start to the last one's end."""
    return by_events if device.type == "cuda" else by_wall


def by_events(run: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """As `by_wall`. The device is idle before and after."""
    torch.cuda.synchronize()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    made = None
    begin.record()
    for _ in range(repeats):
        made = run()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) * 1e-3 / repeats, made


def captured(run: Callable[[], Any], device: torch.device) -> Callable[[], Any]:
    """`run` as one CUDA graph: what it gives lies where it lay at the capture.

    Args:
        run: Reads and writes the same memory at every call, and waits for nothing.
        device: Of a processor, `run` itself is returned.
    """
    if device.type != "cuda":
        return run
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = run()

    def replay() -> Any:
        graph.replay()
        return made

    return replay


def placed(device: torch.device, dtype: torch.dtype) -> Callable[[Array], Tensor]:
    """Puts arrays on a device, in a dtype."""
    return lambda values: torch.from_numpy(values).to(device, dtype)


def to_bfloat16(values: Array) -> Array:
    """float32 or float64 numbers, each the nearest of bfloat16."""
    tensor = torch.from_numpy(values)
    rounded: Array = tensor.bfloat16().to(tensor.dtype).numpy()
    return rounded


def copy_bandwidth(num_bytes: int, device: torch.device, rounds: int = 5) -> dict[str, float]:
    """Bytes a second that a copy reads and writes, `num_bytes` of both together."""
    source = torch.zeros(num_bytes // 2, dtype=torch.uint8, device=device)
    return _rate(num_bytes, source.clone, device, rounds)


def matrix_rate(
    size: int, dtype: torch.dtype, device: torch.device, rounds: int = 5
) -> dict[str, float]:
    """Multiply-adds a second of a square product of PyTorch."""
    a = torch.randn(size, size, device=device).to(dtype)
    return _rate(size**3, lambda: a @ a, device, rounds)


def _rate(work: int, run: Callable[[], Any], device: torch.device, rounds: int) -> dict[str, float]:
    timed = clock(device)
    run()
    once, _ = timed(run, 1)
    repeats = max(1, min(1000, int(0.01 / max(once, 1e-9))))
    return spread([work / timed(run, repeats)[0] for _ in range(rounds)])
