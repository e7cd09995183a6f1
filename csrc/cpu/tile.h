// The one arithmetic kernel: a tile of rows x vectors of pre-activations, a chain each, in
// registers from the bias to the epilogue.
//
// Floor: rows * vectors * lanes * k multiply-adds, at two vector multiply-adds a cycle; it reads
// `vectors` weight vectors and `rows` single values for `rows * vectors` multiply-adds, so that
// from 6 x 4 on (32 registers) loads hide behind arithmetic. Every element is one chain in
// ascending k, so no blocking changes a bit.
#pragma once

#include "cpu/epilogues.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

// Rows of a tile that leave registers for its weights and one broadcast value.
static constexpr int rows_of_tile(int vectors) {
#if GENFAST_ISA_LEVEL == 4
  constexpr int rows[kMaxVectors + 1] = {0, 12, 12, 8, 6};
#else
  constexpr int rows[kMaxVectors + 1] = {0, 8, 6, 4, 3};
#endif
  return rows[vectors];
}

// Pointers to the rows of a tile.
template <int rows, typename Float>
static inline void point(
    const Tile& at,
    Float* const* data,
    Places places,
    int64_t stride,
    Float* (&pointers)[rows]) {
  if (__builtin_expect(at.follow[places], true)) {
    pointers[0] = data[at.flight] + at.first[places] * stride;
#pragma GCC unroll 12
    for (int r = 1; r < rows; ++r) pointers[r] = pointers[r - 1] + stride;
    return;
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) pointers[r] = data[at.flights[r]] + at.place[places][r] * stride;
}

// What no pre-activation is left to do for: written from the registers.
template <int rows, int vectors>
static inline void store_rows(const Target& target, const Tile& at, const Vec (&y)[rows][vectors]) {
  float* to[rows];
  point<rows>(at, target.data, target.places, target.stride, to);
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) store(to[r] + at.unit + v * kLanes, y[r][v]);
}

template <int rows, int vectors>
static inline void relu_rows(Vec (&y)[rows][vectors]) {
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 12
    for (int v = 0; v < vectors; ++v) y[r][v] = max(broadcast(0.0f), y[r][v]);
}

// Floats from a tile's second vector of weights to its third, where all are of one panel.
static constexpr int64_t kPair = 2 * kLanes;

// One k of a chain. Two of them a round of the loop: what counts the rounds takes a multiply-add's
// place now and then.
template <int rows, int vectors>
static inline __attribute__((always_inline)) void multiply_one(
    const float* const (&input)[rows],
    int64_t k,
    const float* weights,
    int64_t pair,
    Vec (&acc)[rows][vectors]) {
  // The fewer of both stay in registers, the others come one by one: 3 x 4 and 6 x 2 fit sixteen.
  if constexpr (rows < vectors) {
    Vec x[rows];
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) x[r] = broadcast(input[r][k]);
#pragma GCC unroll 12
    for (int v = 0; v < vectors; ++v) {
      const Vec w = load(weights + v / 2 * pair + v % 2 * kLanes);
#pragma GCC unroll 12
      for (int r = 0; r < rows; ++r) acc[r][v] = fma(x[r], w, acc[r][v]);
    }
    return;
  }
  Vec w[vectors];
#pragma GCC unroll 12
  for (int v = 0; v < vectors; ++v) w[v] = load(weights + v / 2 * pair + v % 2 * kLanes);
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
    const Vec x = broadcast(input[r][k]);
#pragma GCC unroll 12
    for (int v = 0; v < vectors; ++v) acc[r][v] = fma(x, w[v], acc[r][v]);
  }
}

// Where the weights of a tile lie: those of k at data + k * step, its first two vectors there, the
// next two `pair` behind: in the same panel, or in the next one.
struct Weights {
  const float* data;
  int64_t step;
  int64_t pair;
};

// One tile of a sum.
template <int rows, int vectors>
static void compute(const SumArgs& sum, const Weights& packed, const float* bias, const Tile& at) {
  const float* weights = packed.data;
  const int64_t step = packed.step;
  const int64_t pair = packed.pair;
  Vec acc[rows][vectors];
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 12
    for (int v = 0; v < vectors; ++v) acc[r][v] = load(bias + v * kLanes);
  const Term* const end = sum.terms + sum.num_terms;
  for (const Term* term = sum.terms; term != end; ++term) {
    const Places places = term->input.places;
    if (term->kind == Term::kMat) {
      const float* input[rows];
      point<rows>(at, term->input.data, places, term->input.stride, input);
      int64_t k = 0;
      for (; rows > 1 && k + 2 <= term->width; k += 2, weights += 2 * step) {
        multiply_one<rows, vectors>(input, k, weights, pair, acc);
        multiply_one<rows, vectors>(input, k + 1, weights + step, pair, acc);
      }
      for (; k < term->width; ++k, weights += step)
        multiply_one<rows, vectors>(input, k, weights, pair, acc);
    } else if (term->kind == Term::kLook) {
      const float* column = term->table + at.packed;
#pragma GCC unroll 12
      for (int r = 0; r < rows; ++r) {
        const int32_t symbol = *row_of(at, term->symbols, places, 1, r);
        const float* row = column + symbol * sum.packed_width;
#pragma GCC unroll 12
        for (int v = 0; v < vectors; ++v) acc[r][v] = acc[r][v] + load(row + v * kLanes);
      }
    } else {
      // The values lie in the order of the program, gate by gate; the tile in packed order.
      const float* input[rows];
      point<rows>(at, term->input.data, places, term->input.stride, input);
#pragma GCC unroll 12
      for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) acc[r][v] = acc[r][v] + load(input[r] + at.offset[v]);
    }
  }
  if (sum.epilogue == Epilogue::kRelu) {
    relu_rows(acc);
    store_rows(sum.target, at, acc);
  } else if (sum.epilogue == Epilogue::kNone) {
    store_rows(sum.target, at, acc);
    if (!sum.relus) return;
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 12
      for (int v = 0; v < vectors; ++v) acc[r][v] = broadcast(0.0f) + acc[r][v];
    relu_rows(acc);
    store_rows(sum.relu, at, acc);
  } else {
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 12
      for (int v = 0; v < vectors; ++v) store(at.values + (r * vectors + v) * kLanes, acc[r][v]);
    at.finish(sum, at);
  }
}

using Compute = void (*)(const SumArgs&, const Weights&, const float*, const Tile&);

// compute<rows, vectors> by its numbers; null where no tile has that many rows.
struct Heights {
  Compute of[kMaxRows + 1];
};

template <int vectors>
static constexpr Heights heights() {
  constexpr int most = rows_of_tile(vectors);
  constexpr auto up_to = [](int n) { return n <= most ? n : most; };
  Heights all = {
      {nullptr, compute<up_to(1), vectors>, compute<up_to(2), vectors>, compute<up_to(3), vectors>,
       compute<up_to(4), vectors>, compute<up_to(5), vectors>, compute<up_to(6), vectors>,
       compute<up_to(7), vectors>, compute<up_to(8), vectors>, compute<up_to(9), vectors>,
       compute<up_to(10), vectors>, compute<up_to(11), vectors>, compute<up_to(12), vectors>}};
  for (int n = most + 1; n <= kMaxRows; ++n) all.of[n] = nullptr;
  return all;
}

static constexpr Heights kCompute[kMaxVectors + 1] =
    {{}, heights<1>(), heights<2>(), heights<3>(), heights<4>()};

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
