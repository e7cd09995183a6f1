"""Fills the README's tables from the committed results: `python -m bench.render [--check]`.

A table stands between `<!-- bench:recurrent -->` and `<!-- /bench -->`; what was there is replaced.
With `--check` nothing is written, and the exit status says whether the README is up to date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench import render_gpu, render_one_pass

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
KINDS = ("as_written", "same_algebra")
COMPARED = ("eager", "compiled")


@dataclass(frozen=True)
class Layout:
    """How the results of one benchmark become a table.

    Args:
        columns: heads of the columns behind model and batch, each with Markdown's alignment.
        cells: a row's summary as the texts of these columns.
        about: what stands behind the machine, below the table.
        name: a row's task as the name of its model.
        unit: what is counted.
        work: what is drawn, behind the machine.
        file: name of the results file, where it is not the table's own.
        shows: whether a row's summary belongs into this table.
    """

    columns: tuple[tuple[str, str], ...]
    cells: Callable[[dict[str, Any]], list[str]]
    about: str
    name: Callable[[dict[str, Any]], str]
    unit: str = "Microseconds a site"
    work: str = "65 symbols, temperature 1"
    file: str | None = None
    shows: Callable[[dict[str, Any]], bool] = lambda summary: True


def _recurrent(s: dict[str, Any]) -> list[str]:
    rivals = [_rival(s[kind]) for kind in KINDS]
    return [number(s["us"]), *rivals, number(s["floor_us"]), f"{s['share_of_peak']:.0%}"]


def _export(s: dict[str, Any]) -> list[str]:
    rivals = [_rival(s[kind]) for kind in KINDS]
    return [number(s["us"]), *rivals, number(s["seeded_us"]), number(s["core_us"])]


def _pixelcnn(s: dict[str, Any]) -> list[str]:
    return [
        f"{s['ms']:.1f}",
        f"**{s['forwards']:.2f}** ({s['forward_ms']:.1f}, {s['forward_form']})",
        *(f"{s[f'{rival}_ratio']:,.0f}x" for rival in ("naive", "cached")),
        f"{s['exported_ratio']:.1f}x",
        f"{s['share_of_peak']:.0%}",
    ]


def _sides(s: dict[str, Any]) -> list[str]:
    held, scratch = s["every_feature_map_bytes"], s["scratch_bytes"]
    return [
        number(s["us_per_pixel"]),
        number(s["us_per_pixel"] / s["forwards"]),
        f"{s['share_of_peak']:.0%}",
        f"{scratch / 1024:,.0f}",
        f"{held / 1024:,.0f}",
        f"**1/{held / scratch:,.0f}**",
    ]


def _bits(s: dict[str, Any]) -> list[str]:
    means = [
        f"**{side['mean']:.3f}** ({side['low']:.3f} to {side['high']:.3f})"
        for side in (s["genfast"], s["plain"])
    ]
    return [*means, f"{s['difference']:+.4f} ± {s['standard_error']:.4f}", str(s["plain"]["runs"])]


def _masked_conv(s: dict[str, Any]) -> list[str]:
    return [
        f"{s['us'] / 1e3:.1f}",
        f"**{s['ratio']:.2f}x** ({s['usual_us'] / 1e3:.1f})",
        f"{s['lead']:.2f}x ({s['best_us'] / 1e3:.1f}, {s['best']})",
        f"{s['alone_ratio']:.2f}x",
        f"{s['share_of_peak']:.0%}",
    ]


def _latents(s: dict[str, Any]) -> list[str]:
    cells = []
    for mode in ("forward", "with_backward"):
        found = s[mode]
        rivals = (f"**{found[r]['ratio']:.1f}x** ({number(found[r]['us'])})" for r in COMPARED)
        cells += [number(found["us"]), *rivals, f"{found['share_of_floor']:.0%}"]
    return cells


def _decoder(s: dict[str, Any]) -> list[str]:
    rivals = [_rival(s[kind]) for kind in ("eager", "compiled")]
    drawn = [number(s["seeded_us"]), number(s["sample_us"])]
    return [number(s["us"]), *rivals, f"{s['share_of_peak']:.0%}", *drawn]


def _layer_name(task: dict[str, Any]) -> str:
    return f"{task['channels']} channels, {task['k']}x{task['k']} {task['kind']}"


def _recurrent_name(task: dict[str, Any]) -> str:
    return f"{task['cell'].upper()} {task['depth']}x{task['width']}"


def _image_name(task: dict[str, Any]) -> str:
    kind = "grey" if task["channels"] == 1 else "RGB"
    return f"{task['variant']} {task['width']}, {task['side']}x{task['side']} {kind}"


LAYOUTS = {
    "recurrent": Layout(
        (
            ("genfast, us", "--:"),
            ("as users write it", "---"),
            ("same algebra", "---"),
            ("floor, us", "--:"),
            ("FMA peak", "--:"),
        ),
        _recurrent,
        "A site is the step, the readout, the draw and the symbol fed back, for the whole batch. A "
        "ratio is the time of the fastest rival, in brackets, over ours, each at its better number "
        "of threads. The floor is the larger of multiply-adds over the measured FMA peak and bytes "
        "over the measured bandwidth of the cache that holds them.",
        _recurrent_name,
    ),
    "export": Layout(
        (
            ("exported, us", "--:"),
            ("as users write it", "---"),
            ("same algebra", "---"),
            ("from a seed, us", "--:"),
            ("compiled core, us", "--:"),
        ),
        _export,
        "All but the last column run in ONNX Runtime, 200 sites a draw. A ratio is the time of the "
        "fastest hand-made graph, in brackets, over the exported sampler's, uniforms being given "
        "to both, each at its better number of threads. From a seed the exported sampler makes its "
        "uniforms itself.",
        _recurrent_name,
    ),
    "pixelcnn": Layout(
        (
            ("genfast, ms", "--:"),
            ("forward passes", "---"),
            ("naive", "--:"),
            ("cached PyTorch", "--:"),
            ("exported", "--:"),
            ("FMA peak", "--:"),
        ),
        _pixelcnn,
        "Forward passes are those of the same batch in the fastest form, in brackets, with masks "
        "applied once. Naive drawing reruns such a pass for every pixel (three are timed, and "
        "scaled); the cached drawer computes every feature once, eager or compiled; exported is "
        "the sampler in ONNX Runtime. All draw the same images.",
        _image_name,
        "Milliseconds for a whole batch",
        "grey images of 2 levels, RGB of 256, depth 15",
        shows=lambda s: "naive_ratio" in s,
    ),
    "pixelcnn_sides": Layout(
        (
            ("genfast, us", "--:"),
            ("forward pass, us", "--:"),
            ("FMA peak", "--:"),
            ("scratch, KiB", "--:"),
            ("every feature map, KiB", "--:"),
            ("scratch is", "--:"),
        ),
        _sides,
        "Every feature map is what all convolutions give for the whole image, as a drawer keeps it "
        "that caches whole images; scratch is all that the core keeps beside weights, uniforms and "
        "the image.",
        _image_name,
        "Microseconds a pixel",
        "grey images of 2 levels, depth 15",
        file="pixelcnn",
        shows=lambda s: "naive_ratio" not in s,
    ),
    "bits_per_dim": Layout(
        (
            ("genfast.fit", "---"),
            ("plain PyTorch", "---"),
            ("difference", "--:"),
            ("runs of each", "--:"),
        ),
        _bits,
        "Means, and the lowest and highest run. Pairs of runs begin with the same weights and see "
        "the images in orders of their own; the difference is the mean of the pairs with its "
        "standard error. Before, both networks gave the same log-probabilities on the same "
        "weights, and both loops the same losses on the same batches.",
        lambda task: f"{task['variant']} {task['width']}, depth {task['depth']}",
        "Held-out bits a pixel of scikit-learn's digits, trained",
        "17 levels, under labels",
    ),
    "masked_conv": Layout(
        (
            ("genfast, ms", "--:"),
            ("over the usual form", "---"),
            ("over the best plain form", "---"),
            ("each alone", "--:"),
            ("FMA peak", "--:"),
        ),
        _masked_conv,
        "The usual form is `conv2d(x, weight * mask)` in NCHW; plain forms crop, slice, gather or "
        "split the kernel, in NCHW and channels_last, the fastest compiled, too. In brackets are "
        "times; a ratio is the median of those of each round. Alone: each in a process of "
        "its own. The peak is of the live taps' multiply-adds.",
        _layer_name,
        "Milliseconds forward and backward",
        "images of 28x28",
    ),
    "reparameterize": Layout(
        (
            ("forward, us", "--:"),
            ("eager", "---"),
            ("compiled", "---"),
            ("of the floor", "--:"),
            ("with backward, us", "--:"),
            ("eager", "---"),
            ("compiled", "---"),
            ("of the floor", "--:"),
        ),
        _latents,
        "A ratio is the time of the usual lines in PyTorch, in brackets, over ours, each at its "
        "better number of threads, the median of those of each round. The floor is the bytes that "
        "must move over the bandwidth of c = a + b in the same run, on arrays as large.",
        lambda task: f"latents of {task['latent']}, {task['dtype']}",
        "Microseconds a call",
        "seeds that change at every call",
    ),
    "decoder": Layout(
        (
            ("exported, us", "--:"),
            ("PyTorch eager", "---"),
            ("torch.compile", "---"),
            ("FMA peak", "--:"),
            ("from a seed, us", "--:"),
            ("model.sample, us", "--:"),
        ),
        _decoder,
        "The exported decoder runs in ONNX Runtime. A ratio is the time of PyTorch, in brackets "
        "with its fastest form, over the exported decoder's, each at its better number of threads; "
        "PyTorch in inference mode, compiled for that very batch with its weights frozen. From a "
        "seed the exported sampler makes latents, too, as `model.sample` does. All give the same "
        "images.",
        lambda task: str(task["model"]),
        "Microseconds for a whole batch",
        "images of 28x28",
    ),
}

# The same rows on two other processors.
for _file in ("pixelcnn_avx512", "pixelcnn_avx2"):
    LAYOUTS[_file] = replace(LAYOUTS["pixelcnn"], file=_file)
    LAYOUTS[f"{_file}_sides"] = replace(LAYOUTS["pixelcnn_sides"], file=_file)


def table(name: str, results: dict[str, Any]) -> str:
    """The Markdown table of a benchmark's rows, with the machine below it; nothing of no rows."""
    layout = LAYOUTS[name]
    finished = (row for row in results["rows"].values() if "summary" in row)
    rows = [row for row in finished if layout.shows(row["summary"])]
    if not rows:
        return ""
    heads, rules = zip(("model", "---"), ("batch", "--:"), *layout.columns, strict=True)
    lines = [f"| {' | '.join(heads)} |", f"|{'|'.join(rules)}|"]
    lines += [_line(layout, row) for row in rows]
    return "\n".join([*lines, "", f"{_machine(layout, results['machine'])} {layout.about}"])


def _line(layout: Layout, row: dict[str, Any]) -> str:
    task = row["task"]
    cells = [layout.name(task), str(task["batch"]), *layout.cells(row["summary"])]
    return f"| {' | '.join(cells)} |"


def _rival(rival: dict[str, Any]) -> str:
    engine = rival["who"].split(",")[0]
    return f"**{rival['ratio']:.2f}x** ({number(rival['us'])}, {engine})"


def number(us: float) -> str:
    """Three digits are all that a measurement says."""
    return f"{us:.1f}" if us < 100 else f"{us:,.0f}"


def _machine(layout: Layout, facts: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {facts['versions'][name]}" for name in ("torch", "onnxruntime"))
    caches = ", ".join(f"{level} {size}" for level, size in facts["caches"].items())
    return (
        f"{layout.unit} on {facts['cpu']}, {facts['usable_cores']} cores, {caches}; "
        f"{versions}; float32, {layout.work}."
    )


def fill(text: str, name: str, content: str) -> str:
    """`text` with `content` between the marks of `name`.

    Raises:
        ValueError: The marks are missing, or stand in the wrong order.
    """
    begin, end = f"<!-- bench:{name} -->", "<!-- /bench -->"
    before, mark, rest = text.partition(begin)
    _, closing, after = rest.partition(end)
    if not mark or not closing:
        raise ValueError(f"fill: README must have {begin} and then {end}")
    return f"{before}{begin}\n{content}\n{end}{after}"


def results(name: str) -> dict[str, Any] | None:
    """The committed results behind a table; None where they were not measured yet."""
    file = LAYOUTS[name].file if name in LAYOUTS else None
    path = RESULTS / f"{file or name}.json"
    found: dict[str, Any] | None = None
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
    return found


#: What makes each of the README's tables of its results.
TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    **{name: partial(table, name) for name in LAYOUTS},
    "one_pass": render_one_pass.table,
}


def main() -> None:
    readme = ROOT / "README.md"
    new = old = readme.read_text(encoding="utf-8")
    for name, made in TABLES.items():
        measured = results(name)
        if measured is not None:
            new = fill(new, name, made(measured))
    new = fill(new, "gpu", render_gpu.section(RESULTS))
    if "--check" in sys.argv[1:]:
        sys.exit(int(new != old))
    readme.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
