// A borrowed view of an array: pointer, type, shape. Whoever made it keeps the memory alive.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/errors.h"

namespace genfast::core {

enum class DType { kFloat32, kFloat64, kFloat16, kBFloat16, kInt32, kInt64, kOther };

inline const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32: return "float32";
    case DType::kFloat64: return "float64";
    case DType::kFloat16: return "float16";
    case DType::kBFloat16: return "bfloat16";
    case DType::kInt32: return "int32";
    case DType::kInt64: return "int64";
    case DType::kOther: break;
  }
  return "another dtype";
}

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kFloat32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kInt64;
};

struct Tensor {
  void* data = nullptr;
  DType dtype = DType::kOther;
  int item_bytes = 0;
  bool read_only = false;
  std::vector<int64_t> shape;
  int64_t row_stride = 0;  // elements from a row to the next; the rest is contiguous

  int64_t size() const {
    int64_t n = 1;
    for (const int64_t side : shape) n *= side;
    return n;
  }
};

inline std::string describe(const std::vector<int64_t>& shape) {
  std::string out = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) out += ", ";
    out += shape[i] < 0 ? "any" : std::to_string(shape[i]);
  }
  return out + (shape.size() == 1 ? ",)" : ")");
}

// The elements of a tensor of type T and this shape (-1: any side), else ValueError naming the
// argument.
template <typename T>
T* elements(const Tensor& tensor, const char* argument, const std::vector<int64_t>& shape) {
  bool fits =
      tensor.dtype == DTypeOf<std::remove_const_t<T>>::value && tensor.shape.size() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i)
    fits = shape[i] < 0 || shape[i] == tensor.shape[i];
  require(
      fits, argument, " must be ", name_of(DTypeOf<std::remove_const_t<T>>::value), " ",
      describe(shape), ", got ", name_of(tensor.dtype), " ", describe(tensor.shape));
  require(
      std::is_const_v<T> || !tensor.read_only, argument,
      " must be writable, got a read-only array");
  return static_cast<T*>(tensor.data);
}

}  // namespace genfast::core
