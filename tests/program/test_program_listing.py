"""What `print(program)` shows, to the letter."""
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

LSTM = """\
program: order sequence, 4 instructions, 1 draw a site, 959,236 bytes of weights
  cost  204,928 multiply-adds a site
  kept  h0 f32[128] 1 col, c0 f32[128] 1 col, h1 f32[128] 1 col, c1 f32[128] 1 col,
        x sym[1] 1 col outside=65
site:                                                                            959,236 bytes  204,928 multiply-adds
    0 h0, c0 = lstm(T66x512[x[+0,-1]] + W512x128 h0[+0,-1] + b512; c0[+0,-1])    399,360         65,536
    1 h1, c1 = lstm(W512x128 h0 + W512x128 h1[+0,-1] + b512; c1[+0,-1])          526,336        131,072
    2 params = W65x128 h1 + b65                                                   33,540          8,320
    3 x      = draw categorical(params)   1 uniform"""

GRU = """\
program: order sequence, 5 instructions, 1 draw a site, 5,560 bytes of weights
  cost  1,241 multiply-adds a site
  kept  h0 f32[17] 1 col, x sym[1] 1 col outside=7
site:                                                  5,560 bytes  1,241 multiply-adds
    0 e      = T8x5[x[+0,-1]]                            160
    1 rec0   = W51x17 h0[+0,-1] + b51                  3,672          867
    2 h0     = gru(W51x5 e + b51; rec0, h0[+0,-1])     1,224          255
    3 params = W7x17 h0 + b7                             504          119
    4 x      = draw categorical(params)   1 uniform"""

GATED = """\
program: order raster 28x28, 12 instructions, 1 draw a pixel, 208,960 bytes of weights
  cost  25,088 multiply-adds a pixel
  input class  sym[1]  start
  kept  v0 f32[32] 1 row, g0 f32[32] 1 col, x sym[1] 3 rows 3 cols outside=16
start:                                                              3,584 bytes       0 multiply-adds
    0 v0.start = T4x64[class]                                       1,024
    1 g0.start = T4x64[class] + b64                                 1,280
    2 g1.start = T4x64[class] + b64                                 1,280
row:                                                              173,824 bytes  20,480 multiply-adds
    3 vz0      = T17x64[x{21 taps -3,-3..-1,+3}] + b64             91,648
    4 v0       = gate(v0.start + vz0)
    5 vz1      = W64x32 v0{6 taps -1,-1..+0,+1} + b64              49,408        12,288
    6 g0.row   = g0.start + W64x64 vz0                             16,384         4,096
    7 g1.row   = g1.start + W64x64 vz1                             16,384         4,096
site:                                                              31,552 bytes   4,608 multiply-adds
    8 g0       = gate(g0.row + T17x64[x{3 taps +0,-3..+0,-1}])     13,056
    9 g1       = gate(g1.row + W64x32 g0{2 taps +0,-1..+0,+0})     16,384         4,096
   10 params   = W16x32 g1 + b16                                    2,112           512
   11 x        = draw categorical(params)   1 uniform"""


def test_lstm(build: Any) -> None:
    program = build["recurrent"]("lstm", 2, width=128, classes=65).program.optimized()
    assert str(program) == LSTM


def test_before_optimizing(build: Any) -> None:
    assert str(build["recurrent"]("gru", 1).program) == GRU


def test_raster_of_three_phases(build: Any) -> None:
    assert str(build["gated"](1, (28, 28), 16, 32).program.optimized()) == GATED
