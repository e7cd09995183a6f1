"""The hash of a model's weights, which says whether what was compiled from them is stale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from genfast._extension import core

__all__ = ["device_digest", "weights_hash"]

# Words whose digest is made at once, which bounds what it takes beside them: 128 MiB a copy.
_PIECE = 1 << 24
# 2^64 over the golden ratio, odd; and the multipliers of SplitMix64's finalizer, as signed numbers.
_GOLDEN, _FIRST, _SECOND = (
    number - (1 << 64) for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


def weights_hash(model: nn.Module) -> int:
    """64-bit hash of every parameter and buffer: order, names, shapes, dtypes, bytes.

    What the modules say of themselves counts, too: a layer exchanged for one of other settings has
    other weights only by chance.
    """
    tensors: list[tuple[str, Tensor]] = [*model.named_parameters(remove_duplicate=False)]
    tensors += model.named_buffers(remove_duplicate=False)
    described = [repr(model), *(f"{name} {t.dtype} {tuple(t.shape)}" for name, t in tensors)]
    text = np.frombuffer("\n".join(described).encode(), np.uint8)
    on_gpus: dict[torch.device, list[Tensor]] = {}
    for _, tensor in tensors:
        if tensor.is_cuda:
            on_gpus.setdefault(tensor.device, []).append(tensor)
    digests = [device_digest(held).cpu() for held in on_gpus.values()]
    rest = (_bytes(tensor.cpu()) for _, tensor in tensors if not tensor.is_cuda)
    return int(core.weight_hash([text, *digests, *rest]))


def device_digest(tensors: Sequence[Tensor]) -> Tensor:
    """int64 (1,): a digest of the bytes of tensors, made on the device that holds them all.

    The sum, modulo 2^64, of every word of four bytes mixed with its place by the finalizer of
    SplitMix64 (Steele et al. 2014): some ten passes over memory in place of a copy to the host.
    Says nothing of where one tensor ends and the next begins.
    """
    words = torch.cat([_words(tensor) for tensor in tensors])
    digest = torch.zeros(1, dtype=torch.int64, device=words.device)
    for first in range(0, len(words), _PIECE):
        piece = words[first : first + _PIECE].long()
        place = torch.arange(first + 1, first + 1 + len(piece), device=words.device)
        digest += _mixed(piece + place * _GOLDEN).sum()
    return digest


def _mixed(x: Tensor) -> Tensor:
    """Every bit of an int64 moves every bit of the result."""
    x = (x ^ _shifted(x, 30)) * _FIRST
    x = (x ^ _shifted(x, 27)) * _SECOND
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, count: int) -> Tensor:
    """To the right, zeros behind the sign."""
    return (x >> count) & ((1 << (64 - count)) - 1)


def _words(tensor: Tensor) -> Tensor:
    """int32: a copy of the bytes of a tensor, which may begin anywhere, and zeros up to a word."""
    data = _bytes(tensor)
    return nn.functional.pad(data, (0, -len(data) % 4)).view(torch.int32)


def _bytes(tensor: Tensor) -> Tensor:
    """The bytes of a tensor, whatever its dtype; a view where that is possible."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)
