"""Drawing images in PyTorch as well as it can be: every feature once, caches, row code for rows.

It walks the optimised program of a model, so it does the least arithmetic that is known: folded
tables, dead taps left out, what rows above decide computed for a whole row by one product. The two
functions of it, for a row and for a site, are pure, so that `torch.compile` takes them whole. Of a
site it makes some fifty small kernels, so what counts is how they are called: from C++ instead of
Python, and without guards evaluated anew, a batch of one is drawn in half the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.image_task import drawn
from genfast.program import Add, Buffer, Draw, Look, Mat, Program, Ref, Sum

Values = dict[str, Tensor]
_EPILOGUES: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda a: a,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gate": lambda a: a.chunk(2, -1)[0].tanh() * a.chunk(2, -1)[1].sigmoid(),
}


class _Sum:
    """A sum with its weights as tensors, its matrices stacked to one."""

    def __init__(self, instruction: Sum, place: Callable[[Any], Tensor]) -> None:
        self.target = instruction.targets[0].name
        self.adds = [term.ref for term in instruction.terms if isinstance(term, Add)]
        looks = [term for term in instruction.terms if isinstance(term, Look)]
        self.looks = [(place(look.table), look.ref) for look in looks]
        mats = [term for term in instruction.terms if isinstance(term, Mat)]
        self.mats = [mat.ref for mat in mats]
        stacked = np.concatenate([mat.weight.T for mat in mats]) if mats else None
        self.weight = None if stacked is None else place(np.ascontiguousarray(stacked))
        self.bias = None if instruction.bias is None else place(instruction.bias)
        self.finish = _EPILOGUES[instruction.epilogue]

    def __call__(self, read: Callable[[Ref], Tensor]) -> Tensor:
        """The sum; `read` gives (..., width), or (...) numbers of symbols."""
        starts = [table[read(ref)] for table, ref in self.looks] + [read(r) for r in self.adds]
        start = self.bias
        for value in starts:
            start = value if start is None else start + value
        if self.weight is None:
            assert start is not None
            return self.finish(start)
        inputs = [read(ref) for ref in self.mats]
        joined = inputs[0] if len(inputs) == 1 else torch.cat(inputs, -1)
        product = _product(joined, self.weight, start)
        return self.finish(product)


def _product(x: Tensor, weight: Tensor, start: Tensor | None) -> Tensor:
    flat = x.reshape(-1, x.shape[-1])
    if start is None:
        product = flat @ weight
    else:
        product = torch.addmm(
            start if start.ndim == 1 else start.reshape(len(flat), -1), flat, weight
        )
    return product.reshape(*x.shape[:-1], -1)


class CachedDrawer:
    """Draws a batch from a program without inputs.

    Args:
        program: An optimised raster program; each draw is categorical.
        batch: N.
        compiled: Whether the code of rows and of sites goes through torch.compile.
        device: Where it draws; the uniforms lie there.
        dtype: Of weights and features.
    """

    def __init__(
        self,
        program: Program,
        batch: int,
        compiled: bool,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        assert program.shape is not None
        self._program, self._batch = program, batch
        self._device, self._dtype = torch.device(device), dtype
        self._rows, self._columns = program.shape
        self._code = {
            phase: [
                (_Sum(i, self._place) if isinstance(i, Sum) else i)
                for i, its in zip(program.instructions, program.phases, strict=True)
                if its == phase and isinstance(i, Sum | Draw)
            ]
            for phase in ("row", "site")
        }
        phases = {name: program.phases[place] for name, place in program.writers.items()}
        reach = program.reach
        of_sites = [b for b in program.buffers if phases[b.name] == "site"]
        self._kept_rows = [b for b in program.buffers if reach[b.name].rows > 0]
        self._kept_columns = [b for b in of_sites if reach[b.name].columns > 0]
        self._collected = [b for b in of_sites if b in self._kept_rows or b.kind == "sym"]
        self._draws = [i.target for i in program.instructions if isinstance(i, Draw)]
        wrap: Callable[..., Any] = self._wrapped if compiled else (lambda f: f)
        self._run_row, self._run_site = wrap(self._row), wrap(self._site)
        self._settled = False

    def draw(self, uniforms: Tensor) -> Tensor:
        """int64 (N, sites, draws) for float32 uniforms of that shape.

        From the first draw of a compiled drawer on, the number of threads has to stay.
        """
        # The first draw compiles; all that the guards look at is the same ever after.
        stance = torch.compiler.set_stance(skip_guard_eval_unsafe=self._settled)
        with torch.inference_mode(), stance:
            above = {b.name: self._border_rows(b) for b in self._kept_rows}
            drawn = [self._draw_row(above, row) for row in uniforms.split(self._columns, 1)]
        self._settled = True
        return torch.cat(drawn, 1)

    def _draw_row(self, above: dict[str, list[Tensor]], uniforms: Tensor) -> Tensor:
        given = self._run_row({name: tuple(rows) for name, rows in above.items()})
        kept = {b.name: self._border_columns(b) for b in self._kept_columns}
        collected: dict[str, list[Tensor]] = {b.name: [] for b in self._collected}
        for x in range(self._columns):
            here = {name: value[x] for name, value in given.items()}
            kept, new = self._run_site(here, kept, uniforms[:, x])
            for name, value in new.items():
                collected[name].append(value)
        rows = {name: torch.stack(values) for name, values in collected.items()}
        for buffer in self._kept_rows:
            row = rows.get(buffer.name, given.get(buffer.name))
            assert row is not None
            above[buffer.name] = [self._padded(buffer, row), *above[buffer.name][:-1]]
        return torch.stack([rows[target.name] for target in self._draws], -1).transpose(0, 1)

    def _row(self, above: dict[str, tuple[Tensor, ...]]) -> Values:
        """Row code: (W, N, width) of every row buffer."""
        values: Values = {}

        def read(ref: Ref) -> Tensor:
            name, left = ref.buffer.name, self._program.reach[ref.buffer.name].pad_left
            if ref.dy == 0:
                row = values[name]
                return row if ref.dx == 0 else self._shifted(ref.buffer, row, ref.dx)
            return above[name][-ref.dy - 1][left + ref.dx : left + ref.dx + self._columns]

        shape = (self._columns, self._batch)
        for sum_ in self._code["row"]:
            value = sum_(read)
            values[sum_.target] = value.expand(*shape, -1) if value.ndim == 1 else value
        return values

    def _site(
        self, given: Values, kept: dict[str, tuple[Tensor, ...]], uniforms: Tensor
    ) -> tuple[dict[str, tuple[Tensor, ...]], Values]:
        """Site code: what readers keep of this row, and what leaves the row."""
        values, draws = dict(given), 0

        def read(ref: Ref) -> Tensor:
            return values[ref.buffer.name] if ref.dx == 0 else kept[ref.buffer.name][-ref.dx - 1]

        for instruction in self._code["site"]:
            if isinstance(instruction, Draw):
                scores = values[instruction.ref.buffer.name]
                values[instruction.target.name] = drawn(scores, uniforms[:, draws])
                draws += 1
            else:
                values[instruction.target] = instruction(read)
        after = {name: (values[name], *old[:-1]) for name, old in kept.items()}
        return after, {b.name: values[b.name] for b in self._collected}

    def _border_rows(self, buffer: Buffer) -> list[Tensor]:
        # Tensors of their own: torch.compile would compile anew once they are no longer one.
        count = self._program.reach[buffer.name].rows
        return [self._padded(buffer, self._border(buffer, self._columns)) for _ in range(count)]

    def _border_columns(self, buffer: Buffer) -> tuple[Tensor, ...]:
        count = self._program.reach[buffer.name].columns
        return tuple(self._border(buffer, 1)[0] for _ in range(count))

    def _border(self, buffer: Buffer, columns: int) -> Tensor:
        if buffer.kind == "sym":
            return torch.full((columns, self._batch), buffer.vocabulary, device=self._device)
        shape = (columns, self._batch, buffer.width)
        return torch.zeros(shape, dtype=self._dtype, device=self._device)

    def _padded(self, buffer: Buffer, row: Tensor) -> Tensor:
        reach = self._program.reach[buffer.name]
        parts = [self._border(buffer, reach.pad_left), row, self._border(buffer, reach.pad_right)]
        return torch.cat([part for part in parts if len(part)])

    def _shifted(self, buffer: Buffer, row: Tensor, dx: int) -> Tensor:
        left = self._program.reach[buffer.name].pad_left
        return self._padded(buffer, row)[left + dx : left + dx + self._columns]

    def _place(self, values: Any) -> Tensor:
        return torch.from_numpy(values).to(self._device, self._dtype)

    def _wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        # What calls kernels from C++ is what counts on a processor; a GPU has graphs for it.
        options = {"cpp_wrapper": True} if self._device.type == "cpu" else None
        return torch.compile(function, dynamic=False, options=options)
