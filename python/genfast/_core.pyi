"""The compiled core. An Array is anything with `__dlpack__` on the CPU (NumPy, torch).

Arrays are C-contiguous. Wrong dtypes, shapes and values raise ValueError naming the argument.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Array = Any

def build_info() -> dict[str, Any]:
    """version, compiler, isas (compiled), cuda (bool), cuda_architectures (list of str)."""

def isas() -> list[str]:
    """Instruction sets that this build has and this processor runs, narrowest first."""

def default_isa() -> str:
    """The widest, or `GENFAST_ISA`; ValueError where that one cannot run here."""

def cuda_devices() -> list[str]: ...
def uniforms(seeds: Array, indices: Array, first: Array, out: Array) -> None:
    """seeds, indices, first: int64 (N,). out: float32 (N, draws), filled."""

def fold(seed: int, tag: int, value: int) -> int: ...
def cuda_uniforms(seeds: Array, indices: Array, first: Array, out: Array, stream: int) -> None:
    """`uniforms` of arrays on one GPU; what is out of range there is not noticed.

    stream: a cudaStream_t as an integer.
    """

def _simulated_uniforms(seeds: Array, indices: Array, first: Array, out: Array) -> None:
    """For tests: the kernel of `cuda_uniforms` in plain loops, on the CPU."""

def weight_hash(arrays: Sequence[Array]) -> int:
    """64 bits over the bytes, dtypes, shapes and order of arrays."""

class Program:
    """The flat program. Methods check at once; errors name the instruction."""

    def __init__(self, order: str, rows: int, columns: int) -> None:
        """order: "sequence" (1 row, 0 columns: endless) or "raster"."""

    def buffer(self, name: str, width: int, kind: str, vocabulary: int) -> int:
        """Declares a buffer and returns its number. kind: "f32" or "sym"."""

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
        self, phase: str, targets: Sequence[int], head: str, ref: tuple[int, int, int]
    ) -> None:
        """head: "categorical" (one target) or "logistic_mixture" (the channels of a pixel)."""

    def finish(self) -> None:
        """Checks the whole: buffers written once, before they are read; no look at the future."""

    @property
    def weight_bytes(self) -> int: ...
    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one site of one row."""

class Executor:
    """A finished program with its weights packed for one instruction set ("": the default)."""

    def __init__(self, program: Program, isa: str = "") -> None: ...
    @property
    def isa(self) -> str: ...
    @property
    def packed_bytes(self) -> int: ...

class Session:
    """Kept buffers of a batch, and the position in the order.

    One thread at a time: concurrent use raises RuntimeError.
    """

    def __init__(self, executor: Executor, batch: int) -> None: ...
    def options(self, temperature: Array, top_k: Array, top_p: Array) -> None:
        """float32 (N,), int64 (N,) (0: off), float32 (N,) (1: off); copied.

        A program with a mixture refuses top_k and top_p.
        """

    def input(self, buffer: int, values: Array) -> None:
        """Values of an input known from the start: float32 (N, width) or int64 (N,); copied."""

    def bind(
        self,
        uniforms: Array,
        values: Array,
        forced: Array | None = None,
        scores: Array | None = None,
        log_probs: Array | None = None,
        inputs: Mapping[int, Array] = ...,
    ) -> None:
        """The arrays of a chunk of C sites, which the session keeps alive.

        A site has d draws of p parameters each, which own u uniforms and give v values; a
        categorical draw owns 1 and gives 1, a mixture of c channels owns 1 + c and gives c.
        uniforms float32 (N, C, u), values int64 (N, C, v), forced int64 (N, C, v) (-1: draw; all
        values of a draw or none), scores float32 (N, C, d, p), or (N, C, p) for one draw a site,
        log_probs float32 (N, C, d);
        inputs by buffer float32 (N, C, width), those known ahead of each row: of a raster, C must
        cover every row that is begun.
        """

    def advance(self, first: int, count: int, threads: int) -> int:
        """Runs `count` sites into columns first .. first + count of the bound arrays.

        Returns the sites finished. A signal's exception is raised with the session at its last
        finished site, in the order of sites; arrays may hold some of what follows, which will be
        drawn again, to the same bits. Scores that are NaN or +inf, or that leave nothing to draw,
        raise FloatingPointError naming row and site; the session must be restored or reset after.
        """

    def reset(self, rows: Array) -> None:
        """int64 (M,): these rows see the border again, as before the first site."""

    def select(self, rows: Array) -> None:
        """int64 (M,): keeps these rows, in this order, with their options; arrays are released."""

    def state(self) -> bytes: ...
    def restore(self, state: bytes) -> None: ...
    def _sabotage(self, columns: int, thread: int, microseconds: int) -> None:
        """For tests: rows of an image begin that many columns early; a thread sleeps each site."""

    def _poison(self) -> None:
        """For tests, before the first site: NaN wherever a kernel may write before it reads."""

    @property
    def batch(self) -> int: ...
    @property
    def position(self) -> int:
        """Sites finished since the session was made."""

    @property
    def scratch_bytes(self) -> int: ...

class RaceError(RuntimeError):
    """A simulated GPU read what was not written yet, or what two blocks wrote."""

class CudaExecutor:
    """A finished program with its weights packed for one GPU.

    RuntimeError in a build without CUDA; ValueError without such a GPU, for one older than sm_80,
    and for a program that does not fit.
    """

    def __init__(self, program: Program, precision: str = "float32", device: int = 0) -> None:
        """precision: "float32" or "bfloat16", of the weights of products."""

    def plan(self, batch: int) -> dict[str, Any]:
        """What runs where: "blocks" of a machine, "grid" (bool), "machines", "rows" of each,
        "lanes" and "skew" of an image, "barriers" of a tick, "barrier_steps", "streams" (bool:
        weights stay in device memory), "image_bytes", "resident_bytes" and "chip_bytes" of a block,
        "listing" (str)."""

class SimulatedExecutor(CudaExecutor):
    """The same on a host, for tests: sessions of it watch every access and raise RaceError."""

    def __init__(
        self,
        program: Program,
        precision: str = "float32",
        cluster: int = 16,
        blocks: int = 132,
        shared_bytes: int = 232448,
        seed: int = 0,
    ) -> None:
        """The limits of the GPU; seed: of the order in which its threads take turns."""

    def _sabotage(self, step: int) -> None:
        """The barrier before this step is left out of plans made from now on; -1: none."""

class CudaSession:
    """What `Session` is, on a GPU. Bound arrays lie there, of a simulated one on the CPU; all else
    comes from the CPU. An image is drawn whole by one advance."""

    def __init__(self, executor: CudaExecutor, batch: int) -> None: ...
    def options(self, temperature: Array, top_k: Array, top_p: Array) -> None: ...
    def input(self, buffer: int, values: Array) -> None: ...
    def bind(
        self,
        uniforms: Array,
        values: Array,
        forced: Array | None = None,
        scores: Array | None = None,
        log_probs: Array | None = None,
        inputs: Mapping[int, Array] = ...,
    ) -> None: ...
    def advance(self, first: int, count: int, stream: int = 0) -> int:
        """stream: a cudaStream_t as an integer. Waits for the draw, unless it is being captured."""

    def reset(self, rows: Array) -> None: ...
    def select(self, rows: Array) -> None: ...
    def state(self) -> bytes: ...
    def restore(self, state: bytes) -> None: ...
    def plan(self) -> dict[str, Any]: ...
    @property
    def batch(self) -> int: ...
    @property
    def position(self) -> int: ...

def masked_conv2d(
    input: Array,
    weight: Array,
    bias: Array | None,
    mask: Array | None,
    above: int,
    left: int,
    output: Array,
    threads: int,
    isa: str = "",
) -> None:
    """A convolution over live taps, 0 outside the image.

    input float32 (N, H, W, in), weight (out, in, rows, columns), bias (out,), mask (out or 1, in or
    1, rows, columns), 0 where a weight is dead; above, left: rows and columns from the first tap to
    the pixel. output (N, H, W, out) is filled.
    """

def masked_conv2d_backward(
    grad: Array,
    input: Array,
    weight: Array,
    mask: Array | None,
    above: int,
    left: int,
    by_input: Array | None,
    by_weight: Array | None,
    by_bias: Array | None,
    threads: int,
    isa: str = "",
) -> None:
    """grad (N, H, W, out) by the output; those of the three gradients that are not None are filled,
    in the layouts of input, weight and bias."""

def reparameterize(
    mean: Array,
    logvar: Array,
    seed: int,
    index: int,
    z: Array,
    kl: Array,
    threads: int,
    isa: str = "",
) -> None:
    """z = mean + exp(logvar / 2) eps and the divergence of each row from N(0, 1) are filled.

    mean, logvar, z (N, latent) of one of the four dtypes of real numbers; kl (N,), float64 beside
    float64, else float32. Rows of mean and logvar may lie any distance apart. A NaN or an infinity
    raises FloatingPointError naming row and column.
    """

def reparameterize_backward(
    grad_z: Array | None,
    grad_kl: Array | None,
    mean: Array,
    logvar: Array,
    seed: int,
    index: int,
    by_mean: Array,
    by_logvar: Array,
    threads: int,
    isa: str = "",
) -> None:
    """grad_z (N, latent), grad_kl (N,), None for zeros; by_mean and by_logvar are filled."""

def cuda_reparameterize_parts(columns: int, item_bytes: int) -> int:
    """Parts that a row of so many values of so many bytes is cut into."""

def cuda_reparameterize(
    mean: Array,
    logvar: Array,
    seed: int,
    index: int,
    z: Array,
    kl: Array,
    parts: Array,
    stream: int,
) -> None:
    """`reparameterize` of float32, float16 or bfloat16 on one GPU; kl is float32.

    parts: float32 (N, cuda_reparameterize_parts(latent, bytes of a value)), scratch. What is not
    finite raises nothing, and makes the divergence of its row NaN or infinite.
    """

def cuda_reparameterize_backward(
    grad_z: Array | None,
    grad_kl: Array | None,
    mean: Array,
    logvar: Array,
    seed: int,
    index: int,
    by_mean: Array,
    by_logvar: Array,
    stream: int,
) -> None: ...
def _simulated_reparameterize(
    mean: Array,
    logvar: Array,
    seed: int,
    index: int,
    z: Array,
    kl: Array,
    parts: Array,
    blocks: int,
) -> None:
    """For tests: the kernels of `cuda_reparameterize` in plain loops, on the CPU."""

def _simulated_reparameterize_backward(
    grad_z: Array | None,
    grad_kl: Array | None,
    mean: Array,
    logvar: Array,
    seed: int,
    index: int,
    by_mean: Array,
    by_logvar: Array,
    blocks: int,
) -> None: ...
def normals(
    seeds: Array,
    indices: Array,
    mass: Array | None,
    out: Array,
    threads: int,
    isa: str = "",
) -> None:
    """seeds, indices: int64 (N,); mass: float32 (N,), the share of the plane that is drawn from,
    or None for all of it. out: float32 (N, draws), filled."""

def vector_function(name: str, isa: str, x: Array, out: Array) -> None:
    """name: "exp", "tanh", "sigmoid", "log"; float32 (n,)."""

def fma_peak(isa: str, threads: int, seconds: float) -> float:
    """Multiply-adds a second, of all threads together."""

def read_bandwidth(num_bytes: int, threads: int, seconds: float) -> float:
    """Bytes a second, of all threads together, each reading `num_bytes` of its own."""

def add_bandwidth(num_bytes: int, threads: int, seconds: float) -> float:
    """Bytes a second, of all threads together, each adding two arrays into a third, of `num_bytes`
    together."""
