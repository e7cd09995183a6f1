"""The step graph of images: row by row it draws what NumPy draws, from the same scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rasters import KINDS, chance, fed_inputs, given_of, inputs_of, make_raster

from genfast.exporting.raster_step import build_raster_step
from genfast.program import interpret


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(5, 6), (4, 1), (1, 3)], ids=lambda s: "x".join(map(str, s)))
def test_rows_and_scores(opened: Any, kind: str, shape: tuple[int, int]) -> None:
    written, n = make_raster(kind, shape), 2
    rows, columns, draws = *shape, written.draws
    uniforms = chance(n, rows * columns * draws)
    image = given_of(written, n)
    inputs = inputs_of(written, n)
    expected = interpret(written, n, uniforms.reshape(n, -1, draws), image, inputs)
    graph, kept = build_raster_step(written.optimized())
    run, states = opened(graph), {row.name: above(row.buffer, n, columns) for row in kept}
    fixed = fed_inputs(written, inputs) | {"temperature": np.ones((n, 1), np.float32)}
    fixed["given"] = image.reshape(n, rows, columns, -1).transpose(0, 3, 1, 2)
    for y in range(rows):
        fed = {name: v[:, :, y] if v.ndim == 4 else v for name, v in fixed.items()}
        fed["uniform"] = uniforms.reshape(n, rows, -1)[:, y]
        drawn, *after, scores = run(**fed, **states)
        states = dict(zip(states, after, strict=True))
        here = slice(y * columns, (y + 1) * columns)
        np.testing.assert_array_equal(drawn.transpose(0, 2, 1), expected.values[:, here])
        wanted = np.stack([one[:, here] for one in expected.scores], 2)
        np.testing.assert_allclose(scores, wanted, rtol=0, atol=3e-5)


def above(buffer: Any, n: int, columns: int) -> Any:
    """What a state is above the image."""
    if buffer.kind == "sym":
        return np.full((n, columns), buffer.vocabulary)
    return np.zeros((n, columns, buffer.width), np.float32)


def test_only_states_that_a_program_needs_are_given() -> None:
    far = make_raster("far taps", (3, 4)).optimized()
    assert [row.name for row in build_raster_step(far)[1]] == ["x_above", "x_above_2", "x_above_3"]
    assert build_raster_step(make_raster("of nothing", (3, 4)).optimized())[1] == []
