// A program on a GPU. No CUDA header is included.
#pragma once

#include <memory>

#include "cuda/session.h"

namespace genfast::cuda {

// Throws std::invalid_argument where there is no such device, or one older than sm_80;
// std::runtime_error when CUDA reports an error or the CUDA part was not built.
std::shared_ptr<Executor> gpu_executor(
    std::shared_ptr<const program::Program> program,
    Precision precision,
    int device);

}  // namespace genfast::cuda
