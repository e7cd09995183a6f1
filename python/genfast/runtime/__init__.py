"""Draws from an exported sampler with NumPy and ONNX Runtime alone: no PyTorch, no compiled core.

::

    name/config.json, 1/model.onnx      Sampler.sample: the whole draw in one run
    name_step/...                       Sampler.stream: one run a site, or a row of an image
    name_decoder/..., name_encoder/...  Decoder, Encoder: latents to samples and back

Files are read, checked against their limits and hashes, and given to ONNX Runtime; nothing in them
is executed by Python.
"""

from __future__ import annotations

from genfast.runtime.one_pass import Decoder, Encoder
from genfast.runtime.sampler import Drawn, Sampler
from genfast.runtime.uniforms import uniforms

__all__ = ["Decoder", "Drawn", "Encoder", "Sampler", "uniforms"]
