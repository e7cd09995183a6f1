// What becomes of a group's pre-activations: `lanes` units, their gates `gate * lanes` apart.
#pragma once

#include "cpu/kernels.h"
#include "cpu/vector_math.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

inline constexpr int kMaxVectors = 4;
inline constexpr int kMaxRows = 12;

// A tile of rows x vectors of pre-activations: where its rows and its vectors lie.
struct Tile {
  int flight;                   // row in flight of the first row of the tile,
  int64_t first[2];             // and its place, by Places;
  bool follow[2];               // by Places, whether all rows are in that flight, each a place on;
  int flights[kMaxRows];        // where not,
  int64_t place[2][kMaxRows];   // these say where they are
  int64_t offset[kMaxVectors];  // of each vector, in a row in the order of the program
  int64_t unit;                 // first unit
  int64_t packed;               // first pre-activation, in packed order
  int rows;
  int vectors;
  float* values;  // [rows][vectors * lanes], for what cannot be finished in registers
  void (*finish)(const SumArgs&, const Tile&);
};

// Row r of a tile.
template <typename Float>
static inline Float* row_of(
    const Tile& at,
    Float* const* data,
    Places places,
    int64_t stride,
    int r) {
  if (__builtin_expect(at.follow[places], true))
    return data[at.flight] + (at.first[places] + r) * stride;
  return data[at.flights[r]] + at.place[places][r] * stride;
}

// One group of a tile in one row: units unit .. unit + lanes.
struct Group {
  const Tile& tile;
  int row;
  int64_t unit;
};

static inline Vec read(const Rows& from, const Group& at, int64_t offset = 0) {
  return load(row_of(at.tile, from.data, from.places, from.stride, at.row) + offset + at.unit);
}

static inline Vec gate(const float* a, int index) { return load(a + index * kLanes); }

static inline void write(const Target& to, const Group& at, Vec y) {
  store(row_of(at.tile, to.data, to.places, to.stride, at.row) + at.unit, y);
}

// Epilogues but none and relu, which tiles finish in registers.
template <Epilogue>
static inline void finish(const SumArgs& sum, const float* a, const Group& at);

template <>
inline void finish<Epilogue::kTanh>(const SumArgs& sum, const float* a, const Group& at) {
  write(sum.target, at, tanh(gate(a, 0)));
}

template <>
inline void finish<Epilogue::kSigmoid>(const SumArgs& sum, const float* a, const Group& at) {
  write(sum.target, at, sigmoid(gate(a, 0)));
}

template <>
inline void finish<Epilogue::kGate>(const SumArgs& sum, const float* a, const Group& at) {
  write(sum.target, at, tanh_times_sigmoid(gate(a, 0), gate(a, 1)));
}

// Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.
template <>
inline void finish<Epilogue::kLstm>(const SumArgs& sum, const float* a, const Group& at) {
  const Vec i = sigmoid(gate(a, 0));
  const Vec f = sigmoid(gate(a, 1));
  const Vec g = tanh(gate(a, 2));
  const Vec o = sigmoid(gate(a, 3));
  const Vec c = fma(f, read(sum.states[0], at), i * g);
  write(sum.cell, at, c);
  write(sum.target, at, o * tanh(c));
}

// Cho et al. 2014, the reset gate after the recurrent product.
template <>
inline void finish<Epilogue::kGru>(const SumArgs& sum, const float* a, const Group& at) {
  const Rows& recurrent = sum.states[0];
  const Vec r = sigmoid(gate(a, 0) + read(recurrent, at));
  const Vec z = sigmoid(gate(a, 1) + read(recurrent, at, sum.units));
  const Vec n = tanh(fma(r, read(recurrent, at, 2 * static_cast<int64_t>(sum.units)), gate(a, 2)));
  write(sum.target, at, fma(z, read(sum.states[1], at) - n, n));
}

// A tile's groups, row by row.
template <Epilogue epilogue, int gates>
static void finish_tile(const SumArgs& sum, const Tile& tile) {
  const int groups = tile.vectors / gates;
  for (int r = 0; r < tile.rows; ++r)
    for (int group = 0; group < groups; ++group) {
      const float* values = tile.values + (r * tile.vectors + group * gates) * kLanes;
      finish<epilogue>(sum, values, {tile, r, tile.unit + group * kLanes});
    }
}

// Gates of a group, and the function that finishes a tile of them (none, relu: null).
struct Finisher {
  int gates;
  void (*finish)(const SumArgs&, const Tile&);
};

static inline Finisher finisher_of(Epilogue epilogue) {
  switch (epilogue) {
    case Epilogue::kNone:
    case Epilogue::kRelu: break;
    case Epilogue::kTanh: return {1, finish_tile<Epilogue::kTanh, 1>};
    case Epilogue::kSigmoid: return {1, finish_tile<Epilogue::kSigmoid, 1>};
    case Epilogue::kGate: return {2, finish_tile<Epilogue::kGate, 2>};
    case Epilogue::kLstm: return {4, finish_tile<Epilogue::kLstm, 4>};
    case Epilogue::kGru: return {3, finish_tile<Epilogue::kGru, 3>};
  }
  return {1, nullptr};
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
