#include <stdexcept>

#include "cuda/cuda.h"

// Stands in for the CUDA sources where the build has no nvcc, or GENFAST_CUDA is OFF.
namespace genfast::cuda {

bool built() { return false; }

std::vector<std::string> architectures() { return {}; }

std::vector<std::string> devices() { return {}; }

void uniforms(
    std::uint64_t /*seed*/,
    std::uint64_t /*index*/,
    std::uint64_t /*first*/,
    float* /*out*/,
    std::int64_t /*n*/,
    std::int64_t /*draws*/,
    std::uintptr_t /*stream*/) {
  throw std::runtime_error(
      "uniforms: this genfast was built without CUDA (no nvcc, or GENFAST_CUDA=OFF)");
}

}  // namespace genfast::cuda
