"""Export: a model's program as ONNX graphs that hold its whole sampler.

::

    program -> place (terms, epilogues) -> site --------------> sampler, step ---------.
                             |             words, prompt, heads                  verify -> folders
                             '-----------> row, column -> rows -> raster, raster_step -'

`heads` has a file each: `categorical`, `mixture`. Models whose samples take one pass go their own
way; see `one_pass`.

Nothing here imports onnx or onnxruntime before `export` is called; `sampler`, `step` and what they
are made of do.
"""

from __future__ import annotations

from genfast.exporting.exporter import export
from genfast.exporting.report import Report

__all__ = ["Report", "export"]
