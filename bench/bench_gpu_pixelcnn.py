"""What does a batch of images cost on a GPU, in forward passes of the same batch?

The yardstick is the fastest forward pass: eager or compiled, NCHW or channels_last, masks applied
once, dead rows cropped or not, as a CUDA graph. Against it stand the compiled draw; naive drawing,
a site a CUDA graph (a few are made, the time is scaled); and the cached drawer in PyTorch, a whole
image a CUDA graph, eager and compiled. float32 without TF32, and bfloat16. All that draw images
draw the same ones from the same uniforms, but where rounding crosses an edge between two levels.

    python -m bench.bench_gpu_pixelcnn            all rows
    python -m bench.bench_gpu_pixelcnn --quick    two small rows
    ... --budget 100                              no row begins after 100 seconds
    ... --device cpu --quick --no-compile         rivals on the processor; nothing of a GPU
"""

from __future__ import annotations

import copy
import statistics
from dataclasses import dataclass

import torch
from torch import Tensor

from bench import gpu_side
from bench.gpu_images import cached_draw, naive_draw, pass_over
from bench.gpu_runner import Bench, Everybody, Row, Setting, described, run
from bench.image_edges import EDGE, differing, distances_from_edges
from bench.image_forwards import LAYOUTS, Forward, forwards
from bench.image_race import fastest, finalists, race
from bench.image_rows import SCORES_APART
from bench.image_task import CACHED, FORWARD, NAIVE, OURS, Contender, ImageTask
from genfast import PixelCNN

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
#: Images whose first differing draw is judged by the float64 network.
JUDGED = 32
#: In bfloat16: as often the gap between that dtype's own edges and float64's.
BFLOAT16_GAPS = 8
#: Scores of a pass in bfloat16, as a share of the largest.
BFLOAT16_APART = 0.1


@dataclass(frozen=True)
class GpuImages:
    """A row: images of the PixelCNN benchmark, in a precision."""

    task: ImageTask
    precision: str = "float32"

    @property
    def name(self) -> str:
        return f"{self.task.name} {self.precision}"


BATCHES, SIZE = (1, 64, 1024, 16), 28
TASKS = [
    *(GpuImages(ImageTask("masked", 64, 1, SIZE, n)) for n in BATCHES),
    *(GpuImages(ImageTask("masked", 64, 1, SIZE, n), "bfloat16") for n in BATCHES),
    *(GpuImages(ImageTask("gated", 32, 1, SIZE, n)) for n in BATCHES),
]
QUICK = [
    GpuImages(ImageTask("masked", 8, 1, 6, 2, depth=2)),
    GpuImages(ImageTask("gated", 8, 1, 5, 2, depth=2), "bfloat16"),
]


class Judge:
    """Holds images against the first ones, and passes against the first pass.

    Args:
        row: What is drawn.
        model: On the device, float32, its weights exact in the row's precision.
        uniforms: float32 (N, sites, channels).
    """

    def __init__(self, row: GpuImages, model: PixelCNN, uniforms: Tensor) -> None:
        self._row, self._model, self._uniforms = row, model, uniforms
        self._first: dict[str, Tensor] = {}

    def check(self, contender: Contender, made: Tensor) -> Row:
        """AssertionError where rounding does not explain what was made."""
        kind = FORWARD if contender.kind == FORWARD else OURS
        made = made.clone()  # a graph writes into the same memory again
        first = self._first.setdefault(kind, made)
        if kind == FORWARD:
            apart = float((made - first).abs().max() / first.abs().max())
            limit = SCORES_APART if self._row.precision == "float32" else BFLOAT16_APART
            assert apart <= limit, f"{contender.key}: scores are {apart:.1e} off"
            return {"apart": apart}
        others = differing(made, first)
        judged = others[:JUDGED]
        far = 0.0
        if judged:
            far = max(distances_from_edges(self._model, made, first, self._uniforms, judged))
            limit = self._edge(first)
            assert far <= limit, (
                f"{contender.key}: image {judged[0]} or another differs {far:.1e} from an edge"
            )
        alike = 1 - len(others) / len(first)
        return {"equal_samples": round(alike, 6), "judged": len(judged), "farthest": far}

    def _edge(self, ours: Tensor) -> float:
        """Farthest from an edge that rounding explains."""
        if self._row.precision == "float32":
            return EDGE
        levels = ours[:JUDGED].mT.reshape(-1, *self._model.shape)
        narrow, exact = (copy.deepcopy(self._model).to(t) for t in (torch.bfloat16, torch.float64))
        with torch.inference_mode():
            edges = [m(levels).double().softmax(-1).cumsum(-1) for m in (narrow, exact)]
        return EDGE + BFLOAT16_GAPS * float((edges[0] - edges[1]).abs().max())


def make_model(row: GpuImages, device: torch.device) -> PixelCNN:
    """Its model, with weights that the row's precision holds exactly."""
    model = row.task.model().to(DTYPES[row.precision]).float()
    return model.to(device)


def measure(row: GpuImages, setting: Setting) -> Row:
    """Enters everybody, times them in turns, and returns the row for the results file."""
    model = make_model(row, setting.device)
    uniforms = row.task.uniforms().to(setting.device)
    everybody = Everybody(setting, Judge(row, model, uniforms).check)
    on_cpu = copy.deepcopy(model).cpu()
    made = gpu_side.executor(on_cpu, setting.side, row.precision)
    everybody.enter(OURS, lambda: gpu_side.contender(made, uniforms, images=True))
    narrow = copy.deepcopy(model).to(DTYPES[row.precision])
    enter_rivals(everybody, row, on_cpu, narrow, uniforms)
    race(finalists(everybody.entries), (), setting.effort)
    return {
        "task": described(row),
        "plan": gpu_side.plan(made, row.task.batch),
        "contenders": everybody.described(),
        "left_out": everybody.left_out,
        "summary": summary(row, everybody),
    }


def enter_rivals(
    everybody: Everybody, row: GpuImages, on_cpu: PixelCNN, narrow: PixelCNN, uniforms: Tensor
) -> None:
    """The passes, the naive draw by the fastest of them, and the cached drawer."""
    setting, dtype = everybody.setting, DTYPES[row.precision]
    forms = dict(forwards(on_cpu, setting.device, dtype, setting.compiled))
    with torch.inference_mode():  # as in the naive draw: else torch compiles for both
        encoded = narrow.encode(row.task.images().to(setting.device))
    enter_passes(everybody, forms, encoded)
    for form, forward in fastest_passes(everybody, forms):
        passing = form, forward
        everybody.enter(f"{NAIVE} | {form}", lambda p=passing: naive_draw(narrow, p, uniforms))
    program = on_cpu.program().optimized()
    for compiled in (False, True) if setting.compiled else (False,):
        everybody.enter(
            f"{CACHED} | {'compiled' if compiled else 'eager'}",
            lambda c=compiled: cached_draw(program, row.task, uniforms, dtype, c),
        )


def enter_passes(everybody: Everybody, forms: dict[str, Forward], encoded: Tensor) -> None:
    """Eager in every form; compiled, of each layout, the weights that were faster eager."""
    for form in (f for f in forms if f.startswith("eager")):
        _enter_pass(everybody, form, forms[form], encoded)
    for layout in LAYOUTS:
        best = fastest(everybody.entries, FORWARD, f" {layout}").contender.form.split(",")[0]
        form = best.replace("eager", "compiled")
        if form in forms:
            _enter_pass(everybody, form, forms[form], encoded)


def _enter_pass(everybody: Everybody, form: str, forward: Forward, encoded: Tensor) -> None:
    """As users call it, and as a graph."""
    for graph in (False, True):
        name = f"{FORWARD} | {form}{', a graph' if graph else ''}"
        everybody.enter(name, lambda g=graph: pass_over(form, forward, encoded, g))


def fastest_passes(everybody: Everybody, forms: dict[str, Forward]) -> list[tuple[str, Forward]]:
    """The fastest eager pass and the fastest compiled one, where there are any."""
    found = []
    for how in ("eager", "compiled"):
        if any(e.contender.kind == FORWARD and how in e.contender.form for e in everybody.entries):
            form = fastest(everybody.entries, FORWARD, how).contender.form.split(",")[0]
            found.append((form, forms[form]))
    return found


def summary(row: GpuImages, everybody: Everybody) -> Row:
    """The draw in forward passes, and rivals over it."""

    def ms(kind: str) -> float:
        return 1e3 * statistics.median(fastest(everybody.entries, kind).seconds)

    kinds = {e.contender.kind for e in everybody.entries}
    ours, found = ms(OURS), {"ms": round(ms(OURS), 4)}
    alike = [f["equal_samples"] for f in everybody.facts.values() if "equal_samples" in f]
    found["equal_samples"] = min(alike)
    if FORWARD in kinds:
        found["forward_ms"] = round(ms(FORWARD), 4)
        found["forward_form"] = fastest(everybody.entries, FORWARD).contender.form
        found["forwards"] = round(ours / ms(FORWARD), 3)
    for name, kind in (("naive", NAIVE), ("cached", CACHED)):
        if kind in kinds:
            found[f"{name}_ratio"] = round(ms(kind) / ours, 2)
    return found | {"us_per_pixel": round(1e3 * ours / row.task.side**2, 3)}


def line(s: Row) -> str:
    """One row on the terminal."""
    rivals = ", ".join(
        f"{name} {s[f'{name}_ratio']:.1f}x" for name in ("naive", "cached") if f"{name}_ratio" in s
    )
    passes = f" = {s['forwards']:.2f} forwards ({s['forward_form']})" if "forwards" in s else ""
    return f"{s['ms']:9.2f} ms{passes}; {rivals}; {s['equal_samples']:.2%} of images equal"


if __name__ == "__main__":
    run(Bench("gpu-pixelcnn", __doc__, TASKS, QUICK, measure, line))
