#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/uniform_pairs.h"

// What the CUDA part offers. No CUDA header is included, so that any host source can ask; without
// nvcc the same names are defined in unavailable.cpp.
namespace genfast::cuda {

// Whether the CUDA kernels were compiled. Says nothing about this machine: see devices().
bool built();

// The architectures compiled for, as CMake names them: "80-real", "90a-real", ... Empty when not
// built.
std::vector<std::string> architectures();

// One line a GPU that this process can use: "NVIDIA H200, sm_90, 139 GiB".
// Empty without a GPU, without a driver, or when not built: none of these is an error.
std::vector<std::string> devices();

// Fills out[i * columns + j] with draw `first[i] + j` of sample `indices[i]` under `seeds[i]`.
//
// Everything lies in the memory of one device, where the kernel runs. stream: a cudaStream_t as an
// integer, 0 the default stream; the call does not wait for it.
//
// Throws std::invalid_argument for memory of the host, or of another device, std::runtime_error
// when CUDA reports an error or the CUDA part was not built. Ranges are the caller's to check.
void uniforms(const UniformRows& rows, std::uintptr_t stream);

}  // namespace genfast::cuda
