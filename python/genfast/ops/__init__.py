"""Operators of training, compiled forward and backward; each has a reference beside it."""

from genfast.ops.masked_conv2d import masked_conv2d, masked_conv2d_reference
from genfast.ops.reparameterize import reparameterize, reparameterize_reference

__all__ = [
    "masked_conv2d",
    "masked_conv2d_reference",
    "reparameterize",
    "reparameterize_reference",
]
