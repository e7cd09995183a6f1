"""Training: one loop for every model that offers `training_step`."""

from __future__ import annotations

from genfast.training.fit import fit
from genfast.training.history import Callback, History, State

__all__ = ["Callback", "History", "State", "fit"]
