"""The picture of one image against its side: time of a pixel, and scratch."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

Summaries = dict[int, dict[str, Any]]
_COLOURS = {"masked": "#d9480f", "gated": "#5b7db1"}


def sides(measured: dict[str, Any]) -> dict[str, Summaries]:
    """By the name of a model its summaries by side, ascending; rows without rivals only."""
    found: dict[str, Summaries] = {}
    for row in measured["rows"].values():
        if "naive_ratio" not in row["summary"]:
            name = f"{row['task']['variant']} {row['task']['width']}"
            found.setdefault(name, {})[row["task"]["side"]] = row["summary"]
    return {name: dict(sorted(rows.items())) for name, rows in found.items()}


def picture(measured: dict[str, Any]) -> plt.Figure:
    """Two panels, a line a model: genfast's, and dashed what it is held against."""
    mpl.rcParams["font.size"] = 9
    figure, (time, scratch) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name, rows in sides(measured).items():
        colour, x = _COLOURS[name.split()[0]], list(rows)
        ours = [s["us_per_pixel"] for s in rows.values()]
        passes = [s["us_per_pixel"] / s["forwards"] for s in rows.values()]
        time.plot(x, ours, color=colour, marker="D", ms=4, label=f"{name}, drawn")
        time.plot(x, passes, color=colour, ls="--", lw=1, label=f"{name}, one forward pass")
        kept, held = ([s[key] / 2**20 for s in rows.values()] for key in _BYTES)
        scratch.plot(x, kept, color=colour, marker="D", ms=4, label=f"{name}, scratch of the draw")
        scratch.plot(x, held, color=colour, ls="--", lw=1, label=f"{name}, every feature map")
    _finish(time, "microseconds a pixel", "Time of a pixel")
    _finish(scratch, "MiB", "Memory")
    time.set_ylim(bottom=0)
    scratch.set_yscale("log")
    return figure


_BYTES = ("scratch_bytes", "every_feature_map_bytes")


def _finish(axis: Axes, unit: str, title: str) -> None:
    axis.set_xscale("log", base=2)
    ticks = sorted({x for line in axis.lines for x in line.get_xdata()})
    axis.set_xticks(ticks, [f"{side:g}" for side in ticks])
    axis.set_xlabel("side of the image, pixels; batch 1")
    axis.set_ylabel(unit)
    axis.set_title(title, loc="left", fontweight="bold")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="#f1f3f5")
    axis.legend(frameon=False, fontsize=7)
