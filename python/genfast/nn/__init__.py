"""Layers that see only what is drawn already, and networks of models that draw in one pass."""

from genfast.nn.batch_norm import BatchNorm1d, BatchNorm2d
from genfast.nn.conditioning import Conditioning
from genfast.nn.convolutional import ConvolutionalDecoder, ConvolutionalEncoder
from genfast.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from genfast.nn.gated import GatedBlock, gate
from genfast.nn.masked_conv import MaskedConv2d
from genfast.nn.masks import causal_mask, group_sizes
from genfast.nn.perceptron import Perceptron
from genfast.nn.residual import ResidualBlock
from genfast.nn.vertical_conv import VerticalConv2d

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "Conditioning",
    "ConvolutionalDecoder",
    "ConvolutionalEncoder",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "GatedBlock",
    "MaskedConv2d",
    "Perceptron",
    "ResidualBlock",
    "VerticalConv2d",
    "causal_mask",
    "gate",
    "group_sizes",
]
