"""Toy exports: graphs whose outputs tell what went in, and a NumPy oracle of each."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser

CLASSES = 97

_HEAD = '<ir_version: 8, opset_import: ["" : 18]>'
# values[:, t] = (seed + 7 index + 3 prompt_length + the prompt's sum + 10 temperature + t) mod 97
_SAMPLER = (
    _HEAD
    + """
sampler (int64[B,1] seed, int64[B,1] index, float[B,1] temperature, int64[B,1] length,
         int64[B,P] prompt, int64[B,1] prompt_length) => (int64[B,T] values, int64[B,1] lengths) {
    zero = Constant<value = int64 {0}>()
    one = Constant<value = int64 {1}>()
    three = Constant<value = int64 {3}>()
    seven = Constant<value = int64 {7}>()
    ten = Constant<value = float {10.0}>()
    classes = Constant<value = int64 {97}>()
    longest = ReduceMax<keepdims = 0>(length)
    columns = Range(zero, longest, one)
    axis = Constant<value = int64[1] {1}>()
    known = ReduceSum(prompt, axis)
    tenfold = Mul(temperature, ten)
    warm = Cast<to = 7>(tenfold)
    sevenfold = Mul(index, seven)
    threefold = Mul(prompt_length, three)
    a = Add(seed, sevenfold)
    b = Add(a, threefold)
    c = Add(b, known)
    d = Add(c, warm)
    e = Add(d, columns)
    drawn = Mod(e, classes)
    there = Less(columns, length)
    values = Where(there, drawn, zero)
    lengths = Identity(length)
}
"""
)
# values = floor(97 u) of the new sites: the row's uniforms from prompt_length on
_UNIFORMS = (
    _HEAD
    + """
uniforms (float[B,S] uniforms, float[B,1] temperature, int64[B,1] length,
          int64[B,P] prompt, int64[B,1] prompt_length) => (int64[B,T] values, int64[B,1] lengths) {
    zero = Constant<value = int64 {0}>()
    one = Constant<value = int64 {1}>()
    classes = Constant<value = float {97.0}>()
    longest = ReduceMax<keepdims = 0>(length)
    columns = Range(zero, longest, one)
    there = Less(columns, length)
    place = Add(columns, prompt_length)
    inside = Where(there, place, zero)
    u = GatherElements<axis = 1>(uniforms, inside)
    scaled = Mul(u, classes)
    drawn = Cast<to = 7>(scaled)
    values = Where(there, drawn, zero)
    lengths = Identity(length)
}
"""
)
# h_next = h + 5 symbol + 1 mod 97;  drawn = (h_next + floor(97 u)) mod 97
_STEP = (
    _HEAD
    + """
step (int64[B,1] symbol, float[B,2] h, float[B,1] temperature, float[B,1] uniform)
    => (int64[B,1] drawn, float[B,2] h_next, float[B,97] scores) {
    one = Constant<value = float {1.0}>()
    five = Constant<value = float {5.0}>()
    classes = Constant<value = float {97.0}>()
    first = Constant<value = int64[1] {0}>()
    s = Cast<to = 1>(symbol)
    s5 = Mul(s, five)
    a = Add(h, s5)
    b = Add(a, one)
    h_next = Mod<fmod = 1>(b, classes)
    scaled = Mul(uniform, classes)
    lattice = Floor(scaled)
    h0 = Gather<axis = 1>(h_next, first)
    sum = Add(h0, lattice)
    rest = Mod<fmod = 1>(sum, classes)
    drawn = Cast<to = 7>(rest)
    wide = Constant<value = int64[2] {1, 97}>()
    scores = Expand(h0, wide)
}
"""
)
_GRAPHS = {"sampler": _SAMPLER, "uniforms": _UNIFORMS, "step": _STEP}


def write_toy(path: Path, graph: str, **changes: Any) -> Path:
    """A folder as an export writes it; `changes` are made to "sampler" in its config.json."""
    model = onnx.parser.parse_model(_GRAPHS[graph])
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    section = {
        "format": 1,
        "graph": graph,
        "classes": CLASSES,
        "symbols": {"kind": "characters", "characters": "".join(map(chr, range(33, 33 + CLASSES)))},
        "opset": 18,
        "inputs": [value.name for value in model.graph.input],
        "outputs": [value.name for value in model.graph.output],
        "top_k": None,
        "top_p": None,
        "stop": None,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    section |= {"states": [{"name": "h", "width": 2}]} if graph == "step" else {}
    section |= {"step": f"{path.name}_step"} if graph == "sampler" else {}
    (path / "1").mkdir(parents=True)
    (path / "1" / "model.onnx").write_bytes(data)
    (path / "config.json").write_text(json.dumps({"format": 1, "sampler": section | changes}))
    return path


def change(path: Path, **changes: Any) -> None:
    """Rewrites fields of "sampler" in a folder's config.json."""
    config = json.loads((path / "config.json").read_text())
    config["sampler"] |= changes
    (path / "config.json").write_text(json.dumps(config))


def sampled(rows: list[dict[str, Any]]) -> np.ndarray:
    """What the toy sampler says, row by row: seed, index, prompt, temperature, length."""
    values = np.zeros((len(rows), max(row["length"] for row in rows)), np.int64)
    for n, row in enumerate(rows):
        base = row["seed"] + 7 * row["index"] + 3 * len(row["prompt"]) + sum(row["prompt"])
        base += int(10 * np.float32(row["temperature"]))
        values[n, : row["length"]] = (base + np.arange(row["length"])) % CLASSES
    return values


def stepped(prompt: list[int], uniforms: np.ndarray) -> list[int]:
    """What the toy step graph says of one row alone, a symbol for each uniform."""
    h, symbol, drawn = 0, CLASSES, []
    for known in prompt:
        h, symbol = (h + 5 * symbol + 1) % CLASSES, known
    for u in uniforms:
        h = (h + 5 * symbol + 1) % CLASSES
        symbol = (h + int(np.float32(u) * np.float32(CLASSES))) % CLASSES
        drawn.append(symbol)
    return drawn
