"""What the README says of a GPU: tables of `gpu-*.json`, or that nothing was measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Summary = dict[str, Any]
NONE = "**None was measured: no kernel that draws has run on a GPU yet.**"


@dataclass(frozen=True)
class Layout:
    """How the rows of one results file become a table.

    Args:
        heads: Of the columns behind the row's name.
        cells: A row's summary as the texts of these columns.
        about: What stands below.
    """

    heads: tuple[str, ...]
    cells: Callable[[Summary], list[str]]
    about: str


def _rival(s: Summary, name: str) -> str:
    if name not in s:
        return "left out"
    rival = s[name]
    return f"**{rival['ratio']:.2f}x** ({_number(rival['us'])}, {rival['who']})"


def _recurrent(s: Summary) -> list[str]:
    rivals = [_rival(s, name) for name in ("as_written", "same_algebra")]
    return [_number(s["us"]), *rivals, f"{s['tflops']:.2f}", f"{s['equal_samples']:.2%}"]


def _pixelcnn(s: Summary) -> list[str]:
    ratios = [
        f"{s[f'{name}_ratio']:,.1f}x" if f"{name}_ratio" in s else "left out"
        for name in ("naive", "cached")
    ]
    passes = (
        f"**{s['forwards']:.2f}** ({s['forward_ms']:.2f}, {s['forward_form']})"
        if "forwards" in s
        else "left out"
    )
    return [f"{s['ms']:.2f}", passes, *ratios, f"{s['equal_samples']:.2%}"]


def _latents(s: Summary) -> list[str]:
    cells = []
    for mode in ("forward", "with_backward"):
        rivals = [_rival(s[mode], name) for name in ("eager", "compiled")]
        cells += [_number(s[mode]["us"]), *rivals, f"{s[mode]['share_of_floor']:.0%}"]
    return cells


def _machine(s: Summary) -> list[str]:
    return [", ".join(f"{name.replace('_', ' ')} {value}" for name, value in s.items())]


LAYOUTS = {
    "recurrent": Layout(
        ("genfast, us", "as users write it", "same algebra", "TFLOP/s", "equal samples"),
        _recurrent,
        "Microseconds a site of the whole batch. A ratio is the time of the fastest rival, in "
        "brackets, over ours; products in float32 are not TF32.",
    ),
    "pixelcnn": Layout(
        ("genfast, ms", "forward passes", "naive", "cached PyTorch", "equal samples"),
        _pixelcnn,
        "Milliseconds for a whole batch. Forward passes are those of the same batch in the fastest "
        "form, in brackets; rivals draw under CUDA graphs.",
    ),
    "reparameterize": Layout(
        (
            *("forward, us", "eager", "compiled", "of the floor"),
            *("with backward, us", "eager", "compiled", "of the floor"),
        ),
        _latents,
        "Microseconds a call. The floor is the bytes that must move over a copy's bandwidth.",
    ),
    "machine": Layout(("measured",), _machine, "Ceilings of the machine in the same run."),
}


def section(folder: Path) -> str:
    """All tables of the results in a folder, or the sentence that there are none."""
    tables = []
    for name, layout in LAYOUTS.items():
        path = folder / f"gpu-{name}.json"
        if path.exists():
            tables.append(_table(layout, json.loads(path.read_text(encoding="utf-8"))))
    return "\n\n".join(table for table in tables if table) or NONE


def _table(layout: Layout, results: dict[str, Any]) -> str:
    rows = {name: row for name, row in results["rows"].items() if "summary" in row}
    failed = [name for name, row in results["rows"].items() if "failed" in row]
    facts = results["machine"]
    if "capability" not in facts or not (rows or failed):
        return ""  # of a processor, which is no figure of a GPU
    heads = ("row", *layout.heads)
    lines = [f"| {' | '.join(heads)} |", f"|---|{'--:|' * len(layout.heads)}"]
    lines += [f"| {' | '.join([name, *_cells(layout, row)])} |" for name, row in rows.items()]
    machine = f"On {facts['gpu']}, CUDA {facts['cuda']}, torch {facts['versions']['torch']}."
    text = "\n".join([*lines, "", f"{layout.about} {machine}"])
    return text + (f" Not drawn as they must be: {', '.join(failed)}." if failed else "")


def _cells(layout: Layout, row: dict[str, Any]) -> list[str]:
    cells = layout.cells(row["summary"])
    if not row["compiled"]:
        cells[-1] += ", without torch.compile"
    return cells


def _number(us: float) -> str:
    return f"{us:.2f}" if us < 100 else f"{us:,.0f}"
