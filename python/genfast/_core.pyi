"""The compiled core. Arrays are anything with `__dlpack__` on the CPU: NumPy arrays, torch tensors."""

from collections.abc import Callable, Sequence
from typing import Any

Array = Any

# ---- build and machine
def build_info() -> dict[str, Any]:
    """version, compiler, isas (compiled), cuda (bool), cuda_architectures (list[str])."""

def isas() -> list[str]:
    """Instruction sets this build has and this processor runs, narrowest first."""

def default_isa() -> str:
    """The widest, or `GENFAST_ISA`; raises ValueError when that one cannot run here."""

# ---- randomness
def uniforms(seeds: Array, indices: Array, first: Array, out: Array) -> None:
    """seeds, indices, first: int64 (N,). out: float32 (N, draws), C-contiguous, filled."""

def fold(seed: int, tag: int, value: int) -> int: ...
def cuda_uniforms(
    seed: int, index: int, first: int, out: Array, stream: int
) -> None: ...
def cuda_devices() -> list[str]: ...

# ---- weights
def weight_hash(arrays: Sequence[Array], isa: str = ...) -> int:
    """64-bit hash over the bytes, shapes and order of C-contiguous arrays."""

# ---- programs
class Program:
    """The flat program. Methods validate at once and raise ValueError naming the instruction."""

    def __init__(self, order: str, rows: int, columns: int) -> None:
        """order: "sequence" (rows = 1, columns = 0: endless) or "raster"."""

    def buffer(self, name: str, width: int, kind: str, vocabulary: int) -> int:
        """Declares a buffer; returns its number."""

    def input(self, target: int, phase: str) -> None: ...
    def sum(
        self,
        phase: str,
        targets: Sequence[int],
        epilogue: str,
        bias: Array | None,
        terms: Sequence[tuple[str, Array | None, tuple[int, int, int]]],
        states: Sequence[tuple[int, int, int]],
    ) -> None:
        """terms: ("mat" | "look" | "add", weights or None, (buffer, dy, dx))."""

    def draw(
        self, phase: str, target: int, head: str, ref: tuple[int, int, int]
    ) -> None: ...
    def finish(self) -> None:
        """Validates the whole: every buffer written once, before it is read; nothing reads the future."""

    @property
    def weight_bytes(self) -> int: ...
    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one site of one row."""

class Executor:
    """A finished program with its weights packed for one instruction set."""

    def __init__(self, program: Program, isa: str = "") -> None: ...
    @property
    def isa(self) -> str: ...
    @property
    def packed_bytes(self) -> int: ...

class Session:
    """Kept buffers of a batch, and the position. One thread at a time; concurrent use raises RuntimeError."""

    def __init__(self, executor: Executor, batch: int) -> None: ...
    def options(self, temperature: Array, top_k: Array, top_p: Array) -> None:
        """float32 (N,), int64 (N,) (0: off), float32 (N,) (1: off); copied."""

    def bind(
        self,
        uniforms: Array,
        values: Array,
        forced: Array | None = None,
        scores: Array | None = None,
        log_probs: Array | None = None,
    ) -> None:
        """uniforms float32 (N, C, d), values int64 (N, C, d), forced int64 (N, C, d) (-1: draw),
        scores float32 (N, C, K), log_probs float32 (N, C, d); d draws a site. Kept alive by the session."""

    def advance(self, first: int, count: int, threads: int) -> int:
        """Runs `count` sites into columns first..first+count of the bound arrays. Returns the sites
        finished: fewer than count only when interrupted by a signal, whose exception is raised then.
        A NaN, +inf or nothing left to draw raises FloatingPointError naming row and site; the session
        must be restored or reset after it."""

    def reset(self, rows: Array) -> None:
        """int64 (M,): these rows see the border again, as before the first site."""

    def select(self, rows: Array) -> None:
        """int64 (M,): keeps these rows of the batch, in this order (repeats allowed); options too.
        Bound arrays are released."""

    def state(self) -> bytes: ...
    def restore(self, state: bytes) -> None: ...
    @property
    def batch(self) -> int: ...
    @property
    def position(self) -> int:
        """Sites finished since the session was made."""

    @property
    def scratch_bytes(self) -> int: ...

# ---- for tests and benchmarks
def vector_function(name: str, isa: str, x: Array, out: Array) -> None:
    """name: "exp", "tanh", "sigmoid", "log"; float32 (n,)."""

def fma_peak(isa: str, threads: int, seconds: float) -> float:
    """Multiply-adds a second."""

def read_bandwidth(num_bytes: int, threads: int, seconds: float) -> float:
    """Bytes a second over a working set of `num_bytes` a thread."""
