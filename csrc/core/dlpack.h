// The structures of DLPack, version 1 (dmlc/dlpack), declared by hand: how tensors cross from any
// library.
#pragma once

#include <cstdint>

namespace genfast::core::dlpack {

struct Device {
  int32_t type;  // 1: CPU, 2: CUDA, 3: CUDA's pinned host memory
  int32_t id;
};

struct DataType {
  uint8_t code;  // 0: int, 1: unsigned, 2: float, 4: bfloat
  uint8_t bits;
  uint16_t lanes;
};

struct Tensor {
  void* data;
  Device device;
  int32_t ndim;
  DataType dtype;
  int64_t* shape;
  int64_t* strides;  // null: C-contiguous
  uint64_t byte_offset;
};

// In a capsule named "dltensor".
struct ManagedTensor {
  Tensor tensor;
  void* context;
  void (*deleter)(ManagedTensor*);
};

struct Version {
  uint32_t major;
  uint32_t minor;
};

// In a capsule named "dltensor_versioned".
struct ManagedTensorVersioned {
  Version version;
  void* context;
  void (*deleter)(ManagedTensorVersioned*);
  uint64_t flags;
  Tensor tensor;
};

inline constexpr uint64_t kReadOnly = 1;

// In the capsule "dlpack_exchange_api" that a type has as `__dlpack_c_exchange_api__`, since 1.3:
// functions that take Python objects of that type. 0 is success, else a Python exception is set.
struct Exchange {
  Version version;
  Exchange* previous;
  int (*allocate)(
      Tensor*,
      ManagedTensorVersioned**,
      void*,
      void (*)(void*, const char*, const char*));
  int (*own)(void* object, ManagedTensorVersioned** out);
  int (*give)(ManagedTensorVersioned* tensor, void** object);
  int (*view)(void* object, Tensor* out);  // or null; valid while the object is
  int (*stream)(int32_t device_type, int32_t device_id, void** out);
};

}  // namespace genfast::core::dlpack
