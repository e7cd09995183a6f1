"""Compiled kernels of `reparameterize`, on the CPU and on a GPU, and memory for results."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from genfast._extension import core


def forward(mean: Tensor, logvar: Tensor, seed: int, index: int) -> tuple[Tensor, Tensor]:
    """z and the divergence, on the CPU."""
    z, kl = results_like(mean)
    core.reparameterize(_rows(mean), _rows(logvar), seed, index, z, kl, torch.get_num_threads())
    return z, kl


def backward(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    mean: Tensor,
    logvar: Tensor,
    seed: int,
    index: int,
) -> tuple[Tensor, Tensor]:
    """By mean and logvar, on the CPU; None is a gradient of zeros."""
    by_mean, by_logvar = gradients_like(mean)
    core.reparameterize_backward(
        None if grad_z is None else _rows(grad_z),
        grad_kl,
        _rows(mean),
        _rows(logvar),
        seed,
        index,
        by_mean,
        by_logvar,
        torch.get_num_threads(),
    )
    return by_mean, by_logvar


def serves_cuda(mean: Tensor) -> bool:
    """Whether a kernel takes these CUDA tensors; a warning where one would, but was not built."""
    if mean.dtype == torch.float64:
        return False
    if core.build_info()["cuda"]:
        return True
    said = "genfast was built without CUDA: tensors on a GPU take the plain formula, in many passes"
    warnings.warn(f"reparameterize: {said}", RuntimeWarning, stacklevel=3)
    return False


def forward_cuda(mean: Tensor, logvar: Tensor, seed: int, index: int) -> tuple[Tensor, Tensor]:
    """`forward` on the current stream of the tensors' GPU."""
    z, kl = results_like(mean)
    cuts = core.cuda_reparameterize_parts(mean.shape[1], mean.element_size())
    parts = kl.new_empty(mean.shape[0], cuts)
    m, v = (_rows(x.detach()) for x in (mean, logvar))
    with torch.cuda.device(mean.device):
        stream = torch.cuda.current_stream().cuda_stream
        core.cuda_reparameterize(m, v, seed, index, z, kl, parts, stream)
    return z, kl


def backward_cuda(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    mean: Tensor,
    logvar: Tensor,
    seed: int,
    index: int,
) -> tuple[Tensor, Tensor]:
    """`backward` on the current stream of the tensors' GPU."""
    by_mean, by_logvar = gradients_like(mean)
    by_z = None if grad_z is None else _rows(grad_z.detach())
    by_kl = None if grad_kl is None else grad_kl.detach()
    m, v = (_rows(x.detach()) for x in (mean, logvar))
    with torch.cuda.device(mean.device):
        stream = torch.cuda.current_stream().cuda_stream
        core.cuda_reparameterize_backward(
            by_z, by_kl, m, v, seed, index, by_mean, by_logvar, stream
        )
    return by_mean, by_logvar


def results_like(mean: Tensor) -> tuple[Tensor, Tensor]:
    """Memory for z and the divergence."""
    divergence = torch.float64 if mean.dtype == torch.float64 else torch.float32
    kl = torch.empty(mean.shape[0], dtype=divergence, device=mean.device)
    return torch.empty_like(mean, memory_format=torch.contiguous_format), kl


def gradients_like(mean: Tensor) -> tuple[Tensor, Tensor]:
    """Memory for two gradients."""
    memory = torch.contiguous_format
    return (
        torch.empty_like(mean, memory_format=memory),
        torch.empty_like(mean, memory_format=memory),
    )


def _rows(tensor: Tensor) -> Tensor:
    """As the core takes it: rows any distance apart, their values one behind the other."""
    return tensor if tensor.stride(1) == 1 or tensor.shape[1] <= 1 else tensor.contiguous()
