"""The precision of a training run: what autocast turns into, and the scale of its gradients."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Precision:
    """float32, or `torch.autocast` to a half of it; weights stay as they are.

    Args:
        name: "float32", "bfloat16", "float16", or "auto": bfloat16 on CUDA devices that have it,
            else float32.
        device: Where the model lies.

    Attributes:
        name: The precision chosen.
        scaler: Of the loss; it does something in float16 only, whose gradients would vanish.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        half = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        self.name = name if name != "auto" else "bfloat16" if half else "float32"
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.name == "float16")
        self._device = device

    def autocast(self) -> AbstractContextManager[None]:
        """What the forward pass runs in; in float32 an autocast of the caller's stays on."""
        if self.name == "float32":
            return nullcontext()
        return torch.autocast(self._device.type, _TYPES[self.name])

    def check(self, where: str) -> None:
        """Raises FloatingPointError when no scale keeps the gradients finite.

        A step whose gradients overflow is left out and the scale halved: that is how the scale is
        found, and no error.
        """
        if self.scaler.is_enabled() and self.scaler.get_scale() < 1:
            raise FloatingPointError(
                f"fit: gradients of {where} are not finite in float16 at any scale; a lower "
                "lr, clip or precision='bfloat16' may help"
            )
