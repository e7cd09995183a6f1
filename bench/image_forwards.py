"""Forward passes of a PixelCNN in PyTorch, as fast as we know to write them: the yardstick.

weights    dense      masks applied once, kernels of k x k as torch's layout has them
           cropped    only the rows and columns that may be alive; the image is padded for it
layout     NCHW or channels_last, of images and weights
run        eager or compiled
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from genfast import PixelCNN
from genfast.nn import MaskedConv2d, VerticalConv2d

#: Scores (N, H, W, C, levels) of what `PixelCNN.encode` gives.
Forward = Callable[[Tensor], Tensor]
LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


class Cropped(nn.Module):
    """A causal convolution whose weights are masked and cropped once.

    Args:
        weight: (out, in, rows, columns), masked.
        bias: (out,) or None.
        above: Rows above the pixel's own.
        left: Columns left of the pixel's own.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, above: int, left: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.clone()), bias
        below, right = weight.shape[2] - 1 - above, weight.shape[3] - 1 - left
        # The same on both sides is left to conv2d, which needs no copy for it.
        self.sides = left if left == right else 0
        self.edges = (left - self.sides, right - self.sides, above, below)

    def forward(self, input: Tensor) -> Tensor:
        seen = pad(input, self.edges) if any(self.edges) else input
        return conv2d(seen, self.weight, self.bias, padding=(0, self.sides))


def dense(layer: nn.Conv2d) -> nn.Module:
    """A layer as a plain convolution that holds its masked weights."""
    if isinstance(layer, VerticalConv2d):
        return cropped(layer)  # it has no dead rows
    assert isinstance(layer, MaskedConv2d)
    sizes = [layer.weight.shape[2], layer.weight.shape[3]]
    plain = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        (sizes[0], sizes[1]),
        padding=(sizes[0] // 2, sizes[1] // 2),
        bias=layer.bias is not None,
    )
    plain.load_state_dict(layer.state_dict())
    plain.weight.data *= layer.weight_mask()
    return plain


def cropped(layer: nn.Conv2d) -> nn.Module:
    """A layer that multiplies by no row or column of dead taps."""
    rows, columns = layer.weight.shape[2:]
    left = columns // 2
    if isinstance(layer, VerticalConv2d):
        above = rows - 1 if layer.kind == "B" else rows
        return Cropped(layer.weight.detach(), layer.bias, above, left)
    assert isinstance(layer, MaskedConv2d)
    above = rows // 2
    live = left + 1 if above == 0 else columns
    weight = (layer.weight * layer.weight_mask()).detach()[:, :, : above + 1, :live]
    return Cropped(weight, layer.bias, above, left)


def rewritten(model: PixelCNN, form: Callable[[nn.Conv2d], nn.Module]) -> PixelCNN:
    """A twin with every causal convolution in another form."""
    twin = copy.deepcopy(model)
    for path, part in list(twin.named_modules()):
        if isinstance(part, MaskedConv2d | VerticalConv2d):
            twin.set_submodule(path, form(part))
    return twin.eval()


def forwards(
    model: PixelCNN,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    compiled: bool = True,
) -> Iterator[tuple[str, Forward]]:
    """Every form by its name, on a device and in a dtype: those of the model, unless given."""
    for form, (layout, memory) in product((dense, cropped), LAYOUTS.items()):
        twin = rewritten(model, form).to(device, dtype)
        twin = twin.to(memory_format=memory)  # type: ignore[call-overload]
        network: Forward = twin.network
        for how in ("eager", "compiled") if compiled else ("eager",):
            run = torch.compile(network, dynamic=False) if how == "compiled" else network
            yield f"{how} {form.__name__} {layout}", _laid(run, memory)


def _laid(run: Forward, memory: torch.memory_format) -> Forward:
    return lambda encoded: run(encoded.contiguous(memory_format=memory))
