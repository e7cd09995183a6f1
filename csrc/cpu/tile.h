// The one arithmetic kernel: a tile of rows x vectors of pre-activations.
//
// Floor: rows * vectors * lanes * k multiply-adds, at two vector multiply-adds a cycle; it reads
// `vectors` weight vectors and `rows` single values for `rows * vectors` multiply-adds, so that
// from 6 x 4 on (32 registers) loads hide behind arithmetic. Every element is one chain in
// ascending k, so no blocking changes a bit.
#pragma once

#include "cpu/kernels.h"
#include "cpu/vec.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

inline constexpr int kMaxVectors = 4;
inline constexpr int kMaxRows = 8;

// Rows of a tile that leave registers for its weights and one broadcast value.
static constexpr int rows_of_tile(int vectors) {
#if GENFAST_ISA_LEVEL == 4
  constexpr int rows[kMaxVectors + 1] = {0, 8, 8, 8, 6};
#else
  constexpr int rows[kMaxVectors + 1] = {0, 8, 6, 4, 3};
#endif
  return rows[vectors];
}

// tile += the terms' products. weights: [k][vectors * lanes]; inputs[m].data points at the tile's
// first row.
template <int rows, int vectors>
static void multiply(
    const Term* terms,
    int num_terms,
    int64_t row,
    const float* weights,
    float* tile) {
  Vec acc[rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) acc[r][v] = load(tile + (r * vectors + v) * kLanes);
  for (int m = 0; m < num_terms; ++m) {
    const int64_t stride = terms[m].input.stride;
    const float* input = terms[m].input.data + row * stride;
    const float* const end = input + terms[m].width;
    for (; input < end; ++input, weights += vectors * kLanes) {
      Vec w[vectors];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) w[v] = load(weights + v * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        const Vec x = broadcast(input[r * stride]);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) acc[r][v] = fma(x, w[v], acc[r][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) store(tile + (r * vectors + v) * kLanes, acc[r][v]);
}

using Multiply = void (*)(const Term*, int, int64_t, const float*, float*);

// multiply<rows, vectors> by its numbers; null where no tile has that many rows.
template <int vectors>
static Multiply multiply_of(int rows) {
  constexpr int most = rows_of_tile(vectors);
  constexpr auto up_to = [](int n) { return n <= most ? n : most; };
  constexpr Multiply table[kMaxRows + 1] = {
      nullptr,
      multiply<up_to(1), vectors>,
      multiply<up_to(2), vectors>,
      multiply<up_to(3), vectors>,
      multiply<up_to(4), vectors>,
      multiply<up_to(5), vectors>,
      multiply<up_to(6), vectors>,
      multiply<up_to(7), vectors>,
      multiply<up_to(8), vectors>};
  return rows <= most ? table[rows] : nullptr;
}

static Multiply multiply_of(int rows, int vectors) {
  constexpr Multiply (*table[kMaxVectors + 1])(int) = {
      nullptr, multiply_of<1>, multiply_of<2>, multiply_of<3>, multiply_of<4>};
  return table[vectors](rows);
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
