"""Fills the README's tables from the committed results: `python -m bench.render [--check]`.

A table stands between `<!-- bench:recurrent -->` and `<!-- /bench -->`; what was there is replaced.
With `--check` nothing is written, and the exit status says whether the README is up to date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bench.task import Task

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"

HEADER = (
    "| model | batch | genfast, us | as users write it | same algebra | floor, us | FMA peak |",
    "|---|--:|--:|---|---|--:|--:|",
)


def table(results: dict[str, Any]) -> str:
    """The Markdown table of `recurrent.json`, with the machine below it."""
    lines = [*HEADER, *(_line(row) for row in results["rows"].values())]
    return "\n".join([*lines, "", _machine(results["machine"])])


def _line(row: dict[str, Any]) -> str:
    task, s = Task(**row["task"]), row["summary"]
    rivals = " | ".join(_rival(s[kind]) for kind in ("as_written", "same_algebra"))
    return (
        f"| {task.cell.upper()} {task.depth}x{task.width} | {task.batch} | {_number(s['us'])} "
        f"| {rivals} | {_number(s['floor_us'])} | {s['share_of_peak']:.0%} |"
    )


def _rival(rival: dict[str, Any]) -> str:
    engine = rival["who"].split(",")[0]
    return f"**{rival['ratio']:.2f}x** ({_number(rival['us'])}, {engine})"


def _number(us: float) -> str:
    """Three digits are all that a measurement says."""
    return f"{us:.1f}" if us < 100 else f"{us:,.0f}"


def _machine(facts: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {facts['versions'][name]}" for name in ("torch", "onnxruntime"))
    caches = ", ".join(f"{level} {size}" for level, size in facts["caches"].items())
    return (
        f"Microseconds a site on {facts['cpu']}, {facts['usable_cores']} cores, {caches}; "
        f"{versions}; float32, 65 symbols, temperature 1. A site is the step, the readout, the "
        "draw and the symbol fed back, for the whole batch. A ratio is the time of the fastest "
        "rival, in brackets, over ours, each at its better number of threads. The floor is the "
        "larger of multiply-adds over the measured FMA peak and bytes over the measured bandwidth "
        "of the cache that holds them."
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


def main() -> None:
    readme = ROOT / "README.md"
    results = json.loads((RESULTS / "recurrent.json").read_text(encoding="utf-8"))
    old = readme.read_text(encoding="utf-8")
    new = fill(old, "recurrent", table(results))
    if "--check" in sys.argv[1:]:
        sys.exit(int(new != old))
    readme.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
