// `Vec`, as many floats as the instruction set being compiled computes at once, and `Mask`, a truth
// value for each.
//
// fma            fused where the instruction set has it; multiply, then add, where it has not
// min, max       the second operand where either is NaN
// round          to the nearest integer, ties to even
// select         if_set where the mask holds
// not_greater    true also where either is NaN
// scale_by_power_of_two   x * 2^n, n an integer in [-126, 127]
// split_exponent          x = mantissa * 2^exponent, mantissa in [1, 2); x normal and positive
// sign_set                the mask of the sign bits, those of NaN and -0 too
// interleave              lanes of a and b in turns; those of a are numbered kPairOrder
#pragma once

#if GENFAST_ISA_LEVEL == 4
#include "cpu/vec_avx512.h"
#elif GENFAST_ISA_LEVEL == 3
#include "cpu/vec_avx2.h"
#else
#include "cpu/vec_baseline.h"
#endif

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

inline constexpr int kLanes = GENFAST_LANES;

#if GENFAST_ISA_LEVEL >= 3 || defined(__aarch64__)
inline constexpr bool kFused = true;  // fma rounds once
#else
inline constexpr bool kFused = false;
#endif

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
