"""Draws the README's pictures from the committed results: `python -m bench.plot`.

Of images see `bench.plot_images`. Else one panel a cell and depth, one group of marks a width and
batch: microseconds a site of ours, of the fastest rival of each kind, and the floor or the compiled
core.
"""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bench import plot_images
from bench.render import KINDS, RESULTS, results
from bench.task import Task

# What a row's summary holds, its label, its colour and its mark.
Series = tuple[tuple[str, str, str, str], ...]
_RIVALS = (
    ("as_written", "fastest rival, as users write it", "#b0b7c3", "o"),
    ("same_algebra", "fastest rival, same algebra", "#5b7db1", "o"),
)
SERIES: dict[str, Series] = {
    "recurrent": (
        *_RIVALS,
        ("us", "genfast", "#d9480f", "D"),
        ("floor_us", "floor of this machine", "#343a40", "_"),
    ),
    "export": (
        *_RIVALS,
        ("us", "exported sampler", "#d9480f", "D"),
        ("seeded_us", "exported sampler, from a seed", "#f59f00", "d"),
        ("core_us", "compiled core", "#343a40", "_"),
    ),
}


def picture(name: str, measured: dict[str, Any]) -> plt.Figure:
    """The figure of a benchmark's results."""
    rows = [(Task(**row["task"]), row["summary"]) for row in measured["rows"].values()]
    kinds = sorted({(task.cell, task.depth) for task, _ in rows}, key=lambda k: (k[0] != "lstm", k))
    mpl.rcParams["font.size"] = 9
    figure, axes = plt.subplots(
        1, len(kinds), figsize=(11, 3.6), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (cell, depth) in zip(axes[0], kinds, strict=True):
        panel = [(t, s) for t, s in rows if (t.cell, t.depth) == (cell, depth)]
        _panel(axis, sorted(panel, key=lambda row: (row[0].width, row[0].batch)), SERIES[name])
        axis.set_title(f"{cell.upper()}, depth {depth}", loc="left", fontweight="bold")
    axes[0][0].set_ylabel("microseconds a site, whole batch")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _panel(axis: Axes, rows: list[tuple[Task, dict[str, Any]]], series: Series) -> None:
    for x, (_, summary) in enumerate(rows):
        slowest = max(summary[kind]["us"] for kind in KINDS)
        axis.plot([x, x], [summary["us"], slowest], color="#e9ecef", linewidth=4, zorder=0)
    for key, label, colour, mark in series:
        values = [s[key]["us"] if isinstance(s[key], dict) else s[key] for _, s in rows]
        axis.scatter(range(len(rows)), values, color=colour, marker=mark, s=26, label=label)
    axis.set_yscale("log")
    axis.set_xticks(range(len(rows)), [f"{task.batch}" for task, _ in rows], fontsize=7)
    for width in sorted({task.width for task, _ in rows}):
        places = [x for x, (task, _) in enumerate(rows) if task.width == width]
        middle = sum(places) / len(places)
        axis.text(
            middle, -0.15, f"width {width}", transform=axis.get_xaxis_transform(), ha="center"
        )
    axis.text(-0.02, -0.07, "batch", transform=axis.transAxes, ha="right", fontsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="#f1f3f5")
    axis.set_axisbelow(True)


def main() -> None:
    for name in SERIES:
        measured = results(name)
        if measured is not None:
            picture(name, measured).savefig(RESULTS / f"{name}.png", dpi=160)
    images = results("pixelcnn")
    if images is not None and plot_images.sides(images):
        plot_images.picture(images).savefig(RESULTS / "pixelcnn.png", dpi=160)


if __name__ == "__main__":
    main()
