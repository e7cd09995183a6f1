"""reparameterize: latents of a mean and a log-variance, and their divergence from N(0, 1)."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad

from genfast.ops import reparameterize_kernels as kernels
from genfast.random import INDEX_LIMIT, SEED_LIMIT, normals_of_rows

__all__ = ["HIGHEST_LOGVAR", "LOWEST_LOGVAR", "reparameterize", "reparameterize_reference"]

#: Log-variances are clamped to this: sigma is 3e-7 to 22026.
LOWEST_LOGVAR, HIGHEST_LOGVAR = -30.0, 20.0
_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def reparameterize(
    mean: Float[Tensor, "n latent"],
    logvar: Float[Tensor, "n latent"],
    *,
    seed: int,
    index: int = 0,
) -> tuple[Float[Tensor, "n latent"], Float[Tensor, " n"]]:
    """`reparameterize_reference` in one compiled pass: latents, and their divergence from N(0, 1).

    The noise is never stored: the backward pass draws it again. A row alone, with its own index,
    has the bits that it has in any batch, on any number of threads. Halves of one tensor of
    (N, 2 latent) are read in place.

    On a GPU z and the gradients are meant to have the bits of a CPU with fused multiply-adds; the
    kernels are followed on hosts by tests, and have not run on a GPU yet. float64 there, other
    devices, and a gradient that is itself differentiated take the plain formula. So does a GPU
    where genfast was built without CUDA, with a warning.

    `torch.compile` and `torch.export` see one operator, `genfast::reparameterize`. Under transforms
    of `torch.func` and forward-mode derivatives it is refused.

    Args:
        mean: (N, latent) of float32, bfloat16, float16 or float64; halves are computed in float32.
        logvar: Log-variances, as mean. They are clamped to [-30, 20], without a gradient beyond.
        seed: 0 <= seed < 2**63. Training takes another one at every step.
        index: Of row 0; row i is sample `index + i`.

    Returns:
        z = mean + exp(logvar / 2) eps (N, latent) in the dtype of mean, eps the normals that
        `genfast.random.normals` draws under the seed; in float64 columns 2b and 2b + 1 take the
        blocks 2b and 2b + 1, both words of each for a uniform of 53 bits. And the divergences of
        the rows (N,), sums of (exp(logvar) + mean^2 - 1 - logvar) / 2, float64 of float64 and else
        float32. See Kingma and Welling, "Auto-Encoding Variational Bayes" (2013), appendix B.

    Raises:
        ValueError: Shapes, dtypes or devices disagree, a number is out of range, or a transform is
            active.
        FloatingPointError: On the CPU, a mean or log-variance is NaN or infinite: says which. On
            other devices nobody waits to know: the divergence of such a row is not finite.

    Example:
        >>> mean, logvar = torch.zeros(3, 4), torch.zeros(3, 4)
        >>> z, kl = reparameterize(mean, logvar, seed=7)
        >>> z[2:].equal(reparameterize(mean[2:], logvar[2:], seed=7, index=2)[0]), kl.tolist()
        (True, [0.0, 0.0, 0.0])
    """
    refused = _refusal(mean, logvar, seed, index)
    if refused is not None:
        raise ValueError(f"reparameterize: {refused}")
    if mean.device.type not in ("cpu", "cuda"):
        return reparameterize_reference(mean, logvar, seed=seed, index=index)
    draw: Any = _draw
    if not torch.compiler.is_compiling() and _unwatched(mean, logvar):
        wanted = torch.is_grad_enabled() and (mean.requires_grad or logvar.requires_grad)
        draw = _Eager.apply if wanted else kernels.forward
    found: tuple[Tensor, Tensor] = draw(mean, logvar, seed, index)
    return found


def reparameterize_reference(
    mean: Float[Tensor, "n latent"],
    logvar: Float[Tensor, "n latent"],
    *,
    seed: int,
    index: int = 0,
) -> tuple[Float[Tensor, "n latent"], Float[Tensor, " n"]]:
    """`reparameterize` in plain PyTorch, on any device; NaN and infinities give NaN."""
    real = torch.promote_types(mean.dtype, torch.float32)
    exact, bounded = mean.to(real), logvar.to(real).clamp(LOWEST_LOGVAR, HIGHEST_LOGVAR)
    noise = _noise(mean, real, seed, index)
    z = exact + (bounded / 2).exp() * noise
    kl = (exact.square() + bounded.expm1() - bounded).sum(-1) / 2
    return z.to(mean.dtype), kl


def _noise(like: Tensor, real: torch.dtype, seed: int, index: int) -> Tensor:
    rows = torch.arange(index, index + like.shape[0], device=like.device)
    return normals_of_rows(torch.full_like(rows, seed), rows, like.shape[1], real)


def _refusal(mean: Tensor, logvar: Tensor, seed: int, index: int) -> str | None:
    """Why `reparameterize` refuses these, or None where it does not."""
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return "torch.func and forward-mode derivatives want reparameterize_reference"
    if mean.dtype not in _DTYPES or mean.ndim != 2:
        wanted = "float32, float64, float16 or bfloat16 (N, latent)"
        return f"mean must be {wanted}, got {_described(mean)}"
    if (logvar.dtype, logvar.shape, logvar.device) != (mean.dtype, mean.shape, mean.device):
        return f"logvar must be as mean, {_described(mean)}, got {_described(logvar)}"
    # While it is compiled numbers are unknown; the kernel checks them.
    return None if torch.compiler.is_compiling() else _misfit(mean, seed, index)


def _misfit(mean: Tensor, seed: int, index: int) -> str | None:
    """Which number is none, or out of range."""
    for name, value, limit in (
        ("seed", seed, SEED_LIMIT),
        ("index", index, INDEX_LIMIT - mean.shape[0] + 1),
    ):
        if not isinstance(value, int):
            return f"{name} must be an integer, got {value!r}"
        if not 0 <= value < limit:
            return f"{name} must be at least 0 and below {limit}, got {value}"
    return None


def _described(tensor: Tensor) -> str:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return f"{dtype} {tuple(tensor.shape)} on {tensor.device}"


def _unwatched(*tensors: Tensor | None) -> bool:
    """Whether nobody would see these pass through PyTorch's dispatcher, which takes some 20 us."""
    return torch._C._len_torch_dispatch_stack() == 0 and all(
        tensor is None or (type(tensor) is Tensor and tensor.device.type == "cpu")
        for tensor in tensors
    )


def _run_plain(mean: Tensor, logvar: Tensor, seed: int, index: int) -> tuple[Tensor, Tensor]:
    return reparameterize_reference(mean, logvar, seed=seed, index=index)


def _run_cuda(mean: Tensor, logvar: Tensor, seed: int, index: int) -> tuple[Tensor, Tensor]:
    run = kernels.forward_cuda if kernels.serves_cuda(mean) else _run_plain
    return run(mean, logvar, seed, index)


def _run_fake(mean: Tensor, logvar: Tensor, seed: int, index: int) -> tuple[Tensor, Tensor]:
    return kernels.results_like(mean)


def _run_backward_cuda(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    mean: Tensor,
    logvar: Tensor,
    seed: int,
    index: int,
) -> tuple[Tensor, Tensor]:
    run = kernels.backward_cuda if kernels.serves_cuda(mean) else _run_backward_plain
    return run(grad_z, grad_kl, mean, logvar, seed, index)


def _run_backward_plain(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    mean: Tensor,
    logvar: Tensor,
    seed: int,
    index: int,
) -> tuple[Tensor, Tensor]:
    """The same in plain PyTorch, differentiable."""
    real = torch.promote_types(mean.dtype, torch.float32)
    bounded = logvar.to(real).clamp(LOWEST_LOGVAR, HIGHEST_LOGVAR)
    by_mean, by_logvar = torch.zeros_like(bounded), torch.zeros_like(bounded)
    if grad_z is not None:
        by_mean = by_mean + grad_z
        by_logvar = grad_z * (bounded / 2).exp() * _noise(mean, real, seed, index)
    if grad_kl is not None:
        by_mean = by_mean + grad_kl[:, None] * mean
        by_logvar = by_logvar + grad_kl[:, None] * bounded.expm1()
    by_logvar = torch.where(bounded == logvar, by_logvar / 2, 0)
    return by_mean.to(mean.dtype), by_logvar.to(mean.dtype)


def _run_backward_fake(
    grad_z: Tensor | None,
    grad_kl: Tensor | None,
    mean: Tensor,
    logvar: Tensor,
    seed: int,
    index: int,
) -> tuple[Tensor, Tensor]:
    return kernels.gradients_like(mean)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor] | None) -> None:
    mean, logvar, ctx.seed, ctx.index = inputs
    ctx.save_for_backward(mean, logvar)
    ctx.set_materialize_grads(False)


def _differentiate(
    ctx: Any, grad_z: Tensor | None, grad_kl: Tensor | None
) -> tuple[Tensor | None, ...]:
    mean, logvar = ctx.saved_tensors
    if torch.is_grad_enabled():
        gradients = _run_backward_plain
    else:
        unwatched = _unwatched(grad_z, grad_kl, mean, logvar)
        gradients = kernels.backward if unwatched else _gradients
    return (*gradients(grad_z, grad_kl, mean, logvar, ctx.seed, ctx.index), None, None)


class _Eager(torch.autograd.Function):
    """The operator's rules without the dispatcher."""

    @staticmethod
    def forward(
        ctx: Any, mean: Tensor, logvar: Tensor, seed: int, index: int
    ) -> tuple[Tensor, Tensor]:
        _keep(ctx, (mean, logvar, seed, index), None)
        return kernels.forward(mean, logvar, seed, index)

    backward = staticmethod(_differentiate)


# Defined by hand, as masked_conv2d is.
_LIBRARY: Any = torch.library.Library("genfast", "FRAGMENT")  # type: ignore[no-untyped-call]
for _name, _schema, _kernel, _cuda, _fake in (
    (
        "reparameterize",
        "(Tensor mean, Tensor logvar, SymInt seed, SymInt index) -> (Tensor, Tensor)",
        kernels.forward,
        _run_cuda,
        _run_fake,
    ),
    (
        "reparameterize_backward",
        "(Tensor? grad_z, Tensor? grad_kl, Tensor mean, Tensor logvar, SymInt seed, SymInt index)"
        " -> (Tensor, Tensor)",
        kernels.backward,
        _run_backward_cuda,
        _run_backward_fake,
    ),
):
    _LIBRARY.define(_name + _schema)
    _LIBRARY.impl(_name, _kernel, "CPU")
    _LIBRARY.impl(_name, _cuda, "CUDA")
    torch.library.register_fake(f"genfast::{_name}", _fake, lib=_LIBRARY)
torch.library.register_autograd(
    "genfast::reparameterize", _differentiate, setup_context=_keep, lib=_LIBRARY
)
_draw = torch.ops.genfast.reparameterize.default
_gradients = torch.ops.genfast.reparameterize_backward.default
