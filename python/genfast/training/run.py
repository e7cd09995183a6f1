"""All that changes while a model is trained, and is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from genfast.training.average import Average
from genfast.training.best import Best
from genfast.training.history import State
from genfast.training.options import Options
from genfast.training.precision import Precision


@dataclass
class Run:
    """A run of training.

    Attributes:
        state: The model, its optimizer and its history.
        precision: With the scale of the gradients.
        average: The weights that count.
        best: The best of them.
        batches: Batches done of the epoch at hand.
    """

    state: State
    precision: Precision
    average: Average
    best: Best
    batches: int = 0

    @classmethod
    def begin(cls, model: nn.Module, options: Options) -> Run:
        """A run before its first step."""
        groups = getattr(model, "parameter_groups", model.parameters)()
        optimizer = torch.optim.AdamW(
            groups, lr=options.lr, betas=options.betas, weight_decay=options.weight_decay
        )
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]  # torch's schedulers have the same name for it
        device = next(model.parameters()).device
        return cls(
            State(model, optimizer),
            Precision(options.precision, device),
            Average(model, options.ema),
            Best(options.patience),
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        return {
            "model": self.state.model.state_dict(),
            "optimizer": self.state.optimizer.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
            "average": self.average.state_dict(),
            "best": self.best.weights,
            "history": self.state.history.state_dict(),
            "batches": self.batches,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Becomes what `state_dict` wrote down."""
        self.state.model.load_state_dict(saved["model"])
        self.state.optimizer.load_state_dict(saved["optimizer"])
        self.precision.scaler.load_state_dict(saved["scaler"])
        self.average.load_state_dict(saved["average"])
        self.best.weights = saved["best"]
        self.state.history.load_state_dict(saved["history"])
        self.batches = int(saved["batches"])

    def delivers_best(self) -> bool:
        """Whether the best weights are left: patience kept them, and there was no Ctrl-C."""
        return self.best.weights is not None and self.state.history.stopped != "interrupted"

    def deliver(self) -> None:
        """Gives the model the weights that count."""
        model = self.state.model
        if self.best.weights is not None and self.delivers_best():
            model.load_state_dict(self.best.weights)
        elif self.average.module is not model:
            model.load_state_dict(self.average.module.state_dict())
