"""The two networks of PixelCNN as layers of a raster program."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from genfast.models.pixelcnn.feature_maps import Convolution, FeatureMap
from genfast.models.pixelcnn.layers import Condition, Layer
from genfast.models.pixelcnn.networks import GatedNetwork, MaskedNetwork
from genfast.nn import Conditioning, GatedBlock, ResidualBlock, group_sizes
from genfast.program import Buffer

__all__ = ["network_layers"]


def network_layers(
    network: MaskedNetwork | GatedNetwork, pixels: FeatureMap, inputs: Mapping[str, Buffer]
) -> list[Layer]:
    """The layers of a network in order; the last gives the parameters of the head.

    Args:
        network: Its weights.
        pixels: What it sees of pixels.
        inputs: Buffers of the conditions, by name.
    """
    writer = _Writer(network, inputs)
    if isinstance(network, MaskedNetwork):
        features = writer.masked(network, pixels)
    else:
        features = writer.gated(network, pixels)
    mid = FeatureMap.named("mid", features.sizes)
    sizes = (network.parameters_of_part,) * network.parts
    convolutions = [(writer.convolution(network.mid), features)]
    writer.layers.append(Layer(mid, convolutions, epilogue="relu"))
    convolutions = [(writer.convolution(network.readout), mid)]
    writer.layers.append(Layer(FeatureMap.named("params", sizes), convolutions))
    return writer.layers


class _Writer:
    """Layers of a network, written one after the other.

    Args:
        network: Whose modules they come from.
        inputs: Buffers of the conditions, by name.
    """

    def __init__(self, network: MaskedNetwork | GatedNetwork, inputs: Mapping[str, Buffer]) -> None:
        self.layers: list[Layer] = []
        self._inputs = dict(inputs)
        self._groups = len(network.in_groups)
        self._paths = {id(part): f"network.{path}" for path, part in network.named_modules()}

    def convolution(self, layer: nn.Conv2d) -> Convolution:
        return Convolution.of(layer, self._paths[id(layer)])

    def condition(self, module: Conditioning) -> Condition:
        return Condition(module, self._paths[id(module)], self._inputs)

    def masked(self, network: MaskedNetwork, pixels: FeatureMap) -> FeatureMap:
        """What the 1x1 layers read: the features after all blocks, activated."""
        sizes = group_sizes(network.first.out_channels, self._groups)
        features = FeatureMap.named("a0", sizes)
        first = [(self.convolution(network.first), pixels)]
        self.layers.append(Layer(features, first, condition=self.condition(network.condition)))
        for number, block in enumerate(network.blocks):
            assert isinstance(block, ResidualBlock)
            features = self._residual(block, number, features)
        active = FeatureMap.named("act", sizes)
        self.layers.append(Layer(active, adds=[features], epilogue="relu"))
        return active

    def _residual(self, block: ResidualBlock, number: int, features: FeatureMap) -> FeatureMap:
        sizes = group_sizes(block.reduce.out_channels, self._groups)
        active = FeatureMap.named(f"act{number}", features.sizes)
        reduced, seen = FeatureMap.named(f"m{number}", sizes), FeatureMap.named(f"n{number}", sizes)
        output = FeatureMap.named(f"a{number + 1}", features.sizes)
        reduce = [(self.convolution(block.reduce), active)]
        conv = [(self.convolution(block.conv), reduced)]
        expand = [(self.convolution(block.expand), seen)]
        self.layers += [
            Layer(active, adds=[features], epilogue="relu"),
            Layer(reduced, reduce, epilogue="relu"),
            Layer(seen, conv, condition=self.condition(block.condition), epilogue="relu"),
            Layer(output, expand, [features]),
        ]
        return output

    def gated(self, network: GatedNetwork, pixels: FeatureMap) -> FeatureMap:
        """What the 1x1 layers read: the skips of all layers, summed and activated."""
        v = h = pixels
        skips: list[tuple[Convolution, FeatureMap]] = []
        for number, block in enumerate(network.blocks):
            assert isinstance(block, GatedBlock)
            gated = self._horizontal(block, number, v, h)
            skips.append((self.convolution(block.skip), gated))
            if block.residual is not None:
                v, h = self._vertical(block, number), self._through(block, number, gated, h)
        skip = FeatureMap.named("skip", group_sizes(network.mid.in_channels, self._groups))
        self.layers.append(Layer(skip, skips, epilogue="relu"))
        return skip

    def _horizontal(
        self, block: GatedBlock, number: int, v: FeatureMap, h: FeatureMap
    ) -> FeatureMap:
        """The gate of the horizontal stack, below what the vertical one says to it."""
        width = block.skip.in_channels
        above = FeatureMap.named(f"vz{number}", (2 * width,))
        self.layers.append(Layer(above, [(self.convolution(block.vertical), v)]))
        gated = FeatureMap.named(f"g{number}", group_sizes(width, self._groups))
        convolutions = [
            (self.convolution(block.across), above),
            (self.convolution(block.horizontal), h),
        ]
        condition = self.condition(block.horizontal_condition)
        self.layers.append(Layer(gated, convolutions, [], condition, "gate"))
        return gated

    def _vertical(self, block: GatedBlock, number: int) -> FeatureMap:
        """The gate of the vertical stack."""
        assert block.vertical_condition is not None
        width = block.skip.in_channels
        v = FeatureMap.named(f"v{number}", (width,))
        above = FeatureMap.named(f"vz{number}", (2 * width,))
        condition = self.condition(block.vertical_condition)
        self.layers.append(Layer(v, [], [above], condition, "gate"))
        return v

    def _through(
        self, block: GatedBlock, number: int, gated: FeatureMap, h: FeatureMap
    ) -> FeatureMap:
        """The residual of the horizontal stack."""
        assert block.residual is not None
        output = FeatureMap.named(f"h{number}", gated.sizes)
        adds = [] if block.kind == "A" else [h]
        self.layers.append(Layer(output, [(self.convolution(block.residual), gated)], adds))
        return output
