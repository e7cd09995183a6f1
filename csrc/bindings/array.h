// Arrays of any library, by DLPack.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <vector>

#include "core/tensor.h"

namespace genfast::bindings {

// A view, and what keeps its memory alive: a capsule, or the array itself where it is borrowed.
struct Array {
  core::Tensor tensor;
  pybind11::object owner;
};

// C-contiguous and on `device` (DLPack's number: 1 CPU, 2 CUDA), else ValueError naming the
// argument.
Array array(const pybind11::handle& object, const char* argument, int device = 1);

// As `array`, but rows may lie any distance apart: `row_stride` says which. Their values are
// contiguous. For the length of a call: the array may be borrowed as it is, which takes 0.1 us
// where a capsule takes 3.
Array rows(const pybind11::handle& object, const char* argument, int device = 1);

}  // namespace genfast::bindings
