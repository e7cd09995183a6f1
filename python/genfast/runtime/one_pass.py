"""Draws, decoders and encoders of models whose samples take one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genfast.runtime.engine import Provider
from genfast.runtime.folder import Exported, read_exported
from genfast.runtime.images import conditions
from genfast.runtime.opening import open_graph
from genfast.runtime.rows import Rows, radii

__all__ = ["Decoder", "Encoder", "draw_one_pass"]

Floats = NDArray[np.float32]

# Rows that run at a time, so that feature maps take bounded memory.
_CHUNK = 256


def draw_one_pass(
    session: Any, exported: Exported, rows: Rows, truncation: Any, told: dict[str, Any]
) -> Floats:
    """Samples, float32 (N, *shape).

    Args:
        session: Of the sampler's graph.
        exported: What is drawn from.
        rows: Options of every row.
        truncation: Radius of the circle of each pair of latents, for all or (N,); None for none.
        told: Conditions, None where they are not given.
    """
    n = len(rows.seed)
    fed = {name: getattr(rows, name)[:, None] for name in ("seed", "index", "temperature")}
    fed |= conditions(exported, n, **told) | {"truncation": radii(truncation, n)[:, None]}
    shape = exported.shape or ()
    return _run(session, {name: fed[name] for name in exported.inputs}, {"values": shape})["values"]


class _Part:
    """A graph that is run as it is, in ONNX Runtime.

    Args:
        path: The folder that `genfast.export` wrote beside the sampler's.
        device: "cpu", or "cuda", which raises unless ONNX Runtime's CUDA provider really runs.
        providers: ONNX Runtime's list of providers, in place of the device's; each must run.
        threads: Of one operator; ONNX Runtime's choice when None.

    Raises:
        ImportError: onnxruntime is not installed.
        OSError: A file is missing or cannot be read.
        ValueError: The folder is no such export, model.onnx was changed after export, or a
            provider does not run; one line says what.
    """

    _GRAPH = ""

    def __init__(
        self,
        path: str | Path,
        *,
        device: str = "cpu",
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
    ) -> None:
        self._exported = read_exported(path)
        if self._exported.graph != self._GRAPH:
            raise ValueError(
                f"{type(self).__name__}: the graph of {path} must be {self._GRAPH}, "
                f"got {self._exported.graph}"
            )
        self._session = open_graph(self._exported, device, providers, threads)

    @property
    def latent(self) -> int:
        """L, width of a latent."""
        return self._exported.latent or 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return self._exported.shape or ()

    @property
    def levels(self) -> int | None:
        """Values of an element of the data; None for real numbers."""
        return self._exported.classes or None

    def _fed(self, name: str, value: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        """The input as an array (N, *shape) of finite numbers."""
        found = np.asarray(value)
        if found.dtype.kind not in "iuf" or found.shape[1:] != shape or found.ndim <= len(shape):
            sides = ", ".join(("N", *map(str, shape)))
            raise ValueError(
                f"{type(self).__name__}: {name} must be numbers ({sides}), "
                f"got {found.dtype} {found.shape}"
            )
        wrong = ~np.isfinite(found)
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise ValueError(
                f"{type(self).__name__}: {name} must be finite, got {found[place]} at {place}"
            )
        return found

    def _given(self, name: str, value: NDArray[Any], classes: Any) -> dict[str, NDArray[Any]]:
        told = {"classes": classes, "vector": None, "features": None}
        return {name: value.astype(np.float32), **conditions(self._exported, len(value), **told)}


class Decoder(_Part):
    """Latents to samples, of a folder `NAME_decoder`; made, and refused, as a `Sampler` is.

    Example:
        decoder = Decoder("digits_decoder")
        images = decoder(np.zeros((10, decoder.latent)), classes=np.arange(10))
    """

    _GRAPH = "decoder"

    def __call__(self, z: Any, classes: int | Any | None = None) -> Floats:
        """Samples, float32 (N, *shape): shares of the highest level, or real numbers.

        Args:
            z: Numbers (N, L).
            classes: Labels, one for all or (N,), where the model has classes.

        Raises:
            ValueError: An argument is wrong; the message names it, what was expected, what came.
        """
        fed = self._given("z", self._fed("z", z, (self.latent,)), classes)
        return _run(self._session, fed, {"values": self.shape})["values"]


class Encoder(_Part):
    """Samples to latents, of a folder `NAME_encoder`; made, and refused, as a `Sampler` is.

    Example:
        z = Encoder("digits_encoder")(images)["mean"]
    """

    _GRAPH = "encoder"

    def __call__(self, x: Any, classes: int | Any | None = None) -> dict[str, Floats]:
        """What the encoder says, each float32 (N, L): mean and logvar, or z.

        Args:
            x: (N, *shape): integers in [0, levels), or shares of the highest level in [0, 1]; real
                numbers where there are no levels.
            classes: Labels, one for all or (N,), where the model has classes.

        Raises:
            ValueError: An argument is wrong; the message names it, what was expected, what came.
        """
        found = self._fed("x", x, self.shape)
        whole = found.dtype.kind in "iu"
        most = 1 if self.levels is None or not whole else self.levels - 1
        if self.levels is not None and found.size and not 0 <= found.min() <= found.max() <= most:
            kind = "integers" if whole else "shares"
            raise ValueError(
                f"Encoder: x must be {kind} from 0 to {most}, got {found.min()} to {found.max()}"
            )
        fed = self._given("x", found / most, classes)
        shapes = dict.fromkeys(self._exported.outputs, (self.latent,))
        return _run(self._session, fed, shapes)


def _run(
    session: Any, fed: dict[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Floats]:
    """All outputs, some rows at a time."""
    n = len(next(iter(fed.values())))
    made = {name: np.zeros((n, *shape), np.float32) for name, shape in shapes.items()}
    for first in range(0, n, _CHUNK):
        rows = slice(first, first + _CHUNK)
        found = session.run(list(made), {name: value[rows] for name, value in fed.items()})
        for out, part in zip(made.values(), found, strict=True):
            out[rows] = part
    return made
