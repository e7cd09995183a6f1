"""The README's table of one-pass models: unlike figures, a line each, so it is laid out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Summary = dict[str, Any]


def _bits(s: Summary) -> tuple[str, str]:
    return spread(s["bits"], "{:.3f}"), f"{s['independent_bits']['mean']:.3f}, independent pixels"


def _error(s: Summary) -> tuple[str, str]:
    return spread(s["error"], "{:.4f}"), f"{s['pca_error']['mean']:.4f}, principal components"


def _recognised(s: Summary) -> tuple[str, str]:
    return spread(s["recognised"], "{:.1%}"), f"{s['recognised_held_out']['mean']:.1%}, real digits"


def _frechet(s: Summary) -> tuple[str, str]:
    real, gaussian = (s[f"frechet_{name}"]["mean"] for name in ("real", "gaussian"))
    return (
        spread(s["frechet"], "{:.1f}"),
        f"{real:.1f}, real to real; {gaussian:.1f}, a Gaussian of the pixels",
    )


def _modes(s: Summary) -> tuple[str, str]:
    covered, modes = int(s["covered"]["low"]), int(s["modes"]["low"])
    return f"**{covered}** of {modes}", f"{s['high_quality']['mean']:.1%} of the samples near one"


#: Row of the results, what it is, what was measured, and how that reads.
LINES: list[tuple[str, str, str, Callable[[Summary], tuple[str, str]]]] = [
    ("vae", "VAE", "held-out bits a pixel, at most", _bits),
    ("vae", "VAE", "squared error of what is restored", _error),
    ("autoencoder", "Autoencoder", "squared error of what is restored", _error),
    ("vae labels", "VAE under labels", "held-out bits a pixel, at most", _bits),
    ("vae labels", "VAE under labels", "samples recognised as their class", _recognised),
    ("gan labels", "DCGAN under labels", "samples recognised as their class", _recognised),
    ("gan", "DCGAN", "Fréchet distance to real digits", _frechet),
    ("toy", "GAN, eight Gaussians", "modes that have samples", _modes),
]


def spread(figure: dict[str, float], form: str) -> str:
    """Mean, and the lowest and highest run."""
    mean, low, high = (form.format(figure[name]) for name in ("mean", "low", "high"))
    return f"**{mean}** ({low} to {high})"


def table(results: dict[str, Any]) -> str:
    """The Markdown table of the rows that are finished; nothing of none."""
    lines = []
    for row, model, measure, cells in LINES:
        summary = results["rows"].get(row, {}).get("summary")
        if summary is not None:
            lines.append(f"| {' | '.join((model, measure, *cells(summary)))} |")
    if not lines:
        return ""
    return "\n".join(["| model | figure | genfast | beside it |", "|---|---|---|---|", *lines])
