#pragma once

#include <cuda_runtime.h>

#include <initializer_list>
#include <source_location>

// For the sources of this folder only: how they call the CUDA runtime.
namespace genfast::cuda {

// Throws std::runtime_error with the error's name and text and the line of the failed call.
void check(cudaError_t status, std::source_location where = std::source_location::current());

// Throws when the kernel launch just before it was refused.
void check_launch(std::source_location where = std::source_location::current());

// The device whose memory (or managed memory) `pointer` is. Throws std::invalid_argument, beginning
// with `name` ("uniforms: out"), when it is the host's.
int device_of(const void* pointer, const char* name);

struct Pointer {
  const void* data;
  const char* name;
};

// The device whose memory all of these are; null ones are nobody's. As device_of, and throws
// std::invalid_argument where one is another's.
int common_device(std::initializer_list<Pointer> pointers);

// Makes a device current, and the former one again at the end of the scope.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int former_ = 0;
};

}  // namespace genfast::cuda
