// Ceilings of this machine, for benchmarks to hold kernels against.
#pragma once

#include <cstdint>
#include <string>

namespace genfast::cpu {

// Multiply-adds a second of `threads` threads, in registers.
double fma_peak(const std::string& isa, int threads, double seconds);

// Bytes a second that `threads` threads read, each from `bytes` of its own again and again.
double read_bandwidth(int64_t bytes, int threads, double seconds);

// Bytes a second that `threads` threads move, each adding two arrays into a third, of `bytes`
// together, again and again.
double add_bandwidth(int64_t bytes, int threads, double seconds);

}  // namespace genfast::cpu
