"""How much memory a block takes: Python's and NumPy's by tracemalloc, torch's by its dispatcher."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Allocations:
    """Measures the block of a `with`.

    Attributes:
        python: The most bytes that Python and NumPy held at once, above those before.
        torch: The bytes of the largest storage that torch made; memory never touched counts.
        largest: The larger of the two.
    """

    python = torch = largest = 0

    def __enter__(self) -> Allocations:
        with _Storages(), torch.device("meta"):
            nn.Linear(1, 1)  # whatever torch imports to see this is not counted
        tracemalloc.start()
        self._watch = _Storages()
        self._watch.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._watch.__exit__(kind, error, traceback)
        self.python = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        self.torch = self._watch.largest
        self.largest = max(self.python, self.torch)


class _Storages(TorchDispatchMode):
    """Sees the storage of whatever an operator returns."""

    largest = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and not tensor.is_meta:
                self.largest = max(self.largest, tensor.untyped_storage().nbytes())
        return made
