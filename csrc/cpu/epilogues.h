// What becomes of a group's pre-activations: `lanes` units, their gates `gate * lanes` apart.
#pragma once

#include "cpu/kernels.h"
#include "cpu/vector_math.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

// The place of one group in one row: units unit .. unit + lanes.
struct Place {
  int64_t row;
  int64_t unit;
};

static inline Vec read(const Rows& from, Place at, int64_t offset = 0) {
  return load(from.data + at.row * from.stride + offset + at.unit);
}

static inline Vec gate(const float* a, int index) { return load(a + index * kLanes); }

static inline void write(const SumArgs& sum, Place at, Vec y) {
  store(sum.target + at.row * sum.target_stride + at.unit, y);
}

template <Epilogue>
static inline void finish(const SumArgs& sum, const float* a, Place at);

template <>
inline void finish<Epilogue::kNone>(const SumArgs& sum, const float* a, Place at) {
  write(sum, at, gate(a, 0));
}

template <>
inline void finish<Epilogue::kRelu>(const SumArgs& sum, const float* a, Place at) {
  write(sum, at, max(broadcast(0.0f), gate(a, 0)));
}

template <>
inline void finish<Epilogue::kTanh>(const SumArgs& sum, const float* a, Place at) {
  write(sum, at, tanh(gate(a, 0)));
}

template <>
inline void finish<Epilogue::kSigmoid>(const SumArgs& sum, const float* a, Place at) {
  write(sum, at, sigmoid(gate(a, 0)));
}

template <>
inline void finish<Epilogue::kGate>(const SumArgs& sum, const float* a, Place at) {
  write(sum, at, tanh(gate(a, 0)) * sigmoid(gate(a, 1)));
}

// Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.
template <>
inline void finish<Epilogue::kLstm>(const SumArgs& sum, const float* a, Place at) {
  const Vec i = sigmoid(gate(a, 0));
  const Vec f = sigmoid(gate(a, 1));
  const Vec g = tanh(gate(a, 2));
  const Vec o = sigmoid(gate(a, 3));
  const Vec c = fma(f, read(sum.states[0], at), i * g);
  store(sum.cell + at.row * sum.cell_stride + at.unit, c);
  write(sum, at, o * tanh(c));
}

// Cho et al. 2014, the reset gate after the recurrent product.
template <>
inline void finish<Epilogue::kGru>(const SumArgs& sum, const float* a, Place at) {
  const Rows& recurrent = sum.states[0];
  const Vec r = sigmoid(gate(a, 0) + read(recurrent, at));
  const Vec z = sigmoid(gate(a, 1) + read(recurrent, at, sum.units));
  const Vec n = tanh(fma(r, read(recurrent, at, 2 * static_cast<int64_t>(sum.units)), gate(a, 2)));
  write(sum, at, fma(z, read(sum.states[1], at) - n, n));
}

// A tile's groups, row by row.
struct Tile {
  const float* values;  // [rows][vectors * lanes]
  int vectors;
  int64_t row;
  int rows;
  int64_t unit;
};

template <Epilogue epilogue, int gates>
static void finish_tile(const SumArgs& sum, const Tile& tile) {
  const int groups = tile.vectors / gates;
  for (int r = 0; r < tile.rows; ++r)
    for (int group = 0; group < groups; ++group) {
      const float* values = tile.values + (r * tile.vectors + group * gates) * kLanes;
      finish<epilogue>(sum, values, {tile.row + r, tile.unit + group * kLanes});
    }
}

// Gates of a group, and the function that finishes a tile of them.
struct Finisher {
  int gates;
  void (*finish)(const SumArgs&, const Tile&);
};

static inline Finisher finisher_of(Epilogue epilogue) {
  switch (epilogue) {
    case Epilogue::kNone: return {1, finish_tile<Epilogue::kNone, 1>};
    case Epilogue::kRelu: return {1, finish_tile<Epilogue::kRelu, 1>};
    case Epilogue::kTanh: return {1, finish_tile<Epilogue::kTanh, 1>};
    case Epilogue::kSigmoid: return {1, finish_tile<Epilogue::kSigmoid, 1>};
    case Epilogue::kGate: return {2, finish_tile<Epilogue::kGate, 2>};
    case Epilogue::kLstm: return {4, finish_tile<Epilogue::kLstm, 4>};
    case Epilogue::kGru: return {3, finish_tile<Epilogue::kGru, 3>};
  }
  return {1, finish_tile<Epilogue::kNone, 1>};
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
