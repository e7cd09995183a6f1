#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/cuda.h"
#include "cuda/device.h"

namespace genfast::cuda {

void check(cudaError_t status, std::source_location where) {
  if (status == cudaSuccess) return;
  // An error that does not stick to the context would otherwise be reported again by the next
  // launch.
  cudaGetLastError();
  std::ostringstream message;
  message << cudaGetErrorName(status) << ": " << cudaGetErrorString(status) << " ("
          << where.file_name() << ":" << where.line() << ")";
  throw std::runtime_error(message.str());
}

void check_launch(std::source_location where) { check(cudaGetLastError(), where); }

int device_of(const void* pointer, const char* name) {
  cudaPointerAttributes attributes{};
  check(cudaPointerGetAttributes(&attributes, pointer));
  if (attributes.type != cudaMemoryTypeDevice && attributes.type != cudaMemoryTypeManaged) {
    throw std::invalid_argument(std::string(name) + " must be in device memory, got host memory");
  }
  return attributes.device;
}

int common_device(std::initializer_list<Pointer> pointers) {
  int common = -1;
  for (const Pointer& pointer : pointers) {
    if (pointer.data == nullptr) continue;
    const int device = device_of(pointer.data, pointer.name);
    if (common >= 0 && device != common) {
      throw std::invalid_argument(
          std::string(pointer.name) + " must be on GPU " + std::to_string(common) +
          " as the others, got " + std::to_string(device));
    }
    common = device;
  }
  return common;
}

DeviceGuard::DeviceGuard(int device) {
  check(cudaGetDevice(&former_));
  check(cudaSetDevice(device));
}

// A destructor must not throw; a device that was current a moment ago can be made current again.
DeviceGuard::~DeviceGuard() { static_cast<void>(cudaSetDevice(former_)); }

bool built() { return true; }

std::vector<std::string> architectures() {
  // Set by CMake, joined with commas: a semicolon would end the definition.
  std::istringstream list(GENFAST_CUDA_ARCHITECTURES);
  std::vector<std::string> found;
  for (std::string name; std::getline(list, name, ',');) found.push_back(name);
  return found;
}

static std::string describe(int device) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device));
  std::ostringstream line;
  line << properties.name << ", sm_" << properties.major << properties.minor << ", "
       << (properties.totalGlobalMem >> 30) << " GiB";
  return line.str();
}

std::vector<std::string> devices() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  const bool no_gpu = status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver ||
                      status == cudaErrorStubLibrary;
  if (no_gpu) {
    cudaGetLastError();
    return {};
  }
  check(status);
  std::vector<std::string> found;
  for (int device = 0; device < count; ++device) found.push_back(describe(device));
  return found;
}

}  // namespace genfast::cuda
