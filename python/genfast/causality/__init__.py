"""Does a model over sites see what it is to draw? By perturbation and by gradients."""

from __future__ import annotations

from genfast.causality.check import CausalityError, check_causality
from genfast.causality.report import Report

__all__ = ["CausalityError", "Report", "check_causality"]
