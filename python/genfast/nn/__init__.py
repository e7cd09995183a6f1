"""Layers that see only what is drawn already: masked and gated convolutions."""

from genfast.nn.conditioning import Conditioning
from genfast.nn.gated import GatedBlock, gate
from genfast.nn.masked_conv import MaskedConv2d
from genfast.nn.masks import causal_mask, group_sizes
from genfast.nn.residual import ResidualBlock
from genfast.nn.vertical_conv import VerticalConv2d

__all__ = [
    "Conditioning",
    "GatedBlock",
    "MaskedConv2d",
    "ResidualBlock",
    "VerticalConv2d",
    "causal_mask",
    "gate",
    "group_sizes",
]
