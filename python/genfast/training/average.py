"""The weights that count: those of the last step, or their exponential moving average."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]


class Average:
    """What is measured, saved and handed over, beside a model in training.

    After n steps the mean decays by `min(decay, (1 + n) / (10 + n))`: a young one forgets the
    first weights sooner. Buffers are averaged as weights are; whole numbers among them are copied.

    Args:
        model: The model in training.
        decay: Of the mean, a step; None for no mean: `module` is the model.

    Attributes:
        module: The model that counts.
    """

    def __init__(self, model: nn.Module, decay: float | None) -> None:
        self._model, self._decay = model, decay or 0.0
        self._averaged = (
            None
            if decay is None
            else AveragedModel(model, multi_avg_fn=self._mean, use_buffers=True)
        )
        self.module: nn.Module = model if self._averaged is None else self._averaged.module

    def update(self) -> None:
        """Takes in the weights of a step."""
        if self._averaged is not None:
            self._averaged.update_parameters(self._model)

    def state_dict(self) -> dict[str, Any] | None:
        """The mean and its age, where there is one."""
        return None if self._averaged is None else self._averaged.state_dict()

    def load_state_dict(self, saved: dict[str, Any] | None) -> None:
        """Becomes what `state_dict` wrote down."""
        if self._averaged is not None and saved is not None:
            self._averaged.load_state_dict(saved)

    def _mean(self, averaged: _Tensors, current: _Tensors, _n: object) -> None:
        assert self._averaged is not None
        n = int(self._averaged.n_averaged)  # the argument lies on the device: reading it waits
        decay = min(self._decay, (1 + n) / (10 + n))
        if averaged[0].is_floating_point() or averaged[0].is_complex():
            torch._foreach_lerp_(averaged, current, 1 - decay)
        else:
            torch._foreach_copy_(averaged, current)
