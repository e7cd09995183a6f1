"""Where a compiled program runs: the CPU or one GPU, where its arrays lie, what starts it there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from genfast._extension import core

__all__ = ["CpuEngine", "CudaEngine", "Engine", "RefusedError"]

# Rows of a session whose scratch is looked at, to know that of one.
_ROWS = 64


class RefusedError(ValueError):
    """An engine cannot serve here, or not this program; says why, and what to do about it."""


class Engine(ABC):
    """Packs programs, and draws with them; two of equal settings are the same engine."""

    #: What `backend=` calls it.
    backend: ClassVar[str]

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the arrays lie that a session is bound to."""

    @abstractmethod
    def executor(self, program: Any) -> Any:
        """A `_core.Program`, packed; RefusedError where it cannot run on this engine."""

    @abstractmethod
    def session(self, executor: Any, n: int) -> Any:
        """A core session of `n` rows."""

    @abstractmethod
    def advance(self, session: Any, first: int, count: int) -> None:
        """Draws into columns `first .. first + count` of what the session is bound to."""

    @abstractmethod
    def scratch_bytes(self, executor: Any) -> int:
        """Bytes that a session keeps for each of many rows, beside the bound arrays."""


@dataclass(frozen=True)
class CpuEngine(Engine):
    """The CPU, by the kernels of one instruction set, on as many threads as torch uses.

    Args:
        isa: One of `_core.isas()`; "" for an engine that packs nothing, such as the reference's.
    """

    isa: str = ""
    backend: ClassVar[str] = "cpu"

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def executor(self, program: Any) -> Any:
        return core.Executor(program, self.isa)

    def session(self, executor: Any, n: int) -> Any:
        return core.Session(executor, n)

    def advance(self, session: Any, first: int, count: int) -> None:
        session.advance(first, count, torch.get_num_threads())

    def scratch_bytes(self, executor: Any) -> int:
        return int(core.Session(executor, _ROWS).scratch_bytes) // _ROWS


@dataclass(frozen=True)
class CudaEngine(Engine):
    """One GPU, on the stream of it that is torch's current one at the time of each draw.

    Args:
        number: Of the GPU, as torch counts.
        precision: Of the weights of products: "float32" or "bfloat16".
    """

    number: int
    precision: str
    backend: ClassVar[str] = "cuda"

    @classmethod
    def of(cls, model: nn.Module) -> CudaEngine:
        """The GPU that the model is on, else the first, with weights as the model has them.

        Raises:
            RefusedError: Nothing can be drawn on that GPU.
        """
        parameters = list(model.parameters())
        on_gpu = parameters and parameters[0].device.type == "cuda"
        dtypes = {p.dtype for p in parameters if p.is_floating_point()}
        engine = cls(
            (parameters[0].device.index or 0) if on_gpu else 0,
            "bfloat16" if dtypes == {torch.bfloat16} else "float32",
        )
        reason = cls.refusal(engine.number)
        if reason is not None:
            raise RefusedError(reason)
        return engine

    @staticmethod
    def refusal(number: int) -> str | None:
        """Why nothing can be drawn on a GPU; None where it can."""
        if not core.build_info()["cuda"]:
            return "genfast was built without CUDA; install it again with nvcc on the path"
        if not torch.cuda.is_available():
            seen = "torch was built without CUDA" if torch.version.cuda is None else "there is none"
            return f"torch sees no GPU: {seen}"
        if number >= torch.cuda.device_count():
            return f"there is no GPU {number}, torch sees {torch.cuda.device_count()}"
        major, minor = torch.cuda.get_device_capability(number)
        if (major, minor) < (8, 0):
            name = torch.cuda.get_device_name(number)
            return f"a GPU must be sm_80 or newer, {name} is sm_{major}{minor}"
        return None

    @property
    def device(self) -> torch.device:
        return torch.device("cuda", self.number)

    @property
    def stream(self) -> int:
        """The current stream, as a number."""
        return int(torch.cuda.current_stream(self.device).cuda_stream)

    def executor(self, program: Any) -> Any:
        try:
            return _with_memory(lambda: self._executor(program))
        except ValueError as reason:
            raise RefusedError(str(reason)) from reason

    def _executor(self, program: Any) -> Any:
        return core.CudaExecutor(program, self.precision, self.number)

    def session(self, executor: Any, n: int) -> Any:
        return _with_memory(lambda: core.CudaSession(executor, n))

    def advance(self, session: Any, first: int, count: int) -> None:
        session.advance(first, count, self.stream)

    def scratch_bytes(self, executor: Any) -> int:
        """0: what is kept is kept for the rows that a GPU draws at once, however many there are."""
        return 0


def _with_memory(make: Callable[[], Any]) -> Any:
    """What `make` gives; where memory is short, torch gives up first what it holds unused."""
    try:
        return make()
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
    torch.cuda.empty_cache()
    return make()
