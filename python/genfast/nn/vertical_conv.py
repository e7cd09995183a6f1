"""VerticalConv2d: a convolution that sees whole rows, those above a pixel."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from genfast.files.limits import checked_size
from genfast.nn.causal_conv import causal_conv2d
from genfast.nn.masks import Kind, check_kind, odd_sizes

__all__ = ["VerticalConv2d"]

# Pixels of many embedded channels are wider than layers are.
_MOST = 2**24


class VerticalConv2d(nn.Conv2d):
    """The vertical stack's convolution: a k x k kernel cropped to its live rows.

    What the pixel @ sees, of k = 5; nothing of what is right of it or below in its own row::

        kind A  o o o o o     of pixels: the rows above      weight (out, in, 2, 5)
                o o o o o
                . . @ . .

        kind B  o o o o o     of features that saw the       weight (out, in, 3, 5)
                o o o o o     rows above theirs: their
                o o @ o o     own row, too

    Both are plain convolutions, of which the padding stands above and at the sides alone; kind A is
    shifted down by one row. Source: van den Oord et al. 2016b, Conditional Image Generation with
    PixelCNN Decoders, section 2.2.

    In float32 on the CPU it is computed by `genfast.ops.masked_conv2d`; in other dtypes, on other
    devices, under autocast, `torch.func` or forward-mode derivatives, when exported by torch.onnx,
    and where a kernel has one tap, by a plain convolution.

    Args:
        kind: "A" for a layer that sees pixels, "B" for one that sees features of an A.
        in_channels: Channels in.
        out_channels: Channels out.
        kernel_size: k, odd, at least 3.
        bias: Whether to add one.

    Raises:
        ValueError: An even kernel, or a size out of range.
    """

    def __init__(
        self, kind: Kind, in_channels: int, out_channels: int, kernel_size: int, bias: bool = True
    ) -> None:
        check_kind("VerticalConv2d", kind)
        k, _ = odd_sizes("VerticalConv2d", kernel_size)
        if k < 3:
            raise ValueError(f"VerticalConv2d: kernel_size must be at least 3, got {k}")
        checked_size("VerticalConv2d: in_channels", in_channels, _MOST)
        checked_size("VerticalConv2d: out_channels", out_channels, _MOST)
        rows = k // 2 + (kind == "B")
        super().__init__(in_channels, out_channels, (rows, k), bias=bias)
        self.kind: Kind = kind

    def extra_repr(self) -> str:
        return f"{self.kind}, {super().extra_repr()}"  # type: ignore[no-untyped-call]

    def forward(self, input: Float[Tensor, "n in h w"]) -> Float[Tensor, "n out h w"]:
        """The convolution, 0 outside the image.

        Args:
            input: (N, in_channels, H, W), in the dtype of the weights.
        """
        rows, columns = self.weight.shape[2:]
        above = rows - 1 if self.kind == "B" else rows
        return causal_conv2d(input, self.weight, self.bias, above=above, left=columns // 2)
