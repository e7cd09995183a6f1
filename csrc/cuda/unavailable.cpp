#include <stdexcept>
#include <string>

#include "cuda/cuda.h"
#include "cuda/gpu_executor.h"
#include "cuda/reparameterize.h"

// Stands in for the CUDA sources where the build has no nvcc, or GENFAST_CUDA is OFF.
namespace genfast::cuda {
namespace {

[[noreturn]] void refuse(const char* what) {
  throw std::runtime_error(
      std::string(what) + ": this genfast was built without CUDA (no nvcc, or GENFAST_CUDA=OFF)");
}

}  // namespace

bool built() { return false; }

std::vector<std::string> architectures() { return {}; }

std::vector<std::string> devices() { return {}; }

void uniforms(const UniformRows& /*rows*/, std::uintptr_t /*stream*/) { refuse("uniforms"); }

void reparameterize(const ReparameterizeArgs& /*args*/, std::uintptr_t /*stream*/) {
  refuse("reparameterize");
}

void reparameterize_backward(
    const ReparameterizeBackwardArgs& /*args*/,
    std::uintptr_t /*stream*/) {
  refuse("reparameterize");
}

void reparameterize_nothing(float* /*kl*/, std::int64_t /*rows*/, std::uintptr_t /*stream*/) {
  refuse("reparameterize");
}

std::shared_ptr<Executor> gpu_executor(
    std::shared_ptr<const program::Program> /*program*/,
    Precision /*precision*/,
    int /*device*/) {
  refuse("cuda");
}

}  // namespace genfast::cuda
