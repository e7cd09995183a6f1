"""The epilogues of a sum in NumPy, one equation each; see the table of `Sum`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genfast.program.instructions import Epilogue

Value = NDArray[Any]


def sigmoid(a: Value) -> Value:
    """1 / (1 + exp(-a)), without overflow."""
    half = a.dtype.type(0.5)
    return np.asarray(half * (1 + np.tanh(half * a)))


def gate(a: Value) -> tuple[Value, ...]:
    """tanh(a0) * sigmoid(a1): Gated PixelCNN (van den Oord et al. 2016), equation 2."""
    a0, a1 = np.split(a, 2, axis=-1)
    return (np.tanh(a0) * sigmoid(a1),)


def lstm(a: Value, c: Value) -> tuple[Value, ...]:
    """torch.nn.LSTM's cell; a holds i, f, g, o."""
    i, f, g, o = np.split(a, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(a: Value, rec: Value, h: Value) -> tuple[Value, ...]:
    """torch.nn.GRU's cell; a and rec hold r, z, n."""
    (r, z, n), (rec_r, rec_z, rec_n) = np.split(a, 3, axis=-1), np.split(rec, 3, axis=-1)
    r, z = sigmoid(r + rec_r), sigmoid(z + rec_z)
    n = np.tanh(n + r * rec_n)
    return (n + z * (h - n),)


EPILOGUES: dict[Epilogue, Callable[..., tuple[Value, ...]]] = {
    "none": lambda a: (a,),
    "relu": lambda a: (np.maximum(a, 0),),
    "tanh": lambda a: (np.tanh(a),),
    "sigmoid": lambda a: (sigmoid(a),),
    "gate": gate,
    "lstm": lstm,
    "gru": gru,
}
