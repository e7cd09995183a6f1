"""masked_conv2d: a convolution over the live taps of its kernel alone, forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import conv2d, pad

from genfast._extension import core

__all__ = ["masked_conv2d", "masked_conv2d_reference"]


def masked_conv2d(
    input: Float[Tensor, "n in h w"],
    weight: Float[Tensor, "out in rows columns"],
    bias: Float[Tensor, " out"] | None = None,
    mask: Float[Tensor, "#out #in rows columns"] | None = None,
    *,
    above: int | None = None,
    left: int | None = None,
) -> Float[Tensor, "n out h w"]:
    """`masked_conv2d_reference`, compiled: float32 on the CPU, 0 outside the image.

    There is none for a GPU: tensors there are refused, and the layers of `genfast.nn` crop the
    kernel to its live rows and leave it to cuDNN.

    Taps that the mask kills everywhere cost nothing, forward or backward. Memory is channels_last
    inside: such an input is read as it is, another is copied, and the output is channels_last. The
    bits are the same for any number of threads, `torch.get_num_threads()` of them.

    `torch.compile` and `torch.export` see one operator, `genfast::masked_conv2d`. A gradient that
    is itself differentiated is computed by the reference. Under transforms of `torch.func` and
    forward-mode derivatives it is refused.

    Args:
        input: float32 (N, in, H, W).
        weight: float32 (out, in, rows, columns).
        bias: float32 (out,), or None.
        mask: float32 (out or 1, in or 1, rows, columns), 0 where a weight is dead: it has no
            effect, be it infinite, and a gradient of 0. All are alive when None. It gets no
            gradient.
        above: Rows from the kernel's first to the pixel's own; the middle one is when None.
        left: Columns, the same.

    Returns:
        float32 (N, out, H, W), channels_last.

    Raises:
        ValueError: A dtype, shape or device is another, or a transform is active.

    Example:
        >>> x, weight, mask = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3), torch.ones(3, 3)
        >>> mask[1, 2:] = mask[2:] = 0
        >>> y = masked_conv2d(x, weight, mask=mask[None, None])
        >>> torch.allclose(y, conv2d(x, weight * mask, padding=1), atol=1e-5)
        True
    """
    refused = _refusal(input, weight, bias, mask)
    if refused is not None:
        raise ValueError(f"masked_conv2d: {refused}")
    above, left = _origin(weight, above, left)
    output: Tensor = _convolve(input, weight, bias, mask, above, left)
    return output


def masked_conv2d_reference(
    input: Float[Tensor, "n in h w"],
    weight: Float[Tensor, "out in rows columns"],
    bias: Float[Tensor, " out"] | None = None,
    mask: Float[Tensor, "#out #in rows columns"] | None = None,
    *,
    above: int | None = None,
    left: int | None = None,
) -> Float[Tensor, "n out h w"]:
    """`masked_conv2d` in plain PyTorch, of any dtype on any device."""
    above, left = _origin(weight, above, left)
    if mask is not None:
        weight = torch.where(mask != 0, weight, 0)
    rows, columns = weight.shape[2:]
    seen = pad(input, (left, columns - 1 - left, above, rows - 1 - above))
    return conv2d(seen, weight, bias)


def _origin(weight: Tensor, above: int | None, left: int | None) -> tuple[int, int]:
    """Rows and columns from the first tap to the pixel."""
    rows, columns = weight.shape[2:]
    return rows // 2 if above is None else above, columns // 2 if left is None else left


def serves(*tensors: Tensor | None) -> bool:
    """Whether `masked_conv2d` takes tensors of these dtypes and devices, here and now."""
    return not _transforms() and all(
        tensor is None or (tensor.dtype == torch.float32 and tensor.device.type == "cpu")
        for tensor in tensors
    )


def _transforms() -> bool:
    """Whether operators are transformed by rules that this one has not."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def _refusal(input: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor | None) -> str | None:
    """Why `masked_conv2d` refuses these, or None where it does not."""
    if _transforms():
        return "torch.func and forward-mode derivatives want masked_conv2d_reference"
    image, kernel = ("N", "in", "H", "W"), ("out", "in", "rows", "columns")
    said = _misfit("input", input, image, (None,) * 4)
    said = said or _misfit("weight", weight, kernel, (None, input.shape[1], None, None))
    if said is None and bias is not None:
        said = _misfit("bias", bias, ("out",), (weight.shape[0],))
    if said is None and mask is not None:
        free = [side if side == 1 else full for side, full in _pairs(mask, weight)]
        kernel = ("out or 1", "in or 1", "rows", "columns")
        said = _misfit("mask", mask, kernel, (*free, *weight.shape[2:]))
    return said


def _pairs(mask: Tensor, weight: Tensor) -> list[tuple[int, int]]:
    """Channels of a mask, and of the weight: out and in."""
    return list(zip(mask.shape[:2], weight.shape[:2], strict=False))


def _misfit(
    name: str, given: Tensor, sides: tuple[str, ...], sizes: tuple[int | None, ...]
) -> str | None:
    """What is wrong with an argument: it must be float32 on the CPU, and of these sizes."""
    right = given.dtype == torch.float32 and given.device.type == "cpu" and given.ndim == len(sides)
    if right and all(b is None or a == b for a, b in zip(given.shape, sizes, strict=True)):
        return None
    known = ", ".join(
        f"{side}={size}" for side, size in zip(sides, sizes, strict=False) if size is not None
    )
    shape = f"({', '.join(sides)}{',' * (len(sides) == 1)})"
    got = f"{str(given.dtype).removeprefix('torch.')} {tuple(given.shape)} on {given.device}"
    return f"{name} must be float32 {shape} on the CPU{' with ' * bool(known)}{known}, got {got}"


def _run(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    above: int,
    left: int,
) -> Tensor:
    output = _channels_last(input, weight.shape[0])
    core.masked_conv2d(
        _pixels(input),
        _plain(weight),
        None if bias is None else _plain(bias),
        None if mask is None else _plain(mask),
        above,
        left,
        _pixels(output),
        torch.get_num_threads(),
    )
    return output


def _run_fake(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    above: int,
    left: int,
) -> Tensor:
    return _channels_last(input, weight.shape[0])


def _run_backward(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    mask: Tensor | None,
    above: int,
    left: int,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """By input, weight and bias; what is not wanted is empty, (0,)."""
    results = _results(grad, input, weight, wanted)
    by_input, by_weight, by_bias = (
        result if want else None for result, want in zip(results, wanted, strict=True)
    )
    core.masked_conv2d_backward(
        _pixels(grad),
        _pixels(input),
        _plain(weight),
        None if mask is None else _plain(mask),
        above,
        left,
        None if by_input is None else _pixels(by_input),
        by_weight,
        by_bias,
        torch.get_num_threads(),
    )
    return results


def _run_backward_fake(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    mask: Tensor | None,
    above: int,
    left: int,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    return _results(grad, input, weight, wanted)


def _results(
    grad: Tensor, input: Tensor, weight: Tensor, wanted: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Memory for the gradients by input, weight and bias."""
    nothing = input.new_empty(0)
    return (
        _channels_last(input, input.shape[1]) if wanted[0] else nothing,
        weight.new_empty(weight.shape) if wanted[1] else input.new_empty(0),
        grad.new_empty(weight.shape[0]) if wanted[2] else input.new_empty(0),
    )


def _channels_last(like: Tensor, channels: int) -> Tensor:
    """Memory for an image of as many rows and columns."""
    n, _, height, width = like.shape
    shape = (n, channels, height, width)
    return torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


def _pixels(image: Tensor) -> Tensor:
    """(N, C, H, W) as the core takes it, (N, H, W, C) and contiguous; a view of channels_last."""
    return image.detach().permute(0, 2, 3, 1).contiguous()


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous()


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, weight, _, mask, ctx.above, ctx.left = inputs
    ctx.save_for_backward(input, weight, mask)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    input, weight, mask = ctx.saved_tensors
    wanted = list(ctx.needs_input_grad[:3])
    if torch.is_grad_enabled():
        found = _differentiable(grad, input, weight, mask, ctx.above, ctx.left, wanted)
    else:
        found = _gradients(grad, input, weight, mask, ctx.above, ctx.left, wanted)
    kept = (by if want else None for by, want in zip(found, wanted, strict=True))
    return (*kept, None, None, None)


def _differentiable(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    mask: Tensor | None,
    above: int,
    left: int,
    wanted: list[bool],
) -> tuple[Tensor | None, ...]:
    """The gradients as functions that can be differentiated again."""
    output = masked_conv2d_reference(input, weight, None, mask, above=above, left=left)
    leaves = [leaf for leaf, want in zip((input, weight), wanted[:2], strict=True) if want]
    found = iter(torch.autograd.grad(output, leaves, grad, create_graph=True) if leaves else ())
    by_input, by_weight = (next(found) if want else None for want in wanted[:2])
    return by_input, by_weight, grad.sum((0, 2, 3))


# Defined by hand: `torch.library.custom_op` imports torch's compiler at the first call, for 1.4 s.
_LIBRARY: Any = torch.library.Library("genfast", "FRAGMENT")  # type: ignore[no-untyped-call]
for _name, _schema, _kernel, _fake in (
    (
        "masked_conv2d",
        "(Tensor input, Tensor weight, Tensor? bias, Tensor? mask, SymInt above, SymInt left)"
        " -> Tensor",
        _run,
        _run_fake,
    ),
    (
        "masked_conv2d_backward",
        "(Tensor grad, Tensor input, Tensor weight, Tensor? mask, SymInt above, SymInt left,"
        " bool[] wanted) -> (Tensor, Tensor, Tensor)",
        _run_backward,
        _run_backward_fake,
    ),
):
    _LIBRARY.define(_name + _schema)
    _LIBRARY.impl(_name, _kernel, "CPU")
    torch.library.register_fake(f"genfast::{_name}", _fake, lib=_LIBRARY)
torch.library.register_autograd(
    "genfast::masked_conv2d", _differentiate, setup_context=_keep, lib=_LIBRARY
)
_convolve = torch.ops.genfast.masked_conv2d.default
_gradients = torch.ops.genfast.masked_conv2d_backward.default
