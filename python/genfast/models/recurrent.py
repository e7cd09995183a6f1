"""A recurrent network over symbols as a program: embedding, LSTM or GRU layers, readout, draw."""

from __future__ import annotations

import numpy as np
from torch import nn

from genfast.compiled import NotCompilableError
from genfast.heads import Categorical
from genfast.models.arrays import Array, weight_array
from genfast.program import Buffer, Draw, Instruction, Look, Mat, Program, Ref, Sum, symbol

__all__ = ["recurrent_program"]


def recurrent_program(
    embed: nn.Embedding,
    rnn: nn.LSTM | nn.GRU,
    readout: nn.Linear,
    head: Categorical,
    start: str | int,
) -> Program:
    """The program of `readout(rnn(embed(x shifted by one site)))`.

    Every layer is a `Sum` that reads its own output one site back, and a layer below it::

        e    = look(E, x[0,-1])
        lstm:  h0   = lstm(W_ih e + W_hh h0[0,-1] + b_ih + b_hh; c0[0,-1])
        gru:   rec0 = W_hh h0[0,-1] + b_hh
               h0   = gru(W_ih e + b_ih; rec0, h0[0,-1])

    Args:
        embed: nn.Embedding; with `start` "learnt" its last row stands for the first input.
        rnn: nn.LSTM or nn.GRU, batch first, one direction.
        readout: nn.Linear, as many outputs as the head has parameters.
        head: What is drawn.
        start: "learnt", "zeros" or a symbol: the input of the first site.

    Raises:
        NotCompilableError: A module is of another type, or has an option that no instruction says.
        FloatingPointError: A weight is not finite, named with its place.
    """
    _check_modules(embed, rnn, readout, head, start)
    x = symbol("x", head.classes)
    below = Buffer("e", embed.embedding_dim)
    instructions: list[Instruction] = [Sum((below,), (Look(_table(embed, start), x[0, -1]),))]
    for layer in range(rnn.num_layers):
        sums = _lstm(rnn, layer, below) if isinstance(rnn, nn.LSTM) else _gru(rnn, layer, below)
        instructions += sums
        below = sums[-1].targets[0]
    scores = Buffer("params", head.parameters)
    weight = weight_array(readout, "readout", "weight")
    bias = weight_array(readout, "readout", "bias") if readout.bias is not None else None
    instructions.append(Sum((scores,), (Mat(weight, below.here),), bias))
    instructions.append(Draw((x,), scores.here))
    return Program("sequence", instructions)


def _lstm(rnn: nn.LSTM, layer: int, below: Buffer) -> list[Sum]:
    """Layer `layer`; torch adds its two biases in float32, here float64 rounds them once."""
    h, c = Buffer(f"h{layer}", rnn.hidden_size), Buffer(f"c{layer}", rnn.hidden_size)
    w_ih, w_hh, b_ih, b_hh = _layer_weights(rnn, layer)
    bias = None
    if b_ih is not None and b_hh is not None:
        bias = np.add(b_ih, b_hh, dtype=np.float64).astype(np.float32)
    terms = (Mat(w_ih, below.here), Mat(w_hh, h[0, -1]))
    return [Sum((h, c), terms, bias, "lstm", (c[0, -1],))]


def _gru(rnn: nn.GRU, layer: int, below: Buffer) -> list[Sum]:
    """Layer `layer`, its recurrent part first."""
    h, rec = Buffer(f"h{layer}", rnn.hidden_size), Buffer(f"rec{layer}", 3 * rnn.hidden_size)
    w_ih, w_hh, b_ih, b_hh = _layer_weights(rnn, layer)
    state: tuple[Ref, Ref] = (rec.here, h[0, -1])
    return [
        Sum((rec,), (Mat(w_hh, h[0, -1]),), b_hh),
        Sum((h,), (Mat(w_ih, below.here),), b_ih, "gru", state),
    ]


def _layer_weights(rnn: nn.RNNBase, layer: int) -> tuple[Array, Array, Array | None, Array | None]:
    """W_ih, W_hh, b_ih, b_hh; the biases None where the network has none."""
    w_ih, w_hh = (
        weight_array(rnn, "rnn", f"{kind}_l{layer}") for kind in ("weight_ih", "weight_hh")
    )
    if not rnn.bias:
        return w_ih, w_hh, None, None
    b_ih, b_hh = (weight_array(rnn, "rnn", f"{kind}_l{layer}") for kind in ("bias_ih", "bias_hh"))
    return w_ih, w_hh, b_ih, b_hh


def _table(embed: nn.Embedding, start: str | int) -> Array:
    """Rows of the symbols, and last what stands before the first."""
    table = weight_array(embed, "embed", "weight")
    if start == "learnt":
        return table
    last = np.zeros_like(table[:1]) if start == "zeros" else table[int(start)][None]
    return np.concatenate([table, last])


def _check_modules(
    embed: nn.Embedding,
    rnn: nn.LSTM | nn.GRU,
    readout: nn.Linear,
    head: Categorical,
    start: str | int,
) -> None:
    """NotCompilableError for the first thing that this file's instructions would not say."""
    types = (("embed", embed, (nn.Embedding,)), ("rnn", rnn, (nn.LSTM, nn.GRU)))
    for name, module, known in (*types, ("readout", readout, (nn.Linear,))):
        if type(module) not in known:
            wanted = " or ".join(f"nn.{kind.__name__}" for kind in known)
            raise NotCompilableError(
                f"{name} must be exactly {wanted}, got {type(module).__name__}"
            )
    inputs = head.classes + (start == "learnt")
    refused = (
        (type(head) is not Categorical, f"head is a {type(head).__name__}"),
        (embed.max_norm is not None, "embed.max_norm rescales weights as they are read"),
        (embed.num_embeddings != inputs, f"embed has {embed.num_embeddings} rows, not {inputs}"),
        (rnn.bidirectional, "rnn is bidirectional"),
        (rnn.proj_size > 0, f"rnn has proj_size {rnn.proj_size}"),
        (not rnn.batch_first, "rnn is not batch_first"),
        (rnn.input_size != embed.embedding_dim, "rnn and embed differ in width"),
        (readout.in_features != rnn.hidden_size, "readout and rnn differ in width"),
        (readout.out_features != head.parameters, f"readout gives {readout.out_features} scores"),
        (_flat_weights_differ(rnn), "rnn computes with other weights than its parameters"),
    )
    for wrong, reason in refused:
        if wrong:
            raise NotCompilableError(reason)


def _flat_weights_differ(rnn: nn.RNNBase) -> bool:
    """Whether what torch's kernel reads is no longer what the module's names say."""
    named = [getattr(rnn, name, None) for name in rnn._flat_weights_names]
    return any(flat is not weight for flat, weight in zip(rnn._flat_weights, named, strict=True))
