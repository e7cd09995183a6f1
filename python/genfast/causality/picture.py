"""The picture of a site's receptive field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from genfast.causality.report import Report

__all__ = ["KINDS", "picture"]

#: What a site can be to the one that looks, and its colour, in the order of `Report.classes`.
KINDS = (
    ("drawn later", "#ffffff"),
    ("not probed", "#f1f3f5"),
    ("out of reach", "#ced4da"),
    ("seen", "#5b7db1"),
    ("blind spot", "#f59f00"),
    ("the site", "#212529"),
    ("seen, but drawn later", "#e03131"),
)
_INCHES, _MARGIN = 5.0, 1.0


def picture(report: Report, site: int) -> Figure:
    """The sites as a grid of squares, coloured by what they are to `site`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    grid = np.atleast_2d(report.classes(site).reshape(report.order.sites))
    height, width = grid.shape
    scale = _INCHES / max(height, width)
    size = (max(scale * width, 3.5), scale * height + _MARGIN)
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = ListedColormap([colour for _, colour in KINDS])
    axes.pcolormesh(grid, cmap=colours, vmin=-0.5, vmax=len(KINDS) - 0.5, edgecolors="#dee2e6")
    axes.set(aspect="equal", xticks=[], yticks=[])
    axes.invert_yaxis()
    axes.set_title(f"{report.model}: what site {report.order.named(site)} sees", fontsize=10)
    counts = np.bincount(grid.reshape(-1), minlength=len(KINDS))
    patches = [
        Patch(facecolor=colour, edgecolor="#adb5bd", label=f"{name} ({count})")
        for (name, colour), count in zip(KINDS, counts, strict=True)
        if count
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure
